"""Parses CSV and TSV files into tables of a few rows each, so that each table fits into one chunk."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter

from knowledge.errors import ParseError
from knowledge.parsing.document_builder import Builder, ParsedDocument

ROWS_PER_TABLE = 20
"""Rows of one table. Each table repeats the header row, so that a chunk names its columns."""
MAX_ROWS = 200_000
DELIMITERS = ",;\t|^~"
SAMPLE_ROWS = 50
"""Rows by which the delimiter is told."""
_SEPARATOR_LINE = re.compile(r"\A(?:sep|SEP|Sep)=(.)\n")


def parse(text: str) -> ParsedDocument:
    """Parse CSV whose first row names the columns. A first line such as ``sep=;`` names the delimiter.

    Raises ParseError.
    """
    csv.field_size_limit(max(len(text), 1))
    named = _SEPARATOR_LINE.match(text)
    body = text[named.end() :] if named else text
    try:
        delimiter = named.group(1) if named else _delimiter(body)
        rows = [row for row in csv.reader(io.StringIO(body), delimiter=delimiter) if any(map(str.strip, row))]
    except csv.Error:
        raise ParseError("it is not valid CSV. Save it as CSV again") from None
    if len(rows) > MAX_ROWS:
        raise ParseError(f"it has {len(rows)} rows, more than {MAX_ROWS}. Split it into smaller files")
    builder = Builder()
    add_rows(builder, rows)
    return builder.build()


def add_rows(builder: Builder, rows: list[list[str]]) -> None:
    """Add the rows as tables of at most ``ROWS_PER_TABLE`` rows; each begins with the header row ``rows[0]``."""
    for start in range(1, max(2, len(rows)), ROWS_PER_TABLE):
        builder.table([*rows[:1], *rows[start : start + ROWS_PER_TABLE]])


def _delimiter(text: str) -> str:
    """Return the delimiter that gives most rows the same number of columns, and of those the most columns."""
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        widths = []
        for row in csv.reader(io.StringIO(text), delimiter=delimiter):
            if any(map(str.strip, row)):
                widths.append(len(row))
            if len(widths) == SAMPLE_ROWS:
                break
        width, count = Counter(widths).most_common(1)[0] if widths else (1, 0)
        score = (round(count / max(len(widths), 1), 1), width)
        if width > 1 and score > best_score:
            best, best_score = delimiter, score
    return best
