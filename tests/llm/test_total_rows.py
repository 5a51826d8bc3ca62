"""A row named “Total” answers only if its table is the one that the question is about."""

from __future__ import annotations

import pytest

from bot.llm.quoting.quote_selection import best_quotes
from knowledge.types.search_results import Passage


def sheet(name: str, column: str, *rows: tuple[str, str]) -> str:
    lines = [f"| {name} by part | {column} |", "| --- | --- |", *(f"| {label} | {value} |" for label, value in rows)]
    return f"{name}\n\n" + "\n".join(lines)


SHEETS = (
    sheet("Costs", "Amount", ("Rent", "200"), ("Total", "300")),
    sheet("Staff", "People", ("Care", "12"), ("Total", "31")),
    sheet("Sales", "Amount", ("North", "120"), ("Total", "500")),
)


def passages(*, one_chunk: bool) -> list[Passage]:
    texts = ["\n\n".join(SHEETS)] if one_chunk else list(SHEETS)
    return [Passage(n, "d", one, "book.xlsx", "book", (), 0, len(one), None, 1.0) for n, one in enumerate(texts)]


@pytest.mark.parametrize("one_chunk", [True, False])
@pytest.mark.parametrize(
    ("question", "carried", "total"),
    [
        ("What is the total of sales?", (), "500"),
        ("What do the costs total?", (), "300"),
        ("How many people are there in total?", (), "31"),
        ("And the total?", ("sales",), "500"),
    ],
)
def test_the_total_is_of_the_table_that_is_asked_about(
    question: str, carried: tuple[str, ...], total: str, one_chunk: bool
) -> None:
    quotes = best_quotes(question, passages(one_chunk=one_chunk), carried)
    assert quotes[0].text == f"| Total | {total} |"
    assert [quote.text for quote in quotes if "Total" in quote.text] == [f"| Total | {total} |"]


@pytest.mark.parametrize("one_chunk", [True, False])
def test_totals_of_other_tables_are_no_answer(one_chunk: bool) -> None:
    assert best_quotes("What is the total of marketing?", passages(one_chunk=one_chunk)) == []


def test_without_another_word_every_total_may_answer_and_a_name_is_no_total() -> None:
    assert len([one for one in best_quotes("Total?", passages(one_chunk=True)) if "Total" in one.text]) > 1
    people = "\n\n".join(sheet(name, "Room", ("Tom Reed", room)) for name, room in (("Desks", "7"), ("Keys", "9")))
    page = Passage(1, "d", people, "p.xlsx", "p", (), 0, len(people), None, 1.0)
    assert "Tom Reed" in best_quotes("Which door opens for Tom Reed?", [page])[0].text
