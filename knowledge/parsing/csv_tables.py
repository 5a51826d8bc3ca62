"""Parses CSV and TSV files into tables of a few rows each, so that each table fits into one chunk."""

from __future__ import annotations

import csv
import io

from knowledge.errors import ParseError
from knowledge.parsing.document_builder import Builder, ParsedDocument

ROWS_PER_TABLE = 20
"""Rows of one table. Each table repeats the header row, so that a chunk names its columns."""
MAX_ROWS = 200_000


def parse(text: str) -> ParsedDocument:
    """Parse CSV whose first row names the columns. Raises ParseError."""
    try:
        dialect = csv.Sniffer().sniff(text[:8192], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    try:
        rows = [row for row in csv.reader(io.StringIO(text), dialect) if any(map(str.strip, row))]
    except csv.Error:
        raise ParseError("it is not valid CSV; save it as CSV again") from None
    if len(rows) > MAX_ROWS:
        raise ParseError(f"it has {len(rows)} rows, more than {MAX_ROWS}; split it into smaller files")
    builder = Builder()
    add_rows(builder, rows)
    return builder.build()


def add_rows(builder: Builder, rows: list[list[str]]) -> None:
    """Add the rows as tables of at most ``ROWS_PER_TABLE`` rows; each begins with the header row ``rows[0]``."""
    for start in range(1, max(2, len(rows)), ROWS_PER_TABLE):
        builder.table([*rows[:1], *rows[start : start + ROWS_PER_TABLE]])
