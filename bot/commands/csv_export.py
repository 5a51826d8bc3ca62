"""Writes CSV files that people open in a spreadsheet, with cells that no spreadsheet runs as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of a formula: https://owasp.org/www-community/attacks/CSV_Injection.

The last four are the full-width forms of the first four, which some spreadsheets convert.
"""


def text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return the rows as CSV, header first. Text that a spreadsheet would take for a formula gets a leading quote.

    All text stands in double quotes: where spreadsheets separate cells by semicolons, one in a text would begin a cell.
    """
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([inert(cell) for cell in header])
    writer.writerows([inert(cell) for cell in row] for row in rows)
    return out.getvalue()


def inert(cell: object) -> object:
    """Return the cell, with a leading quote if it is text that starts like a formula. Numbers stay as they are."""
    is_formula = isinstance(cell, str) and (cell.startswith(FORMULA_STARTS) or cell.strip().startswith(FORMULA_STARTS))
    return f"'{cell}" if is_formula else cell
