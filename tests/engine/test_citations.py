"""Citations are correct: the passage contains the quoted words, and markers without support are removed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine.answer.citations import Resolved, renumber, resolve
from knowledge.types.search_results import Passage

LEAVE = (
    "Leave\n\nEvery employee has 30 vacation days per year. Unused days lapse in March. "
    "Sick leave needs a doctor’s note after three days. Ask Dana for details."
)
TRAVEL = (
    "- Trains are booked in second class.\n- Flights under 600 km are not allowed.\n\n"
    "| Country | Per diem |\n|---|---|\n| France | 45 EUR |\n| Japan | 60 EUR |"
)
LUNCH = "The cafeteria opens at noon.\nIt closes at 14:30."


def passage(n: int, text: str, start: int = 100) -> Passage:
    return Passage(n, f"doc{n}", text, f"file{n}.md", f"Title {n}", ("Top", "Sub"), start, start + len(text), 7, 0.9)


PASSAGES = [passage(1, LEAVE), passage(2, TRAVEL), passage(3, LUNCH, 0)]


def quotes(resolved: Resolved) -> list[str]:
    return [citation.quote for citation in resolved.citations]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a [2] b [1] c [2]", "a [1] b [2] c [1]"),
        ("a [1, 3]", "a [1][2]"),
        ("a [1-3]", "a [1][2][3]"),
        ("a [2][1]", "a [1][2]"),
        ("a [^3].", "a [1]."),
        ("a【3】 b【1†source】", "a[1] b[2]"),
        ("a [9] b [2].", "a b [1]."),
        ("a [1, 9]", "a [1]"),
        ("a [2] [2]", "a [1]"),
        ("year [2024] and [x]", "year [2024] and [x]"),
        ("[1](https://a.example) and [2]", "[1](https://a.example) and [1]"),
        ("`a[3]` [2]\n```\nb[3]\n```\nc [3]", "`a[3]` [1]\n```\nb[3]\n```\nc [2]"),
        ("[1]: https://a.example", "[1]: https://a.example"),
        ("In [1]: this", "In [1]: this"),
        ("a [3][", "a [1]["),
        ("", ""),
    ],
)
def test_markers_are_counted_anew(text: str, shown: str) -> None:
    assert renumber(text, 3) == shown


def test_without_passages_no_marker_stays() -> None:
    assert renumber("a [1] b", 0) == "a b"


@given(
    st.lists(st.sampled_from(["[1]", "[2]", " [3]", "[9]", "[1, 2]", "word ", "`", "\n", ". "]), max_size=40),
    st.integers(0, 200),
)
@settings(max_examples=200, deadline=None)
def test_a_number_once_given_stays_while_the_text_grows(pieces: list[str], cut: int) -> None:
    text = re.sub("`", "", "".join(pieces))
    early = renumber(text[:cut].rpartition("[")[0].rstrip(), 3)
    assert renumber(text, 3).startswith(early)


def test_the_quote_is_the_literal_piece_of_the_document() -> None:
    document = "x" * 100 + LEAVE
    resolved = resolve("You get 30 vacation days a year [1].", PASSAGES)
    (citation,) = resolved.citations
    assert citation.quote == "Every employee has 30 vacation days per year."
    assert document[citation.start : citation.end] == citation.quote
    assert (citation.n, citation.passage, citation.document_id, citation.source) == (1, 0, "doc1", "file1.md")
    assert (citation.title, citation.heading, citation.page) == ("Title 1", ("Top", "Sub"), 7)


def test_list_items_and_table_rows_are_quoted_alone() -> None:
    resolved = resolve("Trains go second class [2]. In Japan the per diem is 60 EUR [2].", PASSAGES)
    assert quotes(resolved)[0] in ("- Trains are booked in second class.", "| Japan | 60 EUR |")
    assert quotes(resolve("In France it is 45 EUR per diem [2].", PASSAGES)) == ["| France | 45 EUR |"]


def test_two_sentences_where_one_is_not_enough() -> None:
    resolved = resolve("Employees have 30 vacation days per year, and unused days lapse in March [1].", PASSAGES)
    assert quotes(resolved) == ["Every employee has 30 vacation days per year. Unused days lapse in March."]


def test_a_marker_that_nothing_supports_is_gone_and_the_rest_counted_anew() -> None:
    resolved = resolve(
        "Dogs are welcome upstairs [1]. The cafeteria opens at noon [3]. 30 vacation days [1][2].", PASSAGES
    )
    assert resolved.text == "Dogs are welcome upstairs. The cafeteria opens at noon [1]. 30 vacation days [2]."
    assert [(citation.n, citation.passage) for citation in resolved.citations] == [(1, 2), (2, 0)]


def test_another_number_is_no_support() -> None:
    assert resolve("You get 25 vacation days per year [1].", PASSAGES) == Resolved(
        "You get 25 vacation days per year.", ()
    )
    assert resolve("Sick leave needs a note after 3 days [1].", PASSAGES).text.endswith("[1].")


@pytest.mark.parametrize(
    "answer",
    [
        "Every employee has 30 vacation days.[1]",
        "Every employee has 30 vacation days. [1]",
        "- Every employee has 30 vacation days [1]\n- more",
        "According to [1], every employee has 30 vacation days.",
        "Every employee has 30 vacation days. Yes! [1]",
        "Jeder hat 30 Urlaubstage im Jahr, und das ist so [1].",
    ],
)
def test_the_claim_is_the_sentence_that_carries_the_marker(answer: str) -> None:
    assert quotes(resolve(answer, PASSAGES)) == ["Every employee has 30 vacation days per year."]


def test_each_marker_of_a_sentence_vouches_for_its_own_words() -> None:
    answer = "You have 30 vacation days [1], the cafeteria opens at noon [3], dogs may come along too [2]."
    resolved = resolve(answer, PASSAGES)
    assert resolved.text == "You have 30 vacation days [1], the cafeteria opens at noon [2], dogs may come along too."


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ('It says "sick leave needs a doctor\'s note" [1].', 'It says "sick leave needs a doctor\'s note" [1].'),
        ("It says “sick leave … after three days” [1].", "It says “sick leave … after three days” [1]."),
        (
            'Sick leave "never needs any note" after three days [1].',
            "Sick leave never needs any note after three days [1].",
        ),
        ('The "vacation" days are 30 [1].', 'The "vacation" days are 30 [1].'),
        ('People say "what a nice day it is" here.', 'People say "what a nice day it is" here.'),
    ],
)
def test_quotation_marks_are_kept_for_what_is_quoted(answer: str, text: str) -> None:
    assert resolve(answer, PASSAGES).text == text


def test_code_is_left_alone() -> None:
    answer = 'Use `list[1]`:\n\n```\nx[2] = "not a quote at all"\n```'
    assert resolve(answer, PASSAGES) == Resolved(answer, ())


def test_no_passages_no_citations() -> None:
    assert resolve("Hello [1].", []) == Resolved("Hello.", ())


WORD = st.one_of(
    st.sampled_from("employee vacation days 30 60 EUR Japan noon cafeteria dogs “quoted words” flights".split()),
    st.sampled_from(["[1]", "[2]", "[3]", "[1,2]", "[7]", ".", "\n", "-", "`x[1]`"]),
)


@given(st.lists(WORD, max_size=40).map(" ".join))
@settings(max_examples=200, deadline=None)
def test_every_marker_has_its_citation_and_every_quote_its_place(answer: str) -> None:
    resolved = resolve(answer, PASSAGES)
    numbers = [int(n) for n in re.findall(r"(?<!x)\[(\d+)\]", resolved.text)]
    assert list(dict.fromkeys(numbers)) == [citation.n for citation in resolved.citations]
    assert [citation.n for citation in resolved.citations] == list(range(1, len(resolved.citations) + 1))
    for citation in resolved.citations:
        source = PASSAGES[citation.passage]
        assert source.text[citation.start - source.start : citation.end - source.start] == citation.quote
        assert citation.quote.strip()
