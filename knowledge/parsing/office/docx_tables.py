"""Reads tables of Word documents: each value under its column, merged cells repeated, nested tables in their cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from knowledge.parsing.csv_tables import add_rows
from knowledge.parsing.document_builder import Builder
from knowledge.parsing.office.docx_text import ParagraphText
from knowledge.parsing.office.ooxml_package import CELL_ERRORS, attribute, child, descendants, local_name
from knowledge.whole_numbers import whole_number

MAX_REPEATED = 100
"""Characters of a merged cell's text that is repeated in each column and row that the cell spans."""
MAX_COLUMNS = 1000
_WRAPPERS = frozenset(("sdt", "sdtContent", "customXml", "ins", "smartTag"))


class Writer(Protocol):
    """The writer of the document around the table."""

    builder: Builder

    def blocks(self, container: Any) -> None:
        """Add the blocks of a container."""

    def cell_text(self, cell: Any, beside: list[ParagraphText]) -> str:
        """Return the text of a cell without nested tables."""

    def beside(self, found: ParagraphText) -> None:
        """Add what stands beside a paragraph."""


def add_table(writer: Writer, table: Any) -> None:
    """Add a table. A table of one column only gives the page its layout: its cells are written as blocks."""
    rows = [_cells(row) for row in _rows(table)]
    if all(len(row) <= 1 for row in rows):
        for cell in (cell for row in rows for _, cell in row):
            writer.blocks(cell)
        return
    beside: list[ParagraphText] = []
    add_rows(writer.builder, _grid(writer, rows, beside))
    for found in beside:
        writer.beside(found)


def _grid(writer: Writer, rows: list[list[tuple[int, Any]]], beside: list[ParagraphText]) -> list[list[str]]:
    grid: list[list[str]] = []
    above: dict[int, str] = {}
    for row in rows:
        cells: list[str] = []
        for column, cell in row:
            cells += [""] * (column - len(cells))
            span = _span(cell)
            merge = child(cell, "tcPr", "vMerge")
            continued = merge is not None and attribute(merge, "val") != "restart"
            text = above.get(column, "") if continued else _text_or_warning(writer, cell, beside)
            above[column] = text if merge is not None and len(text) <= MAX_REPEATED else ""
            alone = len(row) == 1
            cells += [text, *([text if len(text) <= MAX_REPEATED and not alone else ""] * (span - 1))]
        grid.append(cells)
    return grid


def _text_or_warning(writer: Writer, cell: Any, beside: list[ParagraphText]) -> str:
    try:
        return _text(writer, cell, beside)
    except CELL_ERRORS:
        writer.builder.warn("a cell of a table is damaged and was left out. Save the document again in Word")
        return ""


def _text(writer: Writer, cell: Any, beside: list[ParagraphText]) -> str:
    """Return the text of a cell; the rows of a nested table follow it, separated by semicolons."""
    parts = [writer.cell_text(cell, beside)]
    for table in (t for t in descendants(cell, "tbl") if _nearest_cell(t) is cell):
        rows = ([_text(writer, inner, beside) for _, inner in _cells(row)] for row in _rows(table))
        parts.append("; ".join(", ".join(filter(None, row)) for row in rows if any(row)))
    return "\n".join(part for part in parts if part.strip())


def _nearest_cell(table: Any) -> Any:
    return next((e for e in table.iterancestors() if local_name(e) in ("tc", "txbxContent")), None)


def _rows(table: Any) -> Iterator[Any]:
    """Yield the rows that are not deleted, also from inside content controls."""
    for item in table:
        name = local_name(item)
        if name == "tr" and child(item, "trPr", "del") is None:
            yield item
        elif name in _WRAPPERS:
            yield from _rows(item)


def _cells(row: Any) -> list[tuple[int, Any]]:
    """Return the cells of a row, each with its first column."""
    column = _number(child(row, "trPr", "gridBefore"), 0)
    cells: list[tuple[int, Any]] = []
    for cell in _flat_cells(row):
        cells.append((column, cell))
        column = min(column + _span(cell), MAX_COLUMNS)
    return cells


def _flat_cells(row: Any) -> Iterator[Any]:
    for item in row:
        name = local_name(item)
        if name == "tc":
            yield item
        elif name in _WRAPPERS:
            yield from _flat_cells(item)


def _span(cell: Any) -> int:
    return max(1, _number(child(cell, "tcPr", "gridSpan"), 1))


def _number(element: Any, default: int) -> int:
    written = whole_number(attribute(element, "val"))
    return default if written is None else min(written, MAX_COLUMNS)
