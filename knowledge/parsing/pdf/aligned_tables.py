"""Finds tables without ruled lines, by the alignment of their text. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from knowledge.parsing.reading_order import Word, by_row, is_prose_column

MIN_ROWS = 3
MIN_CELL_GAP = 1.2
"""Width of the gap between two cells of a row, in heights of letters."""
MAX_ROW_GAP = 2.2
"""Space between two rows of a table, in heights of letters."""
MIN_FILLED = 0.5
"""Share of the cells of a table that have text."""
MIN_FILLED_WITHOUT_NUMBERS = 0.75
"""The same for a table without numbers. The texts of a flow chart fill fewer."""
ALIGNED = 2.5
"""Points by which the edges of the cells of a column differ."""
MIN_ALIGNED = 0.7
"""Share of the cells of a column whose left edges, right edges or middles are the same."""
MAX_CELL_WORDS = 12
MAX_HEADER_WORDS = 6
WRAPPED = 0.6
"""Space, in heights of letters, above a line that continues the cell above it."""
_NUMBER = re.compile(
    r"[(\-+−–]?\s?\W{0,2}\d[\d.,:/'’ \u00a0\u202f%-]*\W{0,3}(?:[A-Z]{3}|[a-z]{1,3})?\)?|[-–—]|n/?a", re.I
)


@dataclass(frozen=True, slots=True)
class AlignedTable:
    """Rows of cells. ``anchors`` is where each column is aligned, and ``members`` are the places of its words.

    ``has_header``: the first row names the columns. A table without may go on from the page before.
    """

    rows: list[list[str]]
    has_header: bool
    anchors: tuple[float, ...]
    box: tuple[float, float, float, float]
    members: frozenset[int]


@dataclass(slots=True)
class _Row:
    """The cells of a row from left to right: a word of the joined text, and the places of the words it is made of."""

    cells: list[Word]
    members: list[list[int]]

    @property
    def top(self) -> float:
        return min(cell.top for cell in self.cells)

    @property
    def bottom(self) -> float:
        return max(cell.bottom for cell in self.cells)

    @property
    def height(self) -> float:
        return max(cell.height for cell in self.cells)


def may_have_tables(words: Sequence[Word]) -> bool:
    """Return whether the places of words, whose text is not needed, look like a table."""
    return any(True for _ in _regions(words))


def aligned_tables(words: Sequence[Word]) -> list[AlignedTable]:
    """Return the tables among the words of a page, the highest first."""
    return [table for region in _regions(words) if (table := _table(region)) is not None]


def _regions(words: Sequence[Word]) -> Iterator[list[_Row]]:
    """Yield runs of rows that share columns and stand close together."""
    run: list[_Row] = []
    for row in _rows(words):
        if run and row.top - run[-1].bottom > MAX_ROW_GAP * min(row.height, run[-1].height):
            yield from _finished(run)
            run = []
        while run and not _fits([*run, row]):
            # A row across the columns ends the table, unless it stands above all others.
            if _full(run) >= MIN_ROWS:
                yield from _finished(run)
                run = []
            else:
                run = run[1:]
        if run or len(row.cells) > 1:
            run.append(row)
    yield from _finished(run)


def _finished(run: list[_Row]) -> Iterator[list[_Row]]:
    while run and len(run[-1].cells) < 2 and not _continues_cell(run):
        run = run[:-1]
    if _full(run) >= MIN_ROWS and _is_aligned(run):
        yield run


def _continues_cell(run: Sequence[_Row]) -> bool:
    """Return whether the last row continues the cells of the row above it."""
    return len(run) > 1 and run[-1].top - run[-2].bottom < WRAPPED * run[-1].height


def _full(rows: Sequence[_Row]) -> int:
    """Return the number of rows with at least two cells."""
    return sum(len(row.cells) > 1 for row in rows)


def _rows(words: Sequence[Word]) -> Iterator[_Row]:
    places = {id(word): place for place, word in enumerate(words)}
    for found in by_row(words):
        row = _Row([], [])
        for word in found:
            height = min(word.height, row.cells[-1].height) if row.cells else 0.0
            if row.cells and word.left - row.cells[-1].right < MIN_CELL_GAP * height:
                row.cells[-1] = _joined(row.cells[-1], word)
                row.members[-1].append(places[id(word)])
            else:
                row.cells.append(word)
                row.members.append([places[id(word)]])
        yield row


def _joined(before: Word, after: Word) -> Word:
    return Word(
        f"{before.text} {after.text}",
        before.left,
        min(before.top, after.top),
        max(before.right, after.right),
        max(before.bottom, after.bottom),
    )


def _columns(rows: Sequence[_Row]) -> list[tuple[float, float]]:
    """Return the left and right end of each column: the places between which no row has text."""
    columns: list[tuple[float, float]] = []
    for cell in sorted((cell for row in rows for cell in row.cells), key=lambda cell: cell.left):
        if columns and cell.left <= columns[-1][1]:
            columns[-1] = (columns[-1][0], max(columns[-1][1], cell.right))
        else:
            columns.append((cell.left, cell.right))
    return columns


def _column_of(cell: Word, columns: Sequence[tuple[float, float]]) -> int:
    return next(index for index, (left, right) in enumerate(columns) if left <= cell.left and cell.right <= right)


def _fits(rows: Sequence[_Row]) -> bool:
    """Return whether no two cells of a row stand in one column, and there are at least two columns."""
    columns = _columns(rows)
    if len(columns) < 2 and _full(rows):
        return False
    return all(len({_column_of(cell, columns) for cell in row.cells}) == len(row.cells) for row in rows)


def _is_aligned(rows: Sequence[_Row]) -> bool:
    """Return whether the cells of each column have an edge in common, as those of drawings seldom have."""
    columns = _columns(rows)
    cells = _by_column(rows, columns)
    if sum(map(len, cells)) < MIN_FILLED * len(columns) * _full(rows):
        return False
    if sum(is_prose_column(column) for column in cells) > 1:
        return False
    below_header = _by_column(rows[1:], columns)
    return all(_anchor(column)[1] >= MIN_ALIGNED for column in below_header if len(column) > 1)


def _by_column(rows: Sequence[_Row], columns: Sequence[tuple[float, float]]) -> list[list[Word]]:
    """Return the cells of each column."""
    cells: list[list[Word]] = [[] for _ in columns]
    for row in rows:
        for cell in row.cells:
            cells[_column_of(cell, columns)].append(cell)
    return cells


def _anchor(cells: Sequence[Word]) -> tuple[float, float]:
    """Return where most cells of a column are aligned, and their share."""
    edges = (
        [cell.left for cell in cells],
        [cell.right for cell in cells],
        [(cell.left + cell.right) / 2 for cell in cells],
    )
    found = []
    for places in edges:
        middle = median(places)
        found.append((middle, sum(abs(place - middle) <= ALIGNED for place in places) / len(places)))
    return max(found, key=lambda one: one[1])


def _table(rows: Sequence[_Row]) -> AlignedTable | None:
    """Return the table of a region; None if it has few rows or long cells."""
    columns = _columns(rows)
    lines: list[list[str]] = []
    above: _Row | None = None
    for row in rows:
        line = [""] * len(columns)
        for cell in row.cells:
            line[_column_of(cell, columns)] = " ".join(cell.text.split())
        if above is not None and _continues_line(line, lines, row, above):
            lines[-1] = [" ".join(filter(None, pair)) for pair in zip(lines[-1], line, strict=True)]
        else:
            lines.append(line)
        above = row
    if len(lines) < MIN_ROWS:
        return None
    words = [len(cell.split()) for line in lines for cell in line if cell]
    if median(words) > MAX_CELL_WORDS:
        return None
    members = frozenset(place for row in rows for cell in row.members for place in cell)
    cells = [cell for row in rows for cell in row.cells]
    box = (
        min(cell.left for cell in cells),
        min(cell.top for cell in cells),
        max(cell.right for cell in cells),
        max(cell.bottom for cell in cells),
    )
    has_header = _has_header(lines)
    values = _by_column(rows[1:] if has_header else rows, columns)
    if not all(values):
        return None
    return AlignedTable(lines, has_header, tuple(_anchor(column)[0] for column in values), box, members)


def _continues_line(line: Sequence[str], lines: Sequence[list[str]], row: _Row, above: _Row) -> bool:
    """Return whether a row continues the cells of the one above: a line that was too long for its cell, or a header."""
    if row.top - above.bottom >= WRAPPED * row.height:
        return False
    below = [index for index, cell in enumerate(line) if cell]
    if any(_is_number(line[index]) for index in below):
        return False
    if len(lines) == 1 and not any(map(_is_number, lines[0])):
        # The first line of a header may be shorter than the second, in which the other columns are named.
        return not all(lines[0]) and len(below) >= sum(map(bool, lines[0])) and _complete(lines[0], line)
    return len(below) < len(line) and all(lines[-1][index] for index in below) and len(below) <= len(line) / 2


def _complete(first: Sequence[str], second: Sequence[str]) -> bool:
    return all(a or b for a, b in zip(first, second, strict=True))


def _has_header(lines: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row names the columns in few words: above numbers, or three and more above texts."""
    header, body = lines[0], lines[1:]
    named = [cell for cell in header if cell]
    if not all(header[1:]) or len(named) < 2 or any(map(_is_number, named)):
        return False
    if any(len(cell.split()) > MAX_HEADER_WORDS for cell in named):
        return False
    numeric = [
        index
        for index in range(len(header))
        if (values := [line[index] for line in body if line[index]]) and _mostly_numbers(values)
    ]
    if numeric:
        return True
    filled = sum(bool(cell) for line in lines for cell in line) / (len(lines) * len(header))
    return len(header) > 2 and all(header) and filled >= MIN_FILLED_WITHOUT_NUMBERS


def _mostly_numbers(values: Sequence[str]) -> bool:
    return sum(map(_is_number, values)) > len(values) / 2


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text.strip()))
