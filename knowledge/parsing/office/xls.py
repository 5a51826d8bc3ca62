"""Parses workbooks of Excel 97 to 2003 (XLS) like those of today: headers, formats, merged labels, hidden parts out."""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

import xlrd
from openpyxl.utils import get_column_letter
from xlrd.compdoc import CompDocError
from xlrd.xldate import XLDateError, xldate_as_datetime

from knowledge.errors import ParseError
from knowledge.parsing.csv_tables import MAX_ROWS
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.office.number_format import show_number
from knowledge.parsing.office.ooxml_package import CELL_ERRORS
from knowledge.parsing.office.xlsx import add_table, warn_damaged, warn_hidden
from knowledge.parsing.office.xlsx_cells import shown
from knowledge.parsing.office.xlsx_layout import Merge
from knowledge.parsing.office.xlsx_tables import Row, TableFinder, regions
from knowledge.parsing.parse_options import NO_OPTIONS, ParseOptions

_DAMAGED = (
    *(xlrd.XLRDError, CompDocError, struct.error, AssertionError),
    *(ValueError, KeyError, IndexError, TypeError, AttributeError),
)
"""Errors that xlrd raises for a damaged file."""


def parse(data: bytes, options: ParseOptions = NO_OPTIONS) -> ParsedDocument:
    """Parse an XLS file. ``options.include_hidden`` adds hidden sheets, rows and columns.

    Raises ParseError if it is damaged.
    """
    builder = Builder()
    try:
        book = xlrd.open_workbook(file_contents=data, formatting_info=True)
        for sheet in book.sheets():
            if options.include_hidden or not sheet.visibility:
                _add_sheet(builder, book, sheet, include_hidden=options.include_hidden)
        if not options.include_hidden:
            warn_hidden(builder, "hidden sheets", [sheet.name for sheet in book.sheets() if sheet.visibility])
    except _DAMAGED:
        raise ParseError(
            "it is damaged or encrypted and cannot be opened. Save it as XLSX without a password"
        ) from None
    return builder.build()


def _add_sheet(builder: Builder, book: Any, sheet: Any, *, include_hidden: bool) -> None:
    builder.heading(1, sheet.name)
    hidden_rows = set() if include_hidden else {n for n, info in sheet.rowinfo_map.items() if info.hidden}
    columns = set() if include_hidden else {n for n, info in sheet.colinfo_map.items() if info.hidden}
    merges = [Merge(left + 1, top + 1, right, bottom) for top, bottom, left, right in sheet.merged_cells]
    finder = TableFinder(merges)
    damaged: list[str] = []
    for rows in regions(_rows(book, sheet, hidden_rows, columns, damaged), MAX_ROWS):
        add_table(builder, finder.table(rows))
    warn_damaged(builder, sheet.name, damaged)
    filled = [n for n in sorted(hidden_rows) if n < sheet.nrows and any(sheet.row_values(n))]
    warn_hidden(builder, f"hidden rows of sheet {sheet.name}", [str(n + 1) for n in filled])
    named = [get_column_letter(n + 1) for n in sorted(columns) if n < sheet.ncols]
    warn_hidden(builder, f"hidden columns of sheet {sheet.name}", named)


def _rows(book: Any, sheet: Any, hidden_rows: set[int], hidden_columns: set[int], damaged: list[str]) -> Iterator[Row]:
    for number in range(sheet.nrows):
        if number in hidden_rows:
            continue
        cells = sheet.row(number)
        row = [
            ""
            if n in hidden_columns
            else shown(cell, partial(_text, book), partial(damaged.append, f"{get_column_letter(n + 1)}{number + 1}"))
            for n, cell in enumerate(cells)
        ]
        values = sum(1 << n for n, cell in enumerate(cells) if row[n] and cell.ctype != xlrd.XL_CELL_TEXT)
        bold = all(_is_bold(book, cell) for n, cell in enumerate(cells) if row[n])
        while row and not row[-1]:
            row.pop()
        yield Row(number + 1, row, values, bold)


def _is_bold(book: Any, cell: Any) -> bool:
    try:
        return bool(book.font_list[book.xf_list[cell.xf_index].font_index].bold)
    except CELL_ERRORS:
        return False


def _text(book: Any, cell: Any) -> str:
    if cell.ctype == xlrd.XL_CELL_DATE:
        try:
            return _date(xldate_as_datetime(cell.value, book.datemode))
        except (XLDateError, ValueError, OverflowError):
            return f"{cell.value:.15g}"
    if cell.ctype == xlrd.XL_CELL_NUMBER:
        number_format = book.format_map[book.xf_list[cell.xf_index].format_key].format_str
        return show_number(float(cell.value), str(number_format))
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return "TRUE" if cell.value else "FALSE"
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(cell.value, ""))
    return str(cell.value).strip()


def _date(value: dt.datetime) -> str:
    if value.year < 1900 or value.date() == dt.date(1899, 12, 31):
        return value.time().isoformat()
    return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ", "minutes")
