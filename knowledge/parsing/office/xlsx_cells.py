"""Reads the cells of a worksheet row by row. A damaged cell does not fail the workbook: it shows what is stored.

openpyxl interprets the cells, but refuses the whole workbook if one of them is damaged.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from openpyxl.cell.read_only import EMPTY_CELL, ReadOnlyCell
from openpyxl.utils.cell import coordinate_to_tuple, get_column_letter
from openpyxl.worksheet._reader import VALUE_TAG, WorkSheetParser

from knowledge.parsing.office.number_format import show_duration, show_number
from knowledge.parsing.office.ooxml_package import CELL_ERRORS, Package, attribute, descendants, parse_events

_SHARED = "s"


class SheetCells:
    """The cells of one sheet. ``damaged`` are the names of those that cannot be interpreted, such as ``B2``."""

    def __init__(self, sheet: Any, package: Package, part: str) -> None:
        book = sheet.parent
        self.damaged: list[str] = []
        self._sheet = sheet
        self._package = package
        self._part = part
        self._reader = _Reader(
            self.damaged,
            sheet._shared_strings,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )

    def rows(self) -> Iterator[tuple[int, list[Any]]]:
        """Yield the number of each row that is stored, from 1 and rising, and its cells from the first column on."""
        last = 0
        for element in parse_events(self._package, self._part, ("row",)):
            number, found = self._reader.parse_row(element)
            if number <= last:
                continue
            last = number
            row: list[Any] = [EMPTY_CELL] * max((cell["column"] for cell in found), default=0)
            for cell in found:
                row[cell["column"] - 1] = ReadOnlyCell(self._sheet, **cell)
            yield number, row

    def text(self, cell: Any) -> str:
        """Return the text that a cell shows."""
        return shown(cell, _text, lambda: self.damaged.append(cell.coordinate))


def shown(cell: Any, show: Callable[[Any], str], damaged: Callable[[], None]) -> str:
    """Return what a cell shows. If that cannot be told, ``damaged`` is called, and its value is shown as it is."""
    try:
        return show(cell)
    except CELL_ERRORS:
        damaged()
        return str(cell.value).strip()


def is_bold(cells: Sequence[Any]) -> bool:
    """Return whether the font of all cells is bold. One whose style is missing is not."""
    try:
        return all(cell.font and cell.font.b for cell in cells)
    except CELL_ERRORS:
        return False


class _Reader(WorkSheetParser):  # type: ignore[misc]
    row_counter: int
    col_counter: int

    def __init__(self, damaged: list[str], shared_strings: Sequence[str], **formats: Any) -> None:
        super().__init__(None, shared_strings, data_only=True, **formats)
        self._damaged = damaged

    def parse_row(self, row: Any) -> tuple[int, list[dict[str, Any]]]:
        """Return the number of a row and its cells. One with a damaged number follows the row before it."""
        number = attribute(row, "r")
        if number and not (number.isascii() and number.isdigit()):
            row.set("r", str(self.row_counter + 1))
        parsed: tuple[int, list[dict[str, Any]]] = super().parse_row(row)
        return parsed

    def parse_cell(self, element: Any) -> dict[str, Any]:
        """Return a cell. A damaged one shows its stored text, but not the number of a shared text that is missing."""
        before = self.col_counter
        try:
            cell: dict[str, Any] = super().parse_cell(element)
        except CELL_ERRORS:
            column = _column(attribute(element, "r"), before + 1)
            self.col_counter = column
            self._damaged.append(f"{get_column_letter(column)}{self.row_counter}")
            text = "".join(e.text or "" for e in descendants(element, "t")) or element.findtext(VALUE_TAG) or ""
            return {
                "row": self.row_counter,
                "column": column,
                "value": None if attribute(element, "t") == _SHARED else text.strip() or None,
                "data_type": _SHARED,
            }
        return cell


def _column(coordinate: str, following: int) -> int:
    """Return the column that a coordinate names, from 1; if it names none, the one that follows."""
    try:
        return int(coordinate_to_tuple(coordinate)[1])
    except CELL_ERRORS:
        return following


def _text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ", "minutes")
    if isinstance(value, dt.timedelta):
        return show_duration(value, str(cell.number_format))
    if isinstance(value, int | float):
        return show_number(value, str(cell.number_format))
    return str(value).strip()
