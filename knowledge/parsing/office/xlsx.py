"""Parses workbooks (XLSX): each sheet is a heading, and each run of rows between empty rows is a table.

Numbers are shown by their format; a formula shows the value that was saved with it. Hidden sheets, rows and columns are
left out, and a warning says so.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import openpyxl
from defusedxml.common import DefusedXmlException
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException

from knowledge.errors import ParseError
from knowledge.parsing.csv_tables import MAX_ROWS, add_rows
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.office.ooxml_graphics import add_graphic, rich_text
from knowledge.parsing.office.ooxml_package import PACKAGE_ERRORS, Package, transitional
from knowledge.parsing.office.xlsx_cells import SheetCells, is_bold
from knowledge.parsing.office.xlsx_layout import SheetLayout, read_comments, read_drawings, read_layout, text_boxes
from knowledge.parsing.office.xlsx_tables import Row, Table, TableFinder, regions
from knowledge.parsing.parse_options import NO_OPTIONS, ParseOptions

_DAMAGED = (
    *PACKAGE_ERRORS,
    *(InvalidFileException, SyntaxError, AttributeError, IndexError),
)
"""Errors that openpyxl raises for a damaged file."""
_MAX_NAMED = 10
"""Hidden rows, columns and sheets that a warning names."""


def parse(data: bytes, options: ParseOptions = NO_OPTIONS) -> ParsedDocument:
    """Parse an XLSX file. ``options.include_hidden`` adds hidden sheets, rows and columns.

    Raises ParseError if it is damaged or empty, has too many rows or declares XML entities.
    """
    builder = Builder()
    try:
        data = transitional(data)
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        package = Package(data)
        rows_left = MAX_ROWS
        for sheet in book.worksheets:
            if sheet.sheet_state == "visible" or options.include_hidden:
                rows_left = _add_sheet(builder, sheet, package, rows_left, include_hidden=options.include_hidden)
        hidden = [sheet.title for sheet in book.worksheets if sheet.sheet_state != "visible"]
        if not options.include_hidden:
            warn_hidden(builder, "hidden sheets", hidden)
        title = str(book.properties.title or "").strip()
    except _DAMAGED as error:
        if isinstance(error, DefusedXmlException) or isinstance(error.__cause__, DefusedXmlException):
            raise ParseError("its XML declares entities, which are not allowed. Save it again in Excel") from None
        raise ParseError("it is damaged and cannot be opened. Save it again in Excel") from None
    parsed = builder.build(title)
    if all(block.kind == "heading" for block in parsed.blocks):
        only_hidden = "its visible sheets are empty. Add it with --include-hidden to read the hidden ones"
        raise ParseError(
            only_hidden if builder.warnings else "its sheets are empty. Check that you chose the right file"
        )
    return replace(parsed, title=title)


def _add_sheet(builder: Builder, sheet: Any, package: Package, rows_left: int, *, include_hidden: bool) -> int:
    """Add a sheet, and return how many rows further sheets may have."""
    builder.heading(1, sheet.title)
    part = sheet._worksheet_path
    layout = read_layout(package, part)
    if include_hidden:
        layout = SheetLayout(merges=layout.merges)
    else:
        columns = [get_column_letter(first) for first, _ in layout.hidden_columns]
        warn_hidden(builder, f"hidden columns of sheet {sheet.title}", columns)
    finder = TableFinder(layout.merges)
    hidden_rows: list[str] = []
    cells = SheetCells(sheet, package, part)
    for rows in regions(_rows(cells, layout, hidden_rows), MAX_ROWS):
        rows_left -= len(rows)
        if rows_left < 0:
            raise ParseError(f"it has more than {MAX_ROWS} rows. Split it into smaller files")
        add_table(builder, finder.table(rows))
    warn_hidden(builder, f"hidden rows of sheet {sheet.title}", hidden_rows)
    warn_damaged(builder, sheet.title, cells.damaged)
    _add_beside(builder, package, part, layout)
    return rows_left


def warn_hidden(builder: Builder, what: str, names: list[str]) -> None:
    """Warn that hidden parts were left out, by their names; without names nothing is said."""
    if names:
        more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
        builder.warn(f"{what} left out: {', '.join(names[:_MAX_NAMED])}{more}. Add them with --include-hidden")


def warn_damaged(builder: Builder, sheet: str, cells: Sequence[str]) -> None:
    """Warn that cells are damaged, by their names; without names nothing is said."""
    if cells:
        more = f" and {len(cells) - _MAX_NAMED} more" if len(cells) > _MAX_NAMED else ""
        named = ", ".join(cells[:_MAX_NAMED])
        builder.warn(f"damaged cells of sheet {sheet}: {named}{more}. They are shown as they are stored, or left out")


def add_table(builder: Builder, table: Table) -> None:
    """Add a table and the lines above it."""
    for line in table.above:
        builder.add("paragraph", line)
    add_rows(builder, [table.header, *table.rows])


def _add_beside(builder: Builder, package: Package, part: str, layout: SheetLayout) -> None:
    """Add comments, text boxes and charts. Of these, a damaged part is left out; the others are read."""
    try:
        for (row, column), text in read_comments(package, part):
            if text and not layout.is_hidden(row, column):
                builder.add("paragraph", f"Comment on {get_column_letter(column)}{row}: {text}")
        for drawing, graphics in read_drawings(package, part):
            for box in text_boxes(package.xml(drawing)):
                builder.add("paragraph", rich_text(box))
            for graphic in graphics:
                add_graphic(builder, package, graphic)
    except (*PACKAGE_ERRORS, ParseError):
        builder.warn("comments or text boxes of a sheet are damaged and were left out. Save it again in Excel")


def _rows(cells: SheetCells, layout: SheetLayout, hidden_rows: list[str]) -> Iterator[Row]:
    """Yield the rows that are shown, an empty one for those that are not stored between two of them.

    The numbers of hidden rows with values are added to ``hidden_rows``.
    """
    last = 0
    for number, stored in cells.rows():
        if number > last + 1:
            yield Row(last + 1, [])
        last = number
        if number in layout.hidden_rows:
            if any(cell.value is not None for cell in stored):
                hidden_rows.append(str(number))
            continue
        row = [cells.text(cell) for cell in stored]
        for first, end in layout.hidden_columns:
            row[first - 1 : end] = [""] * (min(end, len(row)) - first + 1)
        values = sum(1 << i for i, cell in enumerate(stored) if row[i] and not isinstance(cell.value, str))
        bold = is_bold([cell for i, cell in enumerate(stored) if row[i]])
        while row and not row[-1]:
            row.pop()
        yield Row(number, row, values, bold)
