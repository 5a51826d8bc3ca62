"""Whether an earlier answer may serve another question that asks the same. Pure; in doubt it may not.

First the wording: both must reduce to the same. Then a threshold on the cosine of the two, learned for each entry from
what people and comparisons said of earlier hits, after vCache (ICLR 2026): the chance that a hit is right rises with
the cosine, about a midpoint that every entry has for itself and that is known only by a prior and its observations.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.engine.cache.key import normalised
from bot.engine.cache.wording import reduced
from bot.types.display import Citation

LEAST_CHANCE = 0.95
"""A hit must be right with this chance."""
LEAST_COSINE = 0.7
"""Questions further apart are not looked at."""
LONGEST = 500
"""Characters of a question that is compared with others; a longer one is the same word for word or not at all."""
SLOPE = 30.0
MIDPOINT, DEVIATION = 0.62, 0.08
"""What is believed of an entry's midpoint before anything was observed."""
_MARKER = re.compile(r"\[\d+(?:,\s*\d+)*\]")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_GRID = tuple(0.3 + step / 200 for step in range(161))
_PRIOR = tuple(math.exp(-(((midpoint - MIDPOINT) / DEVIATION) ** 2) / 2) for midpoint in _GRID)


@dataclass(frozen=True, slots=True)
class Observation:
    """An earlier hit of an entry: the cosine of the questions, and whether the answer was right."""

    similarity: float
    right: bool


def same_wording(question: str, other: str) -> bool:
    """Whether two questions, each understood by itself, ask the same in other words."""
    if normalised(question) == normalised(other):
        return True
    if max(len(question), len(other)) > LONGEST:
        return False
    one, two = reduced(question), reduced(other)
    return one == two and one.telling and not one.points_back


def chance(similarity: float, observed: Sequence[Observation] = ()) -> float:
    """How likely a hit at this cosine is right, by the entry's observations."""
    weights = list(_PRIOR)
    for seen in observed:
        for place, midpoint in enumerate(_GRID):
            right = _rising(seen.similarity - midpoint)
            weights[place] *= right if seen.right else 1 - right
    total = sum(weights) or 1.0
    return sum(weight * _rising(similarity - midpoint) for weight, midpoint in zip(weights, _GRID, strict=True)) / total


def is_hit(question: str, other: str, similarity: float, observed: Sequence[Observation] = ()) -> bool:
    """Whether the answer to ``other`` may be given to ``question``."""
    close = similarity >= LEAST_COSINE and chance(similarity, observed) >= LEAST_CHANCE
    return close and same_wording(question, other)


def upper_bound(wrong: int, seen: int, confidence: float = 0.95) -> float:
    """The share of wrong ones, after ``wrong`` of ``seen``, at most, with ``confidence`` (Clopper-Pearson)."""
    if wrong >= seen:
        return 1.0
    low, high = wrong / seen, 1.0
    for _ in range(50):
        share = (low + high) / 2
        low, high = (low, share) if _at_most(wrong, seen, share) < 1 - confidence else (share, high)
    return high


def _rising(distance: float) -> float:
    return 1 / (1 + math.exp(-SLOPE * distance))


def _at_most(wrong: int, seen: int, share: float) -> float:
    """The chance of no more than ``wrong`` of ``seen``."""
    return sum(math.comb(seen, count) * share**count * (1 - share) ** (seen - count) for count in range(wrong + 1))


def agree(answer: str, cited: Sequence[Citation], other: str, other_cited: Sequence[Citation]) -> bool:
    """Whether two answers say the same as far as can be told: the same numbers, and a document that both rest on."""
    documents, others = ({one.document_id or one.source for one in side} for side in (cited, other_cited))
    rest_on_same = not documents.isdisjoint(others) if documents and others else documents == others
    return rest_on_same and _numbers(answer) == _numbers(other)


def _numbers(answer: str) -> set[str]:
    return set(_NUMBER.findall(_MARKER.sub("", answer)))
