"""Two ranked lists into one. Pure: candidates are numbers with scores, best first."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

Candidates = Sequence[tuple[int, float]]
Fusion = Literal["convex", "rrf"]

RRF_K = 60
SPARSE_LEAST, SPARSE_MOST = 0.2, 0.6


def rrf(*legs: Candidates, k: int = RRF_K) -> dict[int, float]:
    """Reciprocal rank fusion: the sum of 1 / (k + rank) over the legs, ranks from 1."""
    fused: dict[int, float] = {}
    for leg in legs:
        for rank, (number, _) in enumerate(leg, 1):
            fused[number] = fused.get(number, 0.0) + 1 / (k + rank)
    return fused


def convex(dense: Mapping[int, float], sparse: Candidates) -> dict[int, float]:
    """The weighted mean of both legs' standardised scores.

    ``dense`` has a cosine for every candidate of either leg. A chunk that BM25 did not bring counts as its last one.
    BM25 weighs the more, the further its best stands out from its tenth.
    """
    numbers = dense.keys() | {number for number, _ in sparse}
    if not sparse:
        return dict(dense)
    if not dense:
        return dict(sparse)
    lexical = dict(sparse)
    weight = sparse_weight([score for _, score in sparse])
    meaning = standardised(dense, numbers)
    words = standardised(lexical, numbers)
    return {number: (1 - weight) * meaning[number] + weight * words[number] for number in numbers}


def sparse_weight(scores: Sequence[float]) -> float:
    """The share of BM25: how far its best score stands above its tenth, held between two bounds."""
    if not scores or scores[0] <= 0:
        return SPARSE_LEAST
    tenth = scores[9] if len(scores) > 9 else 0.0
    return min(SPARSE_MOST, max(SPARSE_LEAST, (scores[0] - tenth) / scores[0]))


def standardised(scores: Mapping[int, float], numbers: Sequence[int] | set[int]) -> dict[int, float]:
    """Scores with mean 0 and deviation 1; a number without a score gets the least."""
    values = list(scores.values())
    mean = statistics.fmean(values)
    deviation = statistics.pstdev(values) or 1.0
    least = min(values)
    return {number: (scores.get(number, least) - mean) / deviation for number in numbers}


def ranked(scores: Mapping[int, float]) -> list[tuple[int, float]]:
    """Best first; ties by number."""
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
