"""Decides whether a cached answer may be given to another question. In doubt it may not. Does no I/O.

First, both questions must reduce to the same wording. Then their cosine must reach a threshold that each cache entry
learns from feedback and comparisons on its earlier hits, after vCache (ICLR 2026): the probability that a hit is right
is a logistic function of the cosine. Its midpoint differs for each entry and is estimated from a prior and the entry's
observations.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.engine.cache.english_questions import reduced
from bot.engine.cache.key import normalized
from bot.types.display import Citation

LEAST_CHANCE = 0.95
"""Least probability that a hit is right."""
LEAST_COSINE = 0.7
"""Least cosine of two questions that are compared."""
LONGEST = 500
"""Characters of the longest question that is compared by wording; a longer one must match word for word."""
SLOPE = 30.0
"""Slope of the logistic function."""
MIDPOINT, DEVIATION = 0.62, 0.08
"""Prior of an entry's midpoint: mean and standard deviation."""
_MARKER = re.compile(r"\[\d+(?:,\s*\d+)*\]")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_GRID = tuple(0.3 + step / 200 for step in range(161))
_PRIOR = tuple(math.exp(-(((midpoint - MIDPOINT) / DEVIATION) ** 2) / 2) for midpoint in _GRID)


@dataclass(frozen=True, slots=True)
class Observation:
    """Feedback on an earlier hit of an entry: the cosine of the questions, and whether the answer was right."""

    similarity: float
    right: bool


def same_wording(question: str, other: str) -> bool:
    """Return whether two questions that need no context ask the same."""
    if normalized(question) == normalized(other):
        return True
    if max(len(question), len(other)) > LONGEST:
        return False
    one, two = reduced(question), reduced(other)
    return one == two and one.is_specific and not one.points_back


def chance(similarity: float, observed: Sequence[Observation] = ()) -> float:
    """Return the probability that a hit at this cosine is right, given the entry's observations."""
    weights = list(_PRIOR)
    for one in observed:
        for place, midpoint in enumerate(_GRID):
            right = _logistic(one.similarity - midpoint)
            weights[place] *= right if one.right else 1 - right
    total = sum(weights) or 1.0
    likely = (weight * _logistic(similarity - midpoint) for weight, midpoint in zip(weights, _GRID, strict=True))
    return sum(likely) / total


def is_hit(question: str, other: str, similarity: float, observed: Sequence[Observation] = ()) -> bool:
    """Return whether the answer to ``other`` may be given to ``question``."""
    close = similarity >= LEAST_COSINE and chance(similarity, observed) >= LEAST_CHANCE
    return close and same_wording(question, other)


def upper_bound(wrong: int, seen: int, confidence: float = 0.95) -> float:
    """Return the upper bound of the share of wrong hits, after ``wrong`` of ``seen`` (Clopper-Pearson)."""
    if wrong >= seen:
        return 1.0
    low, high = wrong / seen, 1.0
    for _ in range(50):
        share = (low + high) / 2
        low, high = (low, share) if _at_most(wrong, seen, share) < 1 - confidence else (share, high)
    return high


def _logistic(distance: float) -> float:
    return 1 / (1 + math.exp(-SLOPE * distance))


def _at_most(wrong: int, seen: int, share: float) -> float:
    """Return the probability of at most ``wrong`` wrong hits among ``seen``."""
    return sum(math.comb(seen, count) * share**count * (1 - share) ** (seen - count) for count in range(wrong + 1))


def agree(answer: str, cited: Sequence[Citation], other: str, other_cited: Sequence[Citation]) -> bool:
    """Return whether two answers seem to agree: the same numbers, and at least one cited document in common."""
    documents, others = ({one.document_id or one.source for one in side} for side in (cited, other_cited))
    share_document = not documents.isdisjoint(others) if documents and others else documents == others
    return share_document and _numbers(answer) == _numbers(other)


def _numbers(answer: str) -> set[str]:
    return set(_NUMBER.findall(_MARKER.sub("", answer)))
