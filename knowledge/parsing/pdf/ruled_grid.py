"""Finds the cells of tables from the lines that are drawn around them. Does no I/O."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SNAP = 3.0
"""Lines that are so close together, in points, are one line, and lines that end so close to another one meet it."""
MAX_RULES = 2000
"""Lines of a page that are looked at. A drawing has more."""
MAX_SLOTS = 20_000


@dataclass(frozen=True, slots=True)
class Rule:
    """A horizontal or vertical line. ``at`` is where it is, across itself; it runs from ``start`` to ``end``."""

    horizontal: bool
    at: float
    start: float
    end: float

    def meets(self, other: Rule) -> bool:
        """Return whether this line and one of the other direction cross or touch each other."""
        along = other.start - SNAP <= self.at <= other.end + SNAP
        return along and self.start - SNAP <= other.at <= self.end + SNAP


@dataclass(frozen=True, slots=True)
class Grid:
    """Columns and rows between lines. ``cells`` has a number for each place; a merged cell has the same in several."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    cells: tuple[tuple[int, ...], ...]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        return self.xs[0], self.ys[0], self.xs[-1], self.ys[-1]

    def cell_at(self, x: float, y: float) -> int | None:
        """Return the number of the cell at a point; None outside."""
        row, column = _between(self.ys, y), _between(self.xs, x)
        return None if row is None or column is None else self.cells[row][column]


def grids_of(rules: Sequence[Rule]) -> list[Grid]:
    """Return the grids of at least two rows and columns, the highest first."""
    if len(rules) > MAX_RULES:
        return []
    found = (_grid(group) for group in _connected(_merged(rules)))
    return sorted((grid for grid in found if grid is not None), key=lambda grid: (grid.ys[0], grid.xs[0]))


def _between(places: Sequence[float], at: float) -> int | None:
    index = bisect_right(places, at) - 1
    return index if 0 <= index < len(places) - 1 else None


def _merged(rules: Sequence[Rule]) -> list[Rule]:
    """Join the pieces of lines, which are often drawn cell by cell."""
    merged: list[Rule] = []
    for horizontal in (True, False):
        same = [rule for rule in rules if rule.horizontal is horizontal]
        places = _snapped(rule.at for rule in same)
        by_place: dict[float, list[Rule]] = defaultdict(list)
        for rule in same:
            by_place[min(places, key=lambda place, at=rule.at: abs(place - at))].append(rule)  # type: ignore[misc]
        for place, pieces in by_place.items():
            start, end = None, 0.0
            for piece in sorted(pieces, key=lambda piece: piece.start):
                if start is not None and piece.start <= end + SNAP:
                    end = max(end, piece.end)
                    continue
                if start is not None:
                    merged.append(Rule(horizontal, place, start, end))
                start, end = piece.start, piece.end
            if start is not None:
                merged.append(Rule(horizontal, place, start, end))
    return merged


def _snapped(places: Iterator[float]) -> list[float]:
    """Return the places in order, those that are close together as one."""
    kept: list[float] = []
    for place in sorted(places):
        if not kept or place - kept[-1] > SNAP:
            kept.append(place)
    return kept


def _connected(rules: Sequence[Rule]) -> Iterator[list[Rule]]:
    """Yield the groups of lines that meet each other."""
    left = set(range(len(rules)))
    while left:
        group, waiting = [], [left.pop()]
        while waiting:
            index = waiting.pop()
            group.append(rules[index])
            met = [
                other
                for other in left
                if rules[other].horizontal is not rules[index].horizontal and rules[index].meets(rules[other])
            ]
            left.difference_update(met)
            waiting += met
        yield group


def _grid(rules: Sequence[Rule]) -> Grid | None:
    horizontal = [rule for rule in rules if rule.horizontal]
    vertical = [rule for rule in rules if not rule.horizontal]
    if not horizontal or not vertical:
        return None
    xs = _snapped(iter([rule.at for rule in vertical] + [end for rule in horizontal for end in (rule.start, rule.end)]))
    ys = _snapped(iter([rule.at for rule in horizontal] + [end for rule in vertical for end in (rule.start, rule.end)]))
    if len(xs) < 3 or len(ys) < 3 or len(xs) * len(ys) > MAX_SLOTS:
        return None
    return _without_seams(Grid(tuple(xs), tuple(ys), _cells(xs, ys, horizontal, vertical)))


def _without_seams(grid: Grid) -> Grid | None:
    """Remove the columns and rows that belong to their neighbour in every cell, as where lines nearly meet."""
    columns = list(zip(*grid.cells, strict=True))
    kept_columns = [index for index, column in enumerate(columns) if not index or column != columns[index - 1]]
    kept_rows = [index for index, row in enumerate(grid.cells) if not index or row != grid.cells[index - 1]]
    if len(kept_columns) < 2 or len(kept_rows) < 2:
        return None
    cells = tuple(tuple(grid.cells[row][column] for column in kept_columns) for row in kept_rows)
    xs = (*(grid.xs[index] for index in kept_columns), grid.xs[-1])
    return Grid(xs, (*(grid.ys[index] for index in kept_rows), grid.ys[-1]), cells)


def _cells(
    xs: Sequence[float], ys: Sequence[float], horizontal: Sequence[Rule], vertical: Sequence[Rule]
) -> tuple[tuple[int, ...], ...]:
    """Return the number of the cell in each place. Places with no line between them are one cell."""
    width, height = len(xs) - 1, len(ys) - 1
    above = list(range(width * height))

    def root(place: int) -> int:
        while above[place] != place:
            place = above[place]
        return place

    for row in range(height):
        middle = (ys[row] + ys[row + 1]) / 2
        for column in range(width):
            place = row * width + column
            if column + 1 < width and not _is_line(vertical, xs[column + 1], middle):
                above[root(place + 1)] = root(place)
            if row + 1 < height and not _is_line(horizontal, ys[row + 1], (xs[column] + xs[column + 1]) / 2):
                above[root(place + width)] = root(place)
    return tuple(tuple(root(row * width + column) for column in range(width)) for row in range(height))


def _is_line(rules: Sequence[Rule], at: float, through: float) -> bool:
    return any(abs(rule.at - at) <= SNAP and rule.start - SNAP <= through <= rule.end + SNAP for rule in rules)
