"""Two ranked lists into one. Pure: candidates are numbers with scores, best first."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

Candidates = Sequence[tuple[int, float]]
Fusion = Literal["convex", "rrf"]

RRF_K = 60
BM25_PER_DEVIATION = 4.5
"""Points of BM25 that weigh as much as one standard deviation of the question's cosines to the whole corpus."""
DOCUMENT_SHARE = 0.1
RERANK_WEIGHT = 0.6


def rrf(*legs: Candidates, k: int = RRF_K) -> dict[int, float]:
    """Reciprocal rank fusion: the sum of 1 / (k + rank) over the legs, ranks from 1."""
    fused: dict[int, float] = {}
    for leg in legs:
        for rank, (number, _) in enumerate(leg, 1):
            fused[number] = fused.get(number, 0.0) + 1 / (k + rank)
    return fused


def convex(
    dense: Mapping[int, float], sparse: Candidates, *, deviation: float = 1.0, limit: int | None = None
) -> dict[int, float]:
    """The weighted sum of both legs' own scores, each on a scale that does not change with the list that it stands in.

    ``dense`` has a cosine for every candidate of either leg, ``deviation`` is that of the question's cosines to the
    whole corpus. BM25 is a sum of log-odds. So a leg whose best hardly stand out decides little, and one that finds
    something rare decides much, without a weight that would have to be guessed for each question.
    ``limit`` is how many the sparse leg was asked for: of what it did not bring it is known then that it scores no
    better than the last, and 0 where it brought fewer.
    """
    lexical = dict(sparse)
    if not lexical:
        return dict(dense)
    if not dense:
        return lexical
    unseen = 0.0 if limit is not None and len(lexical) < limit else min(lexical.values())
    farthest = min(dense.values())
    return {
        number: dense.get(number, farthest) / (deviation or 1.0) + lexical.get(number, unseen) / BM25_PER_DEVIATION
        for number in dense.keys() | lexical.keys()
    }


def with_document(fused: Mapping[int, float], documents: Mapping[int, str]) -> dict[int, float]:
    """Each chunk's score with a tenth of the mean score of its document's candidates: company speaks for it."""
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
