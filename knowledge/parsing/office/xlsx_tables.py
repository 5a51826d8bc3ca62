"""Finds the tables of a worksheet: title rows, header rows of one or more levels, and headers that hold across gaps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from knowledge.parsing.office.xlsx_layout import Merge

MAX_REPEATED = 100
"""Characters of a merged cell's text that is repeated in each cell of its range."""
MAX_HEADER_ROWS = 4
MAX_LINES = 3
"""Rows of a single cell each that are lines of text; more of them are a table."""


class Row(NamedTuple):
    """A row of a sheet."""

    number: int
    cells: list[str]
    """The texts as shown, from the first column on."""
    values: int = 0
    """A bit for each column whose cell is no text but a number, a date or a truth value."""
    bold: bool = False
    """Whether every text is bold."""


@dataclass(slots=True)
class Table:
    """A table with one header row; ``above`` are the lines of text over it."""

    above: list[str] = field(default_factory=list)
    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


@dataclass(slots=True)
class _Header:
    names: list[str]
    columns: set[int]


class TableFinder:
    """Turns the runs of rows between empty rows of one sheet into tables, from top to bottom."""

    def __init__(self, merges: Iterable[Merge]) -> None:
        self._merges: dict[int, list[Merge]] = {}
        for merge in merges:
            self._merges.setdefault(merge.top, []).append(merge)
        self._header: _Header | None = None

    def table(self, rows: list[Row]) -> Table:
        """Return the table of a run of rows. A run without a header of its own has the header of the run above it."""
        found = Table()
        while len(rows) > 1 and _filled(rows[0]) == 1 < max(map(_filled, rows[1:])) and not self._merged_down(rows[0]):
            found.above.append(next(filter(None, rows[0].cells)))
            rows = rows[1:]
        if len(rows) <= MAX_LINES and max(map(_filled, rows)) == 1:
            found.above += ["".join(row.cells) for row in rows]
            return found
        columns = {index for row in rows for index, text in enumerate(row.cells) if text}
        inherited = self._inherited(rows, columns)
        depth = 0 if inherited else self._header_rows(rows)
        texts = self._texts(rows)
        if inherited:
            found.header = list(inherited.names)
        else:
            found.header = _joined(texts[:depth])
            self._header = _Header(list(found.header), columns)
        found.rows = texts[depth:]
        _drop_empty_columns(found)
        return found

    def _inherited(self, rows: Sequence[Row], columns: set[int]) -> _Header | None:
        header = self._header
        if header is None or not columns <= header.columns or len(header.columns) < 2 or _is_header(rows):
            return None
        return header

    def _merged_down(self, row: Row) -> bool:
        return any(merge.bottom > row.number for merge in self._merges.get(row.number, ()))

    def _header_rows(self, rows: Sequence[Row]) -> int:
        """Return how many rows the header has: merged labels stand over the rows of their parts."""
        first = rows[0].number
        merges = self._merges.get(first, ())
        last = max((merge.bottom for merge in merges), default=first)
        if any(merge.right > merge.left for merge in merges):
            last = max(last, first + 1)
        depth = 1
        while depth < min(len(rows) - 1, MAX_HEADER_ROWS) and rows[depth].number <= last and not rows[depth].values:
            depth += 1
        return depth

    def _texts(self, rows: Sequence[Row]) -> list[list[str]]:
        """Return the texts of the rows, with the text of a merged range in each of its cells."""
        texts = [row.cells for row in rows]
        places = {row.number: index for index, row in enumerate(rows)}
        for merge in (merge for row in rows for merge in self._merges.get(row.number, ())):
            source = texts[places[merge.top]]
            text = source[merge.left - 1] if merge.left <= len(source) else ""
            if not text or len(text) > MAX_REPEATED or (sum(map(bool, source)) == 1 and merge.bottom == merge.top):
                continue
            for number in range(merge.top, min(merge.bottom, rows[-1].number) + 1):
                if number in places:
                    _fill(texts[places[number]], merge, text)
        return texts


def regions(rows: Iterable[Row], most: int) -> Iterator[list[Row]]:
    """Yield the runs of rows between empty rows. A run has at most ``most`` rows."""
    region: list[Row] = []
    for row in rows:
        if any(row.cells) and len(region) <= most:
            region.append(row)
        elif region:
            yield region
            region = []
    if region:
        yield region


def _fill(row: list[str], merge: Merge, text: str) -> None:
    row += [""] * (merge.right - len(row))
    for column in range(merge.left - 1, merge.right):
        row[column] = row[column] or text


def _filled(row: Row) -> int:
    return sum(map(bool, row.cells))


def _is_header(rows: Sequence[Row]) -> bool:
    """Return whether the first row looks unlike the rows below it: text over values, or bold over plain."""
    first, rest = rows[0], rows[1:]
    if not rest or first.values:
        return False
    if first.bold:
        return not all(row.bold for row in rest)
    return any(row.values & _mask(first) for row in rest)


def _mask(row: Row) -> int:
    return sum(1 << index for index, text in enumerate(row.cells) if text)


def _joined(rows: list[list[str]]) -> list[str]:
    """Return one header of several rows: a label over the names of its parts stands before each of them."""
    width = max(map(len, rows), default=0)
    columns = ([row[column] for row in rows if column < len(row) and row[column]] for column in range(width))
    return [" ".join(dict.fromkeys(names)) for names in columns]


def _drop_empty_columns(table: Table) -> None:
    """Remove the columns that no row of the table and no name fills."""
    width = max(map(len, (table.header, *table.rows)), default=0)
    for row in (table.header, *table.rows):
        row += [""] * (width - len(row))
    kept = [c for c in range(width) if table.header[c] or any(row[c] for row in table.rows)]
    table.header = [table.header[c] for c in kept]
    table.rows = [[row[c] for c in kept] for row in table.rows]
