"""Parsing of workbooks: headers, merged labels, number formats, comments, and what is hidden."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Sequence

import openpyxl
import pytest
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment
from openpyxl.styles import Font

from knowledge.errors import ParseError
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.parsing.office.number_format import show_number
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched
from tests.knowledge.parsing.ooxml_files import changed


def saved(book: openpyxl.Workbook) -> bytes:
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


async def read(parser: Parser, book: openpyxl.Workbook) -> Document:
    return await parser.parse(Fetched("list.xlsx", saved(book)))


def sheet_of(*rows: Sequence[object]) -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    return book


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (1234.5, "General", "1234.5"),
        (1234.5, '"€"#,##0.00', "€1,234.50"),
        (1234.5, "#,##0.00 [$€-407]", "1,234.50 €"),
        (1234.5, "[$$-409]#,##0", "$1,235"),
        (-5, "0.00_);[Red]\\(0.00\\)", "(5.00)"),
        (-5, "#,##0", "-5"),
        (-0.001, "0.00", "0.00"),
        (0, '0.0;-0.0;"none"', "none"),
        (0.175, "0.0%", "17.5%"),
        (0.5, '0.0% "of sales"', "50.0% of sales"),
        (12, '0 "days"', "12 days"),
        (7, "0000", "0007"),
        (1_250_000, "#,##0.0,,", "1.3"),
        (1.5, "0.0##", "1.5"),
        (0.5, "# ?/?", "0.5"),
        (123456.0, "0.00E+00", "123456"),
        (2.5, '[>1]"many";"few"', "2.5"),
    ],
)
def test_numbers_are_shown_by_their_format(value: float, number_format: str, shown: str) -> None:
    assert show_number(value, number_format) == shown


async def test_durations_dates_and_currency_are_shown_in_cells(parser: Parser) -> None:
    book = sheet_of(["When", "Long", "Cost"], [dt.datetime(2031, 5, 6), dt.timedelta(hours=36, minutes=5), 9])
    book.active["B2"].number_format = "[h]:mm"
    book.active["C2"].number_format = "[$£-809]0.00"
    assert "| 2031-05-06 | 36:05 | £9.00 |" in (await read(parser, book)).text


async def test_title_rows_are_no_header_and_the_header_repeats(parser: Parser) -> None:
    book = sheet_of(["Room list"], ["Name", "Room"], *(["Person", f"R{n}"] for n in range(30)))
    text = (await read(parser, book)).text
    assert text.startswith("Sheet\n\nRoom list\n\n| Name | Room |\n| --- | --- |\n| Person | R0 |")
    assert text.count("| Name | Room |") == 2
    assert text.count("Room list") == 1


async def test_header_holds_across_empty_rows(parser: Parser) -> None:
    book = sheet_of(["Country", "Sales"], ["France", 100], [], ["Spain", 200], ["Italy", 300], [], ["Peru", 4])
    tables = (await read(parser, book)).text.split("\n\n")[1:]
    assert len(tables) == 3
    assert all(table.startswith("| Country | Sales |") for table in tables)


async def test_table_with_a_header_of_its_own_does_not_take_the_one_above(parser: Parser) -> None:
    book = sheet_of(
        ["Country", "Sales"], ["France", 100], [], ["City", "Staff"], ["Rome", 3], [], ["Task", "By"], ["a", "b"]
    )
    for place in ("A7", "B7"):
        book.active[place].font = Font(bold=True)
    text = (await read(parser, book)).text
    assert "| City | Staff |\n| --- | --- |\n| Rome | 3 |" in text
    assert "| Task | By |\n| --- | --- |\n| a | b |" in text


async def test_merged_labels_repeat_and_join_into_one_header(parser: Parser) -> None:
    book = sheet_of(
        ["Region", "May", None, "June", None],
        [None, "Units", "Cost", "Units", "Cost"],
        ["East", 1, 10, 2, 20],
        [None, 3, 30, 4, 40],
    )
    for merged in ("A1:A2", "B1:C1", "D1:E1", "A3:A4"):
        book.active.merge_cells(merged)
    assert (await read(parser, book)).text.splitlines()[2:] == [
        "| Region | May Units | May Cost | June Units | June Cost |",
        "| --- | --- | --- | --- | --- |",
        "| East | 1 | 10 | 2 | 20 |",
        "| East | 3 | 30 | 4 | 40 |",
    ]


async def test_comments_and_charts_are_read(parser: Parser) -> None:
    book = sheet_of(["Plan", "Price"], ["Team", 12])
    book.active["B2"].comment = Comment("excludes VAT", "Ann")
    chart = BarChart()
    chart.title = "Prices by plan"
    chart.add_data(Reference(book.active, min_col=2, min_row=1, max_row=2), titles_from_data=True)
    book.active.add_chart(chart, "D2")
    text = (await read(parser, book)).text
    assert "Comment on B2: excludes VAT" in text
    assert "Prices by plan" in text


async def test_text_boxes_are_read(parser: Parser) -> None:
    book = sheet_of(["Plan", "Price"], ["Team", 12])
    book.active.add_chart(BarChart(), "D2")
    drawing = "http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing"
    main = "http://schemas.openxmlformats.org/drawingml/2006/main"
    box = (
        f'<x:twoCellAnchor xmlns:x="{drawing}" xmlns:a="{main}"><x:sp><x:txBody><a:p><a:r><a:t>Prices </a:t></a:r>'
        "<a:r><a:t>without VAT</a:t></a:r></a:p><a:p><a:r><a:t>since May</a:t></a:r></a:p></x:txBody></x:sp>"
        "</x:twoCellAnchor>"
    )
    data = changed(saved(book), "xl/drawings/drawing1.xml", r"</(\w+:)?wsDr>", rf"{box}\g<0>")
    document = await parser.parse(Fetched("list.xlsx", data))
    assert document.text.endswith("| Team | 12 |\n\nPrices without VAT\nsince May")


def with_hidden() -> openpyxl.Workbook:
    book = sheet_of(["Item", "Margin", "Price"], ["Chair", 70, 100], ["Secret chair", 80, 200])
    book.active.title = "Public"
    book.active.row_dimensions[3].hidden = True
    book.active.column_dimensions["B"].hidden = True
    book.active["B2"].comment = Comment("do not show", "Ann")
    for name, state in (("Pay", "hidden"), ("Deep", "veryHidden")):
        sheet = book.create_sheet(name)
        sheet.append(["salary", 91000])
        sheet.sheet_state = state
    return book


async def test_hidden_sheets_rows_and_columns_are_left_out_and_told(parser: Parser) -> None:
    document = await read(parser, with_hidden())
    assert document.text == "Public\n\n| Item | Price |\n| --- | --- |\n| Chair | 100 |"
    assert document.warnings == (
        "hidden columns of sheet Public left out: B. Add them with --include-hidden",
        "hidden rows of sheet Public left out: 3. Add them with --include-hidden",
        "hidden sheets left out: Pay, Deep. Add them with --include-hidden",
    )


async def test_hidden_parts_are_read_when_they_are_asked_for(parser: Parser) -> None:
    document = await parser.parse(Fetched("list.xlsx", saved(with_hidden())), include_hidden=True)
    assert "| Secret chair | 80 | 200 |" in document.text
    assert document.text.count("91000") == 2
    assert "do not show" in document.text
    assert document.warnings == ()


async def test_workbook_with_hidden_values_only_is_refused_with_the_way_in(parser: Parser) -> None:
    book = sheet_of()
    sheet = book.create_sheet("Pay")
    sheet.append(["salary", 1])
    sheet.sheet_state = "hidden"
    with pytest.raises(ParseError, match="--include-hidden"):
        await read(parser, book)


async def test_strict_workbooks_are_read_like_transitional_ones(parser: Parser) -> None:
    made = saved(sheet_of(["Plan", "Price"], ["Team", 12]))
    strict = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(made)) as old, zipfile.ZipFile(strict, "w") as archive:
        for name in old.namelist():
            data = old.read(name)
            for kind in (b"spreadsheetml", b"officeDocument", b"drawingml"):
                there = b"http://schemas.openxmlformats.org/%s/2006/" % kind
                data = data.replace(there, b"http://purl.oclc.org/ooxml/%s/" % kind)
            archive.writestr(name, data)
    document = await parser.parse(Fetched("strict.xlsx", strict.getvalue()))
    assert "| Team | 12 |" in document.text
