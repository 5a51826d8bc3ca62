"""Retrieval metrics: nDCG, recall, percentiles. Does no I/O.

A ranking is a list of document ids, best first. Relevance maps document ids to grades.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

CUTS = (5, 10, 20)


def ndcg(ranking: Sequence[str], relevance: Mapping[str, int], k: int = 10) -> float:
    """Return nDCG at k: the discounted gain over the best possible one. Grades count linearly, as in trec_eval."""
    gained = sum(relevance.get(name, 0) / math.log2(rank + 1) for rank, name in enumerate(ranking[:k], 1))
    grades = sorted((grade for grade in relevance.values() if grade > 0), reverse=True)[:k]
    best = sum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades, 1))
    return gained / best if best else 0.0


def recall(ranking: Sequence[str], relevance: Mapping[str, int], k: int) -> float:
    """Return the share of the relevant documents that are among the first k."""
    relevant = {name for name, grade in relevance.items() if grade > 0}
    return len(relevant & set(ranking[:k])) / len(relevant) if relevant else 0.0


def means(runs: Iterable[tuple[Sequence[str], Mapping[str, int]]]) -> dict[str, float]:
    """Return nDCG@10 and recall at each cut, averaged over the questions."""
    pairs = list(runs)
    if not pairs:
        return {"ndcg@10": 0.0, **{f"recall@{k}": 0.0 for k in CUTS}}
    return {
        "ndcg@10": round(fmean(ndcg(*pair) for pair in pairs), 4),
        **{f"recall@{k}": round(fmean(recall(*pair, k) for pair in pairs), 4) for k in CUTS},
    }


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of all values do not exceed; 0 if there are no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
