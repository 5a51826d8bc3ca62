"""Chunks that end where the subject changes: where the sentences before and after are far apart. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from knowledge.chunking.packed import SMALL_SHARE
from knowledge.chunking.units import Ruler, Unit, size

BESIDE = 3
"""Sentences on each side of a boundary whose mean vectors are compared."""
PERCENTILE = 95
"""A boundary is a breakpoint where its distance is above this percentile of the document's."""

Distances = npt.NDArray[np.float64]
"""At place i how far apart are what stands before unit i and what stands from there on; place 0 is none."""


def distances(vectors: npt.NDArray[np.float32]) -> Distances:
    """1 - cosine of the means on both sides of each boundary, for unit vectors in order."""
    found = np.zeros(len(vectors))
    for place in range(1, len(vectors)):
        before = vectors[max(0, place - BESIDE) : place].mean(axis=0)
        after = vectors[place : place + BESIDE].mean(axis=0)
        norm = float(np.linalg.norm(before) * np.linalg.norm(after))
        found[place] = 1 - float(before @ after) / norm if norm else 1.0
    return found


def semantic(units: Sequence[Unit], vectors: npt.NDArray[np.float32], ruler: Ruler) -> Iterator[Sequence[Unit]]:
    """The runs of units that make the chunks, one vector a unit.

    Cut at the breakpoints, then where a run is too long at its greatest distance; small runs join the nearer neighbour.
    """
    if not units:
        return
    apart = distances(vectors)
    edge = float(np.percentile(apart[1:], PERCENTILE)) if len(units) > 1 else 0.0
    cuts = [0, *(place for place in range(1, len(units)) if apart[place] > edge), len(units)]
    spans = [span for a, b in pairwise(cuts) for span in _split(units, a, b, apart, ruler)]
    for begin, stop in _joined(units, spans, apart, ruler):
        yield units[begin:stop]


def _split(units: Sequence[Unit], begin: int, stop: int, apart: Distances, ruler: Ruler) -> Iterator[tuple[int, int]]:
    """A span in pieces that fit, in order."""
    waiting = [(begin, stop)]
    while waiting:
        begin, stop = waiting.pop()
        if stop - begin == 1 or _fits(units[begin:stop], ruler):
            yield begin, stop
            continue
        place = _greatest(units, begin, stop, apart, ruler)
        waiting += [(place, stop), (begin, place)]


def _greatest(units: Sequence[Unit], begin: int, stop: int, apart: Distances, ruler: Ruler) -> int:
    """The boundary of the greatest distance, among those that leave no small piece where there are such."""
    least = SMALL_SHARE * ruler.room_of(units[begin:stop])
    lengths = np.cumsum([unit.tokens + unit.lead for unit in units[begin:stop]])
    places = [
        begin + n for n in range(1, stop - begin) if lengths[n - 1] >= least and lengths[-1] - lengths[n - 1] >= least
    ]
    return max(places or range(begin + 1, stop), key=lambda place: (apart[place], -place))


def _joined(
    units: Sequence[Unit], spans: Sequence[tuple[int, int]], apart: Distances, ruler: Ruler
) -> list[tuple[int, int]]:
    """Small spans joined with a neighbour where both fit into a chunk, with the nearer one first."""
    left = list(spans)
    place = 0
    while place < len(left):
        begin, stop = left[place]
        small = size(units[begin:stop]) < SMALL_SHARE * ruler.room_of(units[begin:stop])
        ways = [at for at in (place - 1, place) if small and 0 <= at < len(left) - 1]
        for at in sorted(ways, key=lambda at: apart[left[at + 1][0]]):
            merged = (left[at][0], left[at + 1][1])
            if _fits(units[merged[0] : merged[1]], ruler):
                left[at : at + 2] = [merged]
                place = at
                break
        else:
            place += 1
    return left


def _fits(run: Sequence[Unit], ruler: Ruler) -> bool:
    return size(run) <= ruler.room_of(run)
