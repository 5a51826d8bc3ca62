"""Fuses the ranked lists of dense and sparse search. Candidates are (chunk number, score) pairs, best first.

Does no I/O.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Candidates = Sequence[tuple[int, float]]
Fusion = Literal["convex", "rrf"]
Place = tuple[str, int]
"""The source of a chunk's document, and the position of the chunk in it."""
_NOWHERE: Place = ("", 0)

RRF_K = 60
SQUARE_PER_POINT = 8.0
BM25_PER_POINT = 4.5
"""Weights of dense and sparse scores: a cosine four deviations above the corpus mean counts as much as nine points of
BM25.
"""
DOCUMENT_SHARE = 0.5
"""The weight of the mean score of a chunk's document."""
RERANK_WEIGHT = 0.6
"""The weight of the reranker's scores; the fused scores have 1."""


def rrf(*lists: Candidates, k: int = RRF_K) -> dict[int, float]:
    """Return the reciprocal rank fusion: the sum of 1 / (k + rank) over the lists, with ranks from 1."""
    fused: dict[int, float] = {}
    for candidates in lists:
        for rank, (number, _) in enumerate(candidates, 1):
            fused[number] = fused.get(number, 0.0) + 1 / (k + rank)
    return fused


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation of a question's cosines to the whole corpus."""

    mean: float
    deviation: float


NO_SPREAD = Spread(0.0, 1.0)


def convex(
    dense: Mapping[int, float], sparse: Candidates, *, spread: Spread = NO_SPREAD, limit: int | None = None
) -> dict[int, float]:
    """Return the weighted sum of the dense and sparse scores, each on a scale that does not depend on its list.

    ``dense`` has a cosine for every candidate of either search. The score is the square of its deviations above the
    corpus mean, like the log-odds of a normal distribution; BM25 is already a sum of log-odds. So a search has little
    influence if its best candidates hardly differ from the rest, and much if it found something rare. ``limit`` is the
    number of candidates requested from the sparse search. If it returned that many, all other chunks get the score of
    its last candidate; if it returned fewer, they get 0.
    """
    lexical = dict(sparse)
    unlisted = 0.0 if not lexical or (limit is not None and len(lexical) < limit) else min(lexical.values())
    farthest = min(dense.values(), default=0.0)

    def score(number: int) -> float:
        deviations = (dense.get(number, farthest) - spread.mean) / (spread.deviation or 1.0)
        semantic = deviations * abs(deviations) / SQUARE_PER_POINT
        return semantic + lexical.get(number, unlisted) / BM25_PER_POINT

    return {number: score(number) for number in dense.keys() | lexical.keys()}


def add_document_scores(fused: Mapping[int, float], documents: Mapping[int, str]) -> dict[int, float]:
    """Add to each chunk's score a share of the mean score of all candidates of its document.

    A document with several good candidates is more likely to contain the answer.
    """
    scores: dict[str, list[float]] = defaultdict(list)
    for number, score in fused.items():
        scores[documents.get(number, "")].append(score)
    means = {document: statistics.fmean(values) for document, values in scores.items()}
    return {number: score + DOCUMENT_SHARE * means[documents.get(number, "")] for number, score in fused.items()}


def combine_with_reranker(fused: Sequence[float], reranked: Sequence[float]) -> list[float]:
    """Return the weighted sum of the fused and the reranker's scores of the same passages, both standardized."""
    first, second = dict(enumerate(fused)), dict(enumerate(reranked))
    indexes = range(len(first))
    before, after = standardize(first, indexes), standardize(second, indexes)
    return [before[index] + RERANK_WEIGHT * after[index] for index in indexes]


def standardize(scores: Mapping[int, float], numbers: Iterable[int]) -> dict[int, float]:
    """Return the scores with mean 0 and standard deviation 1; a number without a score gets the lowest."""
    values = list(scores.values())
    mean = statistics.fmean(values)
    deviation = statistics.pstdev(values) or 1.0
    lowest = min(values)
    return {number: (scores.get(number, lowest) - mean) / deviation for number in numbers}


def sort_scores(scores: Mapping[int, float], places: Mapping[int, Place] | None = None) -> list[tuple[int, float]]:
    """Return (number, score) pairs, best first; ties are ordered by place, then by number.

    Numbers follow the order in which documents were added. ``places`` make the order of ties independent of it.
    """
    known = places or {}
    return sorted(scores.items(), key=lambda pair: (-pair[1], known.get(pair[0], _NOWHERE), pair[0]))
