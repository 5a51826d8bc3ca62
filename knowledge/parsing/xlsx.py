"""Parses workbooks (XLSX): each sheet is a heading, and each run of rows between empty rows is a table.

The first row of a run is the table's header. A formula shows the value that was saved with it.
"""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import openpyxl
from defusedxml.common import DefusedXmlException
from lxml import etree  # type: ignore[import-untyped]
from openpyxl.utils.exceptions import InvalidFileException

from knowledge.errors import ParseError
from knowledge.parsing.csv_tables import MAX_ROWS, add_rows
from knowledge.parsing.document_builder import Builder, ParsedDocument

_DAMAGED = (
    *(InvalidFileException, zipfile.BadZipFile, etree.LxmlError, OSError, SyntaxError),
    *(ValueError, KeyError, TypeError, AttributeError, IndexError),
)
"""Errors that openpyxl raises for a damaged file."""


def parse(data: bytes) -> ParsedDocument:
    """Parse an XLSX file. Raises ParseError if it is damaged or empty, has too many rows or declares XML entities."""
    builder = Builder()
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        rows_left = MAX_ROWS
        for sheet in book.worksheets:
            builder.heading(1, sheet.title)
            sheet.reset_dimensions()
            for rows in _regions(sheet):
                rows_left -= len(rows)
                if rows_left < 0:
                    raise ParseError(f"it has more than {MAX_ROWS} rows; split it into smaller files")
                _add_region(builder, rows)
        title = str(book.properties.title or "").strip()
    except _DAMAGED as error:
        if isinstance(error, DefusedXmlException) or isinstance(error.__cause__, DefusedXmlException):
            raise ParseError("its XML declares entities, which are not allowed; save it again in Excel") from None
        raise ParseError("it is damaged and cannot be opened; save it again in Excel") from None
    parsed = builder.build(title)
    if all(block.kind == "heading" for block in parsed.blocks):
        raise ParseError("its sheets are empty; check that you chose the right file")
    return replace(parsed, title=title)


def _add_region(builder: Builder, rows: list[list[str]]) -> None:
    """Add a run of rows: a single cell as a paragraph, anything else as a table without empty columns at its left."""
    first = min(next(column for column, cell in enumerate(row) if cell) for row in rows)
    rows = [row[first:] for row in rows]
    if len(rows) == 1 and len(rows[0]) == 1:
        builder.add("paragraph", rows[0][0])
    else:
        add_rows(builder, rows)


def _regions(sheet: Any) -> Iterator[list[list[str]]]:
    """Yield the runs of rows between empty rows, without the empty cells at the end of a row."""
    region: list[list[str]] = []
    for cells in sheet.iter_rows():
        row = [_cell_text(cell) for cell in cells]
        while row and not row[-1]:
            row.pop()
        if row and len(region) <= MAX_ROWS:
            region.append(row)
        elif region:
            yield region
            region = []
    if region:
        yield region


def _cell_text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ", "minutes")
    if isinstance(value, float) and str(cell.number_format).endswith("%"):
        return f"{value * 100:.10g}%"
    return f"{value:.15g}" if isinstance(value, float) else str(value).strip()
