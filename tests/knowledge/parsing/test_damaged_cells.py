"""The rest of a workbook or document is read around a damaged cell, and a warning names the cell."""

from __future__ import annotations

from typing import Any

import pytest
import xlrd

from knowledge.parsing import parsers
from knowledge.parsing.document_builder import ParsedDocument
from knowledge.parsing.office.docx_text import ParagraphText, TextReader
from tests.knowledge.parsing.ooxml_files import changed
from tests.knowledge.parsing.test_docx import paragraph, run, word_file
from tests.knowledge.parsing.test_other_formats import XLS, opendocument
from tests.knowledge.parsing.test_workbooks import saved, sheet_of

SHEET = "xl/worksheets/sheet1.xml"


def plans() -> bytes:
    return saved(sheet_of(["Plan", "Price", "Since"], ["Team", 12, "May"], ["Solo", 4, "June"]))


def read(pattern: str, replacement: str, data: bytes | None = None) -> ParsedDocument:
    return parsers.parse(changed(data or plans(), SHEET, pattern, replacement), "plans.xlsx")


@pytest.mark.parametrize(
    ("pattern", "replacement", "shown"),
    [
        (r'<c r="B2" t="n"><v>12</v>', '<c r="B2" t="n"><v>12 EUR</v>', "12 EUR"),
        (r'<c r="B2" t="n"><v>12</v>', '<c r="B2" t="b"><v>yes</v>', "yes"),
        (r'<c r="B2" t="n"><v>12</v>', '<c r="B2" t="d"><v>12th of May</v>', "12th of May"),
        (r'<c r="B2" t="n"><v>12</v>', '<c r="B2" t="s"><v>99</v>', ""),
        (r'<c r="B2" t="n"><v>12</v>', '<c r="B2" t="s"><v>first</v>', ""),
        (r'<c r="B2" t="n"><v>12</v>', '<c r="B2!" t="n"><v>12</v>', "12"),
        (r'<c r="B2" t="n"><v>12</v>', '<c r="B2" s="first" t="n"><v>12</v>', "12"),
        (r'<c r="B2" t="n"><v>12</v>', '<c r="B2" s="77" t="n"><v>12</v>', "12"),
    ],
)
def test_a_damaged_cell_of_a_workbook_is_shown_as_it_is_stored(pattern: str, replacement: str, shown: str) -> None:
    document = read(pattern, replacement)
    table = f"| Plan | Price | Since |\n| --- | --- | --- |\n| Team | {shown} | May |\n| Solo | 4 | June |"
    assert document.text == f"Sheet\n\n{table}"
    assert document.warnings == ("damaged cells of sheet Sheet: B2. They are shown as they are stored, or left out",)


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r'<row r="2"', '<row r="two"'),
        (r"<sheetData>", '<cols><col min="one" max="2" hidden="1"/><col hidden="1"/></cols><sheetData>'),
        (r"</sheetData>", '</sheetData><mergeCells><mergeCell ref="B:B"/><mergeCell ref="?"/></mergeCells>'),
        (r"<pageMargins[^>]*>", '<pageMargins left="wide"/>'),
    ],
)
def test_damaged_layout_costs_no_cell(pattern: str, replacement: str) -> None:
    document = read(pattern, replacement)
    assert "| Team | 12 | May |\n| Solo | 4 | June |" in document.text
    assert document.warnings == ()


def test_many_damaged_cells_are_counted() -> None:
    book = sheet_of(["Plan", "Price"], *(["Team", number] for number in range(2, 30)))
    document = read(r'(<c r="B\d+" t="n"><v>\d+)</v>', r"\1 EUR</v>", saved(book))
    assert "B2, B3, B4, B5, B6, B7, B8, B9, B10, B11 and 18 more" in document.warnings[0]


def test_a_damaged_cell_of_an_old_workbook_is_shown_as_it_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    open_workbook = xlrd.open_workbook

    def open_damaged(**options: Any) -> xlrd.book.Book:
        book = open_workbook(**options)
        book.sheet_by_index(0)._cell_values[1][1] = float("nan")
        return book

    monkeypatch.setattr(xlrd, "open_workbook", open_damaged)
    document = parsers.parse(XLS, "old.xls")
    assert "| Team | nan | 2031-05-06 |" in document.text
    assert "damaged cells of sheet Prices: B2. They are shown as they are stored, or left out" in document.warnings


def test_a_damaged_cell_of_a_word_table_costs_no_other_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    read_paragraph = TextReader.read

    def read_or_fail(reader: TextReader, element: Any) -> ParagraphText:
        found = read_paragraph(reader, element)
        if found.text == "Damaged":
            raise KeyError(found.text)
        return found

    monkeypatch.setattr(TextReader, "read", read_or_fail)
    cells = "".join(f"<w:tc>{paragraph(run(text))}</w:tc>" for text in ("Plan", "Damaged", "12"))
    document = parsers.parse(word_file(f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>"), "plan.docx")
    assert document.text.startswith("| Plan |  | 12 |")
    assert document.warnings == ("a cell of a table is damaged and was left out. Save the document again in Word",)


def test_a_value_that_an_opendocument_workbook_stores_without_a_text_is_shown() -> None:
    number = '<table:table-cell table:formula="x" office:value="12.5"/>'
    cells = f"{number}<table:table-cell><text:p>May</text:p></table:table-cell>"
    body = f'<table:table table:name="Plans"><table:table-row>{cells}</table:table-row></table:table>'
    assert "| 12.5 | May |" in parsers.parse(opendocument(body, "spreadsheet"), "plans.ods").text
