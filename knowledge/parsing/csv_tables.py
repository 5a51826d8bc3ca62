"""CSV: rows under their columns, in tables short enough to be one chunk each."""

from __future__ import annotations

import csv
import io

from knowledge.errors import ParseError
from knowledge.parsing.document_builder import Builder, Parsed

ROWS = 20
"""Rows of one table; each repeats the head, so that a chunk says what its columns are."""
MAX_ROWS = 200_000


def parse(text: str) -> Parsed:
    """The first row names the columns. Raises ParseError."""
    try:
        dialect = csv.Sniffer().sniff(text[:8192], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    try:
        rows = [row for row in csv.reader(io.StringIO(text), dialect) if any(map(str.strip, row))]
    except csv.Error:
        raise ParseError("it is no table that can be read; save it as CSV again") from None
    if len(rows) > MAX_ROWS:
        raise ParseError(f"it has {len(rows)} rows, more than {MAX_ROWS}; split it")
    builder = Builder()
    add_rows(builder, rows)
    return builder.build()


def add_rows(builder: Builder, rows: list[list[str]]) -> None:
    """Tables of some rows each, under the first row."""
    for start in range(1, max(2, len(rows)), ROWS):
        builder.table([*rows[:1], *rows[start : start + ROWS]])
