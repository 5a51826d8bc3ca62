"""The order of lines on PDF pages with columns, and ruled tables with every value under its column."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from knowledge.parsing.document_builder import ParsedDocument
from knowledge.parsing.pdf import pdf_document
from tests.knowledge.parsing.test_pdf import pdf_of

LEFT = [
    "The first lot opened in spring, with inter-",
    "national fences, and forty cars stand there",
    "on two floors that a ramp connects, which",
    "was painted blue in the second year. Staff",
    "park free of charge until the evening.",
]
RIGHT = [
    "The second lot opened in autumn, and its",
    "gate is connected to the badges of the",
    "tower. Whoever loses a badge reports it to",
    "the guard on the same day, by phone or in",
    "person, and gets another one for a week.",
]
IN_ORDER = "\n".join([*LEFT, *RIGHT]).replace("inter-\nnational", "international")


def at(x: float, y: float, text: str, size: int = 11) -> str:
    escaped = text.replace("(", r"\(").replace(")", r"\)")
    return f"BT /F1 {size} Tf 1 0 0 1 {x} {y} Tm ({escaped}) Tj ET"


def side_by_side(left: Sequence[str], right: Sequence[str], top: int = 650, second: int = 320) -> str:
    """Return two columns that are drawn row by row."""
    return " ".join(
        f"{at(72, top - 14 * row, a)} {at(second, top - 14 * row, b)}"
        for row, (a, b) in enumerate(zip(left, right, strict=True))
    )


def text(*streams: str, page: str = "") -> str:
    return pdf_document.parse(pdf_of(*streams, page=page)).text


def ruled(xs: Sequence[float], ys: Sequence[float], left_out: Sequence[tuple[float, ...]] = ()) -> str:
    """Return the lines of a grid, cell by cell. ``left_out`` are lines (x1, y1, x2, y2) that are not drawn."""
    lines = [(a, y, b, y) for y in ys for a, b in pairwise(xs)]
    lines += [(x, a, x, b) for x in xs for a, b in pairwise(ys)]
    return " ".join(f"{a} {b} m {c} {d} l S" for a, b, c, d in lines if (a, b, c, d) not in left_out)


def cells(xs: Sequence[float], ys: Sequence[float], rows: Sequence[Sequence[str]]) -> str:
    """Return the texts of a grid, each at the bottom left of its cell; ``ys`` go down."""
    return " ".join(
        at(x + 3, y + 5, value)
        for y, row in zip(ys[1:], rows, strict=True)
        for x, value in zip(xs, row, strict=False)
        if value
    )


def tables(document: ParsedDocument) -> list[list[list[str]]]:
    found = []
    for block in document.blocks:
        if block.kind == "table":
            lines = document.text[block.start : block.end].split("\n")
            found.append([[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line])
    return found


def test_columns_are_read_one_after_the_other_however_they_are_drawn() -> None:
    assert text(side_by_side(LEFT, RIGHT)) == IN_ORDER


def test_titles_and_notes_across_the_columns_keep_their_place() -> None:
    title = at(72, 700, "Parking lots of the company in the city of Lisbon and around it", 16)
    note = at(72, 560, "All fees of both lots are due on the first day of the month, without a reminder.")
    below = side_by_side(RIGHT, LEFT, top=540)
    read = text(" ".join([below, side_by_side(LEFT, RIGHT), note, title])).split("\n")
    assert read[0].startswith("Parking lots of the company")
    assert read[1].startswith("The first lot opened")
    assert read[9].startswith("person, and gets")
    assert read[10].startswith("All fees of both lots")
    assert read[11].startswith("The second lot opened")


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_columns_of_rotated_pages_are_found(rotation: int) -> None:
    turned = {90: "0 1 -1 0 612 0 cm", 180: "-1 0 0 -1 612 792 cm", 270: "0 -1 1 0 0 792 cm"}[rotation]
    across = {180: side_by_side(LEFT, RIGHT)}.get(rotation, side_by_side(LEFT, RIGHT, top=500))
    assert text(f"q {turned} {across} Q", page=f"/Rotate {rotation}") == IN_ORDER


def test_labels_and_values_stay_on_one_line() -> None:
    labels = ["Name of the lot", "Floors of the building", "Opened in", "Owner of the land", "Fee for a month"]
    values = ["Alfama", "2", "1998", "City of Lisbon", "140 euros"]
    assert text(side_by_side(labels, values)).split("\n") == [f"{a} {b}" for a, b in zip(labels, values, strict=True)]


def test_a_page_that_is_drawn_from_below_is_read_from_above() -> None:
    drawn = [at(72, 650 - 20 * row, line) for row, line in enumerate([*LEFT[1:], *RIGHT])]
    assert text(" ".join(reversed(drawn))).split("\n") == [*LEFT[1:], *RIGHT]


XS, YS = (72, 152, 232, 312, 500), (700, 680, 660, 640, 620)


def test_values_of_a_ruled_table_stand_under_their_columns() -> None:
    drawn = ruled(XS, YS, [(232, 700, 232, 680), (72, 680, 152, 680), (312, 680, 500, 680)])
    rows = [
        ["", "Fee", "", ""],
        ["Lot", "Day", "Month", "Remark"],
        ["A", "12", "140", "near"],
        ["B", "9", "", "at night"],
    ]
    before, after = at(72, 720, "Fees of this year:"), at(72, 590, "They are due at once.")
    document = pdf_document.parse(pdf_of(" ".join([before, drawn, cells(XS, YS, rows), after])))
    assert tables(document) == [
        [["Lot", "Fee Day", "Fee Month", "Remark"], ["A", "12", "140", "near"], ["B", "9", "", "at night"]]
    ]
    shown = [document.text[b.start : b.end] for b in document.blocks]
    assert (shown[0], shown[-1]) == ("Fees of this year:", "They are due at once.")


def test_a_table_without_lines_at_its_sides_and_with_thin_boxes_for_lines_is_found() -> None:
    across = " ".join(f"72 {y} 428 1 re f" for y in YS)
    inner = " ".join(f"{x} 620 1 80 re f" for x in XS[1:-1])
    rows = [
        ["Lot", "Day", "Month", "Remark"],
        ["A", "12", "140", "near"],
        ["B", "9", "90", "far"],
        ["C", "7", "70", ""],
    ]
    document = pdf_document.parse(pdf_of(f"{across} {inner} {cells(XS, YS, rows)}"))
    assert tables(document) == [rows]


def test_cells_whose_text_touches_are_apart_and_lines_of_a_cell_together() -> None:
    xs, ys = (72, 92, 112, 300), (700, 680, 640)
    rows = [["No", "Qty", "Goods"], ["11", "22", "below"]]
    texts = " ".join(
        [cells(xs, ys, rows).replace("1 0 0 1 75", "1 0 0 1 80"), at(115, 665, "Bolts of steel, shown above")]
    )
    document = pdf_document.parse(pdf_of(f"{ruled(xs, ys)} {texts}"))
    assert tables(document) == [[["No", "Qty", "Goods"], ["11", "22", "Bolts of steel, shown above below"]]]


def test_a_table_that_goes_on_has_its_columns_named_on_the_next_page() -> None:
    first = [["Lot", "Day", "Month", "Remark"], *([f"A{n}", "1", "2", "x"] for n in range(3))]
    second = [[f"B{n}", "1", "2", "y"] for n in range(4)]
    pages = [f"{ruled(XS, YS)} {cells(XS, YS, rows)}" for rows in (first, second)]
    document = pdf_document.parse(pdf_of(*pages))
    assert tables(document) == [first, [first[0], *second]]
    again = pdf_document.parse(pdf_of(pages[0], f"{ruled(XS, YS)} {cells(XS, YS, [first[0], *second[:3]])}"))
    assert tables(again) == [first, [first[0], *second[:3]]]


def test_a_row_over_the_whole_table_is_its_title() -> None:
    drawn = ruled(XS, YS, [(x, 700, x, 680) for x in XS[1:-1]])
    rows = [["Fees for lots"], ["Lot", "Day", "Month", "Remark"], ["A", "12", "140", "near"], ["B", "9", "90", "far"]]
    document = pdf_document.parse(pdf_of(f"{drawn} {cells(XS, YS, rows)}"))
    assert tables(document) == [rows[1:]]
    assert document.text.startswith("Fees for lots\n\n")


@pytest.mark.parametrize(
    "drawn",
    [
        "60 560 460 180 re S " + side_by_side(LEFT, RIGHT),
        ruled(range(72, 500, 20), range(700, 400, -20)) + at(300, 555, "42") + at(72, 300, "Cars in the lot by hour"),
        " ".join(f"72 {y} m 500 {y} l S" for y in YS) + " ".join(at(75, y - 12, f"Rule {y}") for y in YS),
    ],
    ids=["frame", "chart", "rules"],
)
def test_frames_charts_and_rules_are_no_tables(drawn: str) -> None:
    document = pdf_document.parse(pdf_of(drawn))
    assert tables(document) == []
    assert document.text


def test_a_drawing_of_many_lines_costs_little() -> None:
    many = " ".join(
        f"{x} {y} m {x + 9} {y} l S {x} {y} m {x} {y + 9} l S" for x in range(0, 600, 10) for y in range(0, 780, 10)
    )
    document = pdf_document.parse(pdf_of(many + at(72, 300, "The map of the lot")))
    assert document.text == "The map of the lot"
