"""Tables of PDF pages that no lines are drawn around: every value stands under its column."""

from __future__ import annotations

import io

import pytest
from matplotlib.figure import Figure

from knowledge.parsing.pdf import pdf_document
from tests.knowledge.parsing.test_pdf import pdf_of
from tests.knowledge.parsing.test_pdf_layout import at, tables, text

PRICES = [
    ["Item", "Unit price", "Qty", "Amount"],
    ["Chair, oak", "120.00", "4", "480.00"],
    ["Desk lamp", "35.50", "10", "355.00"],
    ["Carpet", "", "2", "1,200.00"],
    ["Total", "", "", "2,035.00"],
]
LEFTS = (72, 250, 340, 420)


def width(value: str) -> float:
    """Return about how wide a text is in the font of the pages, in points."""
    return sum(2.6 if char in ".,: " else 6.1 for char in value)


def drawn(rows: list[list[str]], top: int = 650, *, right: bool = False, by_column: bool = False) -> str:
    """Return a table, its numbers at the left or at the right edge of their columns."""
    pieces = [
        (column, at(int(x + 60 - width(value)) if right and column else x, top - 16 * row, value))
        for row, line in enumerate(rows)
        for column, (x, value) in enumerate(zip(LEFTS, line, strict=True))
        if value
    ]
    return " ".join(piece for _, piece in (sorted(pieces, key=lambda one: one[0]) if by_column else pieces))


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("by_column", [False, True])
def test_columns_of_words_become_a_table_however_they_are_drawn(right: bool, by_column: bool) -> None:
    before = at(72, 700, "The committee approved the following purchases for the office in Hill Street.")
    after = at(72, 540, "All prices exclude value added tax and hold until the end of June, as agreed before.")
    document = pdf_document.parse(pdf_of(f"{before} {drawn(PRICES, right=right, by_column=by_column)} {after}"))
    assert tables(document) == [PRICES]
    kinds = [block.kind for block in document.blocks]
    assert kinds == ["paragraph", "table", "paragraph"]


def test_words_without_numbers_are_a_table_from_three_columns_on() -> None:
    people = [["Name", "Team", "Room", "Phone"], ["Ann", "Sales", "Attic", "none"], ["Bob", "IT", "Cellar", "none"]]
    assert tables(pdf_document.parse(pdf_of(drawn(people)))) == [people]
    pairs = [["Kick-off", "in spring", "", ""], ["Design", "in May", "", ""], ["Launch", "in June", "", ""]]
    assert text(drawn(pairs)).split("\n") == ["Kick-off in spring", "Design in May", "Launch in June"]


def test_a_line_that_was_too_long_for_its_cell_continues_it() -> None:
    wrapped = drawn(PRICES[:2]) + at(72, 650 - 27, "of Sweden") + drawn(PRICES[2:], 650 - 46)
    assert tables(pdf_document.parse(pdf_of(wrapped)))[0][1] == ["Chair, oak of Sweden", "120.00", "4", "480.00"]


def test_a_table_that_goes_on_at_the_next_page_keeps_its_header() -> None:
    more = [["Shelf", "80.00", "1", "80.00"], ["Sofa", "900.00", "1", "900.00"], ["Plant", "12.00", "9", "108.00"]]
    document = pdf_document.parse(pdf_of(drawn(PRICES, 200), drawn(more, 700)))
    assert [table[0] for table in tables(document)] == [PRICES[0], PRICES[0]]
    assert tables(document)[1][1:] == more
    assert [block.page for block in document.blocks] == [1, 2]


def test_texts_side_by_side_that_are_no_table_keep_the_order_in_which_they_are_drawn() -> None:
    left, right = (
        ["Total removal,", "if both sides", "are concerned,", "or a part of it"],
        ["See the page", "of follow-up"],
    )
    drawn_by_block = [at(72, 600 - 14 * row, line) for row, line in enumerate(left)]
    drawn_by_block += [at(300, 600 - 14 * row, line) for row, line in enumerate(right)]
    note = at(72, 500, "The panel meets once a year and writes down what it has decided for everybody.")
    found = text(" ".join([*drawn_by_block, note])).split("\n")
    assert found[:6] == [*left, *right]


@pytest.mark.parametrize(
    "stream",
    [
        " ".join(
            at(72 + 90 * column, 650 - 14 * row, words)
            for row in range(6)
            for column, words in enumerate(
                ("the lot of the", "gate was red and", "staff park there", "until the evening")
            )
        ),
        " ".join(at(x, y, word) for x, y, word in ((72, 650, "North"), (210, 641, "East"), (131, 622, "South"))),
        " ".join(
            at(72, 650 - 14 * row, f"Chapter {row} . . . . . . . . . . . . . . . . . . . {row}") for row in range(6)
        ),
    ],
    ids=["prose in four columns", "a drawing", "a list of contents"],
)
def test_what_is_no_table_stays_text(stream: str) -> None:
    assert tables(pdf_document.parse(pdf_of(stream))) == []


def test_tables_that_matplotlib_draws_are_read() -> None:
    made = Figure(figsize=(8, 11))
    for row, line in enumerate(PRICES):
        for x, value in zip((0.1, 0.5, 0.65, 0.8), line, strict=True):
            made.text(x, 0.8 - 0.03 * row, value, ha="left" if x < 0.2 else "right")
    saved = io.BytesIO()
    made.savefig(saved, format="pdf")
    assert tables(pdf_document.parse(saved.getvalue())) == [PRICES]
