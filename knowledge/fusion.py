"""Two ranked lists into one. Pure: candidates are numbers with scores, best first."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Candidates = Sequence[tuple[int, float]]
Fusion = Literal["convex", "rrf"]

RRF_K = 60
SQUARE_PER_POINT = 8.0
BM25_PER_POINT = 4.5
"""A cosine four deviations above the corpus weighs as much as nine points of BM25."""
DOCUMENT_SHARE = 0.5
RERANK_WEIGHT = 0.6


def rrf(*legs: Candidates, k: int = RRF_K) -> dict[int, float]:
    """Reciprocal rank fusion: the sum of 1 / (k + rank) over the legs, ranks from 1."""
    fused: dict[int, float] = {}
    for leg in legs:
        for rank, (number, _) in enumerate(leg, 1):
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
    """The weighted sum of what both legs say, each on a scale that does not change with the list that it stands in.

    ``dense`` has a cosine for every candidate of either leg. It counts by the square of how many deviations it stands
    above the mean of the corpus, as the log-odds of a normal distribution do; BM25 is a sum of log-odds by itself. So a
    leg whose best hardly stand out decides little, and one that found something rare decides much.
    ``limit`` is how many the sparse leg was asked for: what it did not bring scores no better than its last, and 0
    where it brought fewer.
    """
    lexical = dict(sparse)
    unseen = 0.0 if not lexical or (limit is not None and len(lexical) < limit) else min(lexical.values())
    farthest = min(dense.values(), default=0.0)

    def score(number: int) -> float:
        above = (dense.get(number, farthest) - spread.mean) / (spread.deviation or 1.0)
        meaning = above * abs(above) / SQUARE_PER_POINT
        return meaning + lexical.get(number, unseen) / BM25_PER_POINT

    return {number: score(number) for number in dense.keys() | lexical.keys()}


def with_document(fused: Mapping[int, float], documents: Mapping[int, str]) -> dict[int, float]:
    """Each chunk's score with half the mean score of its document's candidates: company speaks for it."""
    scores: dict[str, list[float]] = defaultdict(list)
    for number, score in fused.items():
        scores[documents.get(number, "")].append(score)
    means = {document: statistics.fmean(values) for document, values in scores.items()}
    return {number: score + DOCUMENT_SHARE * means[documents.get(number, "")] for number, score in fused.items()}


def both(fused: Sequence[float], reranker: Sequence[float]) -> list[float]:
    """The scores of the same passages by fusion and by a reranker in one, the fused ones weighing more."""
    first, second = dict(enumerate(fused)), dict(enumerate(reranker))
    places = range(len(first))
    before, after = standardised(first, places), standardised(second, places)
    return [before[place] + RERANK_WEIGHT * after[place] for place in places]


def standardised(scores: Mapping[int, float], numbers: Iterable[int]) -> dict[int, float]:
    """Scores with mean 0 and deviation 1; a number without a score gets the least."""
    values = list(scores.values())
    mean = statistics.fmean(values)
    deviation = statistics.pstdev(values) or 1.0
    least = min(values)
    return {number: (scores.get(number, least) - mean) / deviation for number in numbers}


def ranked(scores: Mapping[int, float]) -> list[tuple[int, float]]:
    """Best first; ties by number."""
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
