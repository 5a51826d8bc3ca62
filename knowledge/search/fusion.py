"""Fuses the ranked lists of dense and sparse search. Candidates are (chunk number, score) pairs, best first.

Does no I/O.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
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
LEAST_DENSE_WEIGHT = 0.1
"""The weight of the dense scores if the best of them is clearly lower than the best of random ones would be."""
BELOW_CHANCE = 0.5
"""The dense scores have the least weight if the best is at least this many deviations below the best of random ones."""
DOCUMENT_SHARE = 0.5
"""The weight of the mean score of a chunk's document."""
RERANK_WEIGHT = 0.6
"""The weight of the reranker's scores; the fused scores have 1."""
TRUSTED_CORRELATION = 0.5
"""Late interaction has its full weight if its scores and the fused ones correlate at least this much."""
ASSUMED_PAIRS = 10
"""The correlation of a few pairs is chance, so this many pairs with ``TRUSTED_CORRELATION`` are assumed beside them."""


def rrf(*lists: Candidates, k: int = RRF_K) -> dict[int, float]:
    """Return the reciprocal rank fusion: the sum of 1 / (k + rank) over the lists, with ranks from 1."""
    fused: dict[int, float] = {}
    for candidates in lists:
        for rank, (number, _) in enumerate(candidates, 1):
            fused[number] = fused.get(number, 0.0) + 1 / (k + rank)
    return fused


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation of a question's cosines to the whole corpus, estimated from ``sampled`` chunks.

    ``sampled`` is 0 if unknown.
    """

    mean: float
    deviation: float
    sampled: int = 0

    def deviations(self, cosine: float) -> float:
        """Return how many standard deviations a cosine is above the mean."""
        return (cosine - self.mean) / (self.deviation or 1.0)

    @property
    def by_chance(self) -> float:
        """The deviations of the best of ``sampled`` cosines, expected if they are random (Blom's estimate)."""
        return NormalDist().inv_cdf((self.sampled - 0.375) / (self.sampled + 0.25)) if self.sampled > 1 else 0.0


NO_SPREAD = Spread(0.0, 1.0)


def convex(
    dense: Mapping[int, float], sparse: Candidates, *, spread: Spread = NO_SPREAD, limit: int | None = None
) -> dict[int, float]:
    """Return the weighted sum of the dense and sparse scores, each on a scale that does not depend on its list.

    ``dense`` has a cosine for every candidate of either search. The score is the square of its deviations above the
    corpus mean, like the log-odds of a normal distribution; BM25 is already a sum of log-odds. So a search has little
    influence if its best candidates hardly differ from the rest, and much if it found something rare. See also
    ``dense_weight``. ``limit`` is the number of candidates requested from the sparse search. If it returned that many,
    all other chunks get the score of its last candidate; if it returned fewer, they get 0.
    """
    lexical = dict(sparse)
    unlisted = 0.0 if not lexical or (limit is not None and len(lexical) < limit) else min(lexical.values())
    farthest = min(dense.values(), default=0.0)
    weight = dense_weight(dense, spread)

    def score(number: int) -> float:
        deviations = spread.deviations(dense.get(number, farthest))
        semantic = weight * deviations * abs(deviations) / SQUARE_PER_POINT
        return semantic + lexical.get(number, unlisted) / BM25_PER_POINT

    return {number: score(number) for number in dense.keys() | lexical.keys()}


def dense_weight(dense: Mapping[int, float], spread: Spread) -> float:
    """Return how much the dense scores count, up to 1: little if the best one is lower than chance would make it.

    This happens with texts that the embedding model cannot read, such as Hindi with a model of English: to such a
    model, all of them look alike.
    """
    if not dense or not spread.sampled:
        return 1.0
    below_chance = spread.by_chance - spread.deviations(max(dense.values()))
    return min(1.0, max(LEAST_DENSE_WEIGHT, 1 - below_chance / BELOW_CHANCE))


def add_document_scores(fused: Mapping[int, float], documents: Mapping[int, str]) -> dict[int, float]:
    """Add to each chunk's score a share of the mean score of all candidates of its document.

    A document with several good candidates is more likely to contain the answer. One candidate tells little about its
    document, so each mean includes the mean of all candidates once.
    """
    if not fused:
        return {}
    scores: dict[str, list[float]] = defaultdict(list)
    for number, score in fused.items():
        scores[documents.get(number, "")].append(score)
    overall = statistics.fmean(fused.values())
    means = {document: statistics.fmean([*values, overall]) for document, values in scores.items()}
    return {number: score + DOCUMENT_SHARE * means[documents.get(number, "")] for number, score in fused.items()}


def combine_with_reranker(fused: Sequence[float], reranked: Sequence[float], *, trust: float = 1.0) -> list[float]:
    """Return the weighted sum of the fused and the reranker's scores of the same passages, both standardized.

    ``trust`` is the share of its weight that the reranker has.
    """
    before, after = _standardized(fused), _standardized(reranked)
    return [one + RERANK_WEIGHT * trust * other for one, other in zip(before, after, strict=True)]


def late_interaction_trust(fused: Sequence[float], reranked: Sequence[float]) -> float:
    """Return how much late interaction is to be trusted, 0 to 1, by its correlation with the fused scores.

    Both rank what the words and the meaning of the question found. If they have nothing in common, the embedding model
    tells these passages apart by chance, as in a script that it cannot read.
    """
    pairs = zip(_standardized(fused), _standardized(reranked), strict=True)
    assumed = ASSUMED_PAIRS * TRUSTED_CORRELATION
    correlation = (sum(one * other for one, other in pairs) + assumed) / (len(fused) + ASSUMED_PAIRS)
    return min(1.0, max(0.0, correlation / TRUSTED_CORRELATION))


def _standardized(scores: Sequence[float]) -> list[float]:
    by_index = dict(enumerate(scores))
    return list(standardize(by_index, by_index).values())


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
