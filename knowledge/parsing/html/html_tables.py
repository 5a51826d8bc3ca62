"""Reads HTML tables as rows of cells, with merged cells repeated in each row, so that every value is in its column."""

from __future__ import annotations

from typing import Any

from knowledge.parsing.html.html_text import text_of
from knowledge.whole_numbers import whole_number

MAX_COLUMNS = 200
MAX_ROWSPAN = 5000
_LAYOUT_CONTENT = ("table", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "form", "article", "section", "nav")


def is_layout(table: Any) -> bool:
    """Return whether a table only arranges parts of a page, so that its cells are read one after the other."""
    if table.get("role") in ("presentation", "none"):
        return True
    if any(True for _ in table.iterdescendants(*_LAYOUT_CONTENT)):
        return True
    cells = [cell for row in rows_of(table) for cell in row]
    return len(cells) < 2 or any(len(list(cell.iter("p", "li"))) > 6 for cell in cells)


def rows_of(table: Any) -> list[list[Any]]:
    """Return the cell elements of each row of the table itself, not of tables inside it."""
    rows = [row for part in table for row in ([part] if part.tag == "tr" else part.iterchildren("tr"))]
    return [list(row.iterchildren("td", "th")) for row in rows]


def grid(table: Any) -> list[list[str]]:
    """Return the texts of a data table. A cell over several rows is repeated, and so is a header over columns."""
    result: list[list[str]] = []
    open_cells: dict[int, tuple[int, str]] = {}
    for cells in rows_of(table):
        row: list[str] = []
        for cell in cells:
            _add_open_cells(row, open_cells)
            text = text_of(cell)
            for column in range(min(_span(cell, "colspan"), MAX_COLUMNS - len(row))):
                shown = text if column == 0 or cell.tag == "th" else ""
                rows_below = _span(cell, "rowspan") - 1
                if rows_below > 0:
                    open_cells[len(row)] = (rows_below, shown)
                row.append(shown)
        _add_open_cells(row, open_cells)
        result.append(row)
    return result


def _add_open_cells(row: list[str], open_cells: dict[int, tuple[int, str]]) -> None:
    """Append the cells that reach down from rows above to the next free column."""
    while len(row) in open_cells and len(row) < MAX_COLUMNS:
        column = len(row)
        left, text = open_cells.pop(column)
        if left > 1:
            open_cells[column] = (left - 1, text)
        row.append(text)


def _span(cell: Any, name: str) -> int:
    return max(1, min(whole_number(str(cell.get(name) or "").strip()) or 1, MAX_ROWSPAN))
