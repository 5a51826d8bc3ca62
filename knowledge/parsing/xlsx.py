"""Workbooks (XLSX): a sheet is a heading, a run of rows without an empty one a table under its first row.

A formula shows the value that was saved with it.
"""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Iterator
from typing import Any

import openpyxl
from defusedxml.common import DefusedXmlException
from lxml import etree  # type: ignore[import-untyped]
from openpyxl.utils.exceptions import InvalidFileException

from knowledge.errors import ParseError
from knowledge.parsing.csv_tables import MAX_ROWS, add_rows
from knowledge.parsing.document_builder import Builder, Parsed

_BROKEN = (
    *(InvalidFileException, zipfile.BadZipFile, etree.LxmlError, OSError, SyntaxError),
    *(ValueError, KeyError, TypeError, AttributeError, IndexError),
)
"""What openpyxl raises over a file that is not as it should be."""


def parse(data: bytes) -> Parsed:
    """Raises ParseError: broken, too many rows, XML entities."""
    builder = Builder()
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        left = MAX_ROWS
        for sheet in book.worksheets:
            builder.heading(1, sheet.title)
            sheet.reset_dimensions()
            for rows in _regions(sheet):
                left -= len(rows)
                if left < 0:
                    raise ParseError(f"it has more than {MAX_ROWS} rows; split it")
                _region(builder, rows)
        title = str(book.properties.title or "").strip()
    except _BROKEN as error:
        if isinstance(error, DefusedXmlException) or isinstance(error.__cause__, DefusedXmlException):
            raise ParseError("its XML declares entities, which no workbook needs; save it again") from None
        raise ParseError("it is broken: Excel's own parts are missing in it; save it again") from None
    parsed = builder.build(title)
    if all(block.kind == "heading" for block in parsed.blocks):
        raise ParseError("its sheets are empty")
    return Parsed(title, parsed.text, parsed.blocks)


def _region(builder: Builder, rows: list[list[str]]) -> None:
    """A lone cell is a remark; the rest is a table without the columns that are empty in front of it."""
    first = min(next(place for place, cell in enumerate(row) if cell) for row in rows)
    rows = [row[first:] for row in rows]
    if len(rows) == 1 and len(rows[0]) == 1:
        builder.add("paragraph", rows[0][0])
    else:
        add_rows(builder, rows)


def _regions(sheet: Any) -> Iterator[list[list[str]]]:
    """Runs of rows between empty ones; the empty cells at the end of a row are left out."""
    region: list[list[str]] = []
    for cells in sheet.iter_rows():
        row = [_words(cell) for cell in cells]
        while row and not row[-1]:
            row.pop()
        if row and len(region) <= MAX_ROWS:
            region.append(row)
        elif region:
            yield region
            region = []
    if region:
        yield region


def _words(cell: Any) -> str:
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
