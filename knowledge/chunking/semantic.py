"""Chunking method ``semantic``: chunks end where the embeddings of the sentences before and after differ most.

Does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from knowledge.chunking.packed import SMALL_SHARE
from knowledge.chunking.text_units import TokenBudget, Unit, token_count

COMPARED_SENTENCES = 3
"""Number of sentences on each side of a boundary whose mean vectors are compared."""
PERCENTILE = 95
"""A boundary whose distance is above this percentile of the document's distances ends a chunk."""

MAX_UNITS = 20_000
"""Units that are compared with each other. A longer document is split in parts of this size, each as a document of its
own, so that the vectors of few sentences exist at once."""

Distances = npt.NDArray[np.float64]
"""Element i is the distance between the sentences before unit i and the sentences from unit i on. Element 0 is 0."""


def distances(vectors: npt.NDArray[np.float32]) -> Distances:
    """Return 1 - cosine of the mean vectors on both sides of each boundary, for unit vectors in order."""
    result = np.zeros(len(vectors))
    for index in range(1, len(vectors)):
        before = vectors[max(0, index - COMPARED_SENTENCES) : index].mean(axis=0)
        after = vectors[index : index + COMPARED_SENTENCES].mean(axis=0)
        norm = float(np.linalg.norm(before) * np.linalg.norm(after))
        result[index] = 1 - float(before @ after) / norm if norm else 1.0
    return result


def semantic(units: Sequence[Unit], vectors: npt.NDArray[np.float32], budget: TokenBudget) -> Iterator[Sequence[Unit]]:
    """Yield the run of units of each chunk. ``vectors`` has a row for each unit.

    The document is split at its breakpoints. A run that is too long is split at its greatest distance, and a small run
    joins the nearer of its neighbors.
    """
    if not units:
        return
    separation = distances(vectors)
    threshold = float(np.percentile(separation[1:], PERCENTILE)) if len(units) > 1 else 0.0
    breaks = [0, *(index for index in range(1, len(units)) if separation[index] > threshold), len(units)]
    spans = [span for a, b in pairwise(breaks) for span in _split(units, a, b, separation, budget)]
    for begin, stop in _join_small(units, spans, separation, budget):
        yield units[begin:stop]


def _split(
    units: Sequence[Unit], begin: int, stop: int, separation: Distances, budget: TokenBudget
) -> Iterator[tuple[int, int]]:
    """Yield the parts of a span that fit, in order."""
    pending = [(begin, stop)]
    while pending:
        begin, stop = pending.pop()
        if stop - begin == 1 or _fits(units[begin:stop], budget):
            yield begin, stop
            continue
        index = _widest_boundary(units, begin, stop, separation, budget)
        pending += [(index, stop), (begin, index)]


def _widest_boundary(units: Sequence[Unit], begin: int, stop: int, separation: Distances, budget: TokenBudget) -> int:
    """Return the boundary with the greatest distance. Prefers boundaries that do not create a small part."""
    minimum = SMALL_SHARE * budget.available_for(units[begin:stop])
    lengths = np.cumsum([unit.tokens + unit.gap_tokens for unit in units[begin:stop]])
    places = [
        begin + n
        for n in range(1, stop - begin)
        if lengths[n - 1] >= minimum and lengths[-1] - lengths[n - 1] >= minimum
    ]
    return max(places or range(begin + 1, stop), key=lambda index: (separation[index], -index))


def _join_small(
    units: Sequence[Unit], spans: Sequence[tuple[int, int]], separation: Distances, budget: TokenBudget
) -> list[tuple[int, int]]:
    """Join each small span with a neighbor if both fit into one chunk. The nearer neighbor is tried first."""
    joined = list(spans)
    index = 0
    while index < len(joined):
        begin, stop = joined[index]
        small = token_count(units[begin:stop]) < SMALL_SHARE * budget.available_for(units[begin:stop])
        candidates = [at for at in (index - 1, index) if small and 0 <= at < len(joined) - 1]
        for at in sorted(candidates, key=lambda at: separation[joined[at + 1][0]]):
            merged = (joined[at][0], joined[at + 1][1])
            if _fits(units[merged[0] : merged[1]], budget):
                joined[at : at + 2] = [merged]
                index = at
                break
        else:
            index += 1
    return joined


def _fits(run: Sequence[Unit], budget: TokenBudget) -> bool:
    return token_count(run) <= budget.available_for(run)
