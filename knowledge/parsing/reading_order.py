"""Puts the lines of a page into the order in which people read them: columns one after the other, tables row by row.

Coordinates are those of the page with the origin at the top left, in any unit.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

MIN_COLUMN_LINES = 4
"""Lines that each of two columns has at least."""
MAX_CROSSING = 0.4
"""Share of the lines that may cross the gap between two columns, as titles, wide figures and notes do."""
MIN_FILLED = 0.55
"""Share of its column's width that the middle one of the lines of a column has. Cells of tables are shorter."""
MIN_LINE_WORDS = 3
MIN_GAP = 0.7
"""Width of the gap between two columns, in line heights."""
MAX_LINES = 3000
"""A page with more lines is read in the order in which it was drawn."""


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of a line without a wide gap, and its place. ``spaced``: a space is written before it."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    spaced: bool = False

    @property
    def height(self) -> float:
        """The height of the line."""
        return self.bottom - self.top


def lines_of(words: Sequence[Word]) -> list[str]:
    """Return the lines of a page in reading order. What stands side by side is one line, unless it is in columns."""
    return [" ".join(word.text for word in row) for row in rows_in_order(words)]


def rows_in_order(words: Sequence[Word]) -> list[list[Word]]:
    """Return the rows of a page in reading order: column by column, and in a column from top to bottom."""
    found = columns(words)
    if found is None:
        return list(by_row(words))
    bands, gap = found
    ordered: list[list[Word]] = []
    for band in bands:
        left = [word for word in band if word.right <= gap]
        right = [word for word in band if word.left >= gap]
        if len(left) + len(right) < len(band):
            ordered += by_row(band)
        else:
            ordered += rows_in_order(left) if left else []
            ordered += rows_in_order(right) if right else []
    return ordered


def columns(words: Sequence[Word]) -> tuple[list[list[Word]], float] | None:
    """Return the bands of a page from top to bottom, and where the gap between its columns is; None without columns.

    A band is either what crosses the gap, or what stands beside it.
    """
    gap = gap_between_columns(words)
    if gap is None:
        return None
    left = [word for word in words if word.right <= gap]
    right = [word for word in words if word.left >= gap]
    if not is_prose_column(left) or not is_prose_column(right):
        return None
    return _bands(words, gap), gap


def gap_between_columns(words: Sequence[Word]) -> float | None:
    """Return the place that the fewest lines cross and that has lines on both sides; None if there is none."""
    lefts = sorted(word.left for word in words)
    rights = sorted(word.right for word in words)
    if not 2 * MIN_COLUMN_LINES <= len(words) <= MAX_LINES:
        return None
    width = MIN_GAP * median(word.height for word in words)
    found: list[tuple[int, int, float]] = []
    for start in sorted(set(lefts)):
        before, after = bisect_right(rights, start - width), len(words) - bisect_left(lefts, start)
        crossing = len(words) - before - after
        if min(before, after) >= MIN_COLUMN_LINES and crossing <= MAX_CROSSING * len(words):
            found.append((crossing, -min(before, after), start - width / 2))
    return min(found)[2] if found else None


def is_prose_column(words: Sequence[Word]) -> bool:
    """Return whether lines on one side of a gap are prose: about as wide as the column, with several words."""
    if len(words) < MIN_COLUMN_LINES:
        return False
    width = max(word.right for word in words) - min(word.left for word in words)
    filled = median(word.right - word.left for word in words) >= MIN_FILLED * width
    return filled and median(_size(word.text) for word in words) >= MIN_LINE_WORDS


def _size(text: str) -> float:
    """Return the number of words; in scripts without spaces, four characters count as a word."""
    wide = sum(char > "\u2e80" for char in text)
    return max(len(text.split()), wide / 4)


def _bands(words: Sequence[Word], gap: float) -> list[list[Word]]:
    """Return groups of words from top to bottom: those that cross the gap, and those between two of them."""
    crossing = sorted((word for word in words if word.left < gap < word.right), key=lambda word: word.top)
    beside = [word for word in words if not word.left < gap < word.right]
    bands: list[list[Word]] = [[]]
    places = [(word.top + word.bottom) / 2 for word in crossing]
    spaces: list[list[Word]] = [[] for _ in range(len(places) + 1)]
    for word in beside:
        spaces[sum(place < (word.top + word.bottom) / 2 for place in places)].append(word)
    for index, space in enumerate(spaces):
        if space:
            bands += [space, []]
        if index < len(crossing):
            bands[-1].append(crossing[index])
    return [band for band in bands if band]


def by_row(words: Iterable[Word]) -> Iterable[list[Word]]:
    """Yield the words that stand side by side together, from left to right; the highest first."""
    row: list[Word] = []
    bottom = 0.0
    for word in sorted(words, key=lambda word: (word.top + word.bottom) / 2):
        middle = (word.top + word.bottom) / 2
        if row and middle > bottom:
            yield sorted(row, key=lambda word: word.left)
            row = []
        if not row:
            bottom = middle + word.height / 2
        row.append(word)
    if row:
        yield sorted(row, key=lambda word: word.left)
