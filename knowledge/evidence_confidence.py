"""How likely it is that passages hold the answer to a question at all: a small logistic model. Pure.

Read are one pass of the embedding model (cosines, and for each token of the question its best match among a passage's
tokens) and the words: which of the question's terms, names and numbers stand in one passage, and in one sentence of it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np

from knowledge.embedders.token_vectors import Signs
from knowledge.ports import Vectors
from knowledge.search_terms import document_terms, query_terms
from knowledge.sentence_splitter import sentence_spans

_FILE = "confidence.json"
READ = 20_000
"""Characters of a passage that are read."""
RARE_CHARS = 7
"""A word of this length is as telling as a name or a number."""

_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][\w-]*|\b\w*\d\w*\b")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for one passage. ``cosine`` and ``matches`` are of the embedding model, None where it shows none.

    ``matches`` has, for each token of the question, the best cosine among the passage's tokens.
    """

    text: str
    cosine: float | None = None
    matches: Sequence[float] | None = None


def matches(question: Vectors, signs: Signs) -> list[float]:
    """For each token of the question its best match among the passage's tokens, which are signs alone."""
    if not len(question) or not len(signs):
        return []
    dimensions = question.shape[1]
    on = question @ np.unpackbits(signs, axis=1, count=dimensions).T.astype(np.float32)
    cosines = (2 * on - question.sum(axis=1, keepdims=True)) / np.sqrt(dimensions)
    return [float(value) for value in cosines.max(axis=1)]


# --- what is seen

WORDS = ("covered", "covered_by_sentence", "pairs", "named", "unnamed")
"""The most of the question's terms that one passage, and two sentences, cover; its pairs of terms; its names."""
MEANING = ("cosine", "cosine_mean", "matched", "matched_weakest")
"""The best cosine and their mean; the best mean of the tokens' matches, and of the weakest third of them."""


def seen_words(question: str, evidence: Sequence[Evidence]) -> list[float]:
    """What the words say, in the order of ``WORDS``."""
    asked = _weights(question)
    total = sum(asked.values()) or 1.0
    terms = [_terms(one.text[:READ]) for one in evidence]
    names = {term: 1.0 for name in _NAME.findall(question) for term in document_terms(name)}
    return [
        max(_covered(asked, found) for found in terms) / total,
        max(_by_sentence(asked, one.text[:READ]) for one in evidence) / total,
        max(_pairs(question, one.text[:READ]) for one in evidence),
        max(_covered(names, found) for found in terms) / len(names) if names else 0.0,
        float(not names),
    ]


def seen_meaning(evidence: Sequence[Evidence]) -> list[float] | None:
    """What the embedding model says, in the order of ``MEANING``; None where it does not say it of every passage."""
    cosines = [one.cosine for one in evidence if one.cosine is not None]
    rows = [one.matches for one in evidence if one.matches]
    if len(cosines) != len(evidence) or len(rows) != len(evidence):
        return None
    table = np.array(rows)
    weakest = np.sort(table, axis=1)[:, : max(1, table.shape[1] // 3)]
    return [
        max(cosines),
        sum(cosines) / len(cosines),
        float(table.mean(axis=1).max()),
        float(weakest.mean(axis=1).max()),
    ]


# --- what it says


@dataclass(frozen=True, slots=True)
class Linear:
    """A logistic model: a bias and a slope for each thing seen."""

    bias: float
    slopes: Mapping[str, float]

    def chance(self, seen: Sequence[float]) -> float:
        """0 to 1."""
        value = self.bias + sum(slope * one for slope, one in zip(self.slopes.values(), seen, strict=True))
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, value))))


@dataclass(frozen=True, slots=True)
class Weights:
    """Two models: one that reads words and meaning by ``embedding_model``, one that reads words alone.

    Below ``threshold`` the passages do not hold the answer; ``weak_below`` they may well not. Raises ValueError where
    the parts do not fit.
    """

    embedding_model: str
    threshold: float
    weak_below: float
    meaning: Linear
    words: Linear

    def __post_init__(self) -> None:
        if tuple(self.meaning.slopes) != WORDS + MEANING or tuple(self.words.slopes) != WORDS:
            raise ValueError("the weights were trained on other features; train them again")

    def confidence(self, question: str, evidence: Sequence[Evidence]) -> float:
        """How likely the passages hold the answer, 0 to 1; 0 where there are none."""
        if not evidence:
            return 0.0
        words, meaning = seen_words(question, evidence), seen_meaning(evidence)
        return self.words.chance(words) if meaning is None else self.meaning.chance([*words, *meaning])

    def dumps(self) -> str:
        """As JSON, one entry a line, so that a change can be read."""
        return json.dumps(asdict(self), indent=0) + "\n"

    @classmethod
    def loads(cls, text: str) -> Weights:
        """Read what ``dumps`` wrote. Raises ValueError."""
        try:
            read: dict[str, Any] = json.loads(text)
            return cls(**(read | {name: Linear(**read[name]) for name in ("meaning", "words")}))
        except (TypeError, KeyError) as error:
            raise ValueError(f"these are no weights of the score: {error}") from None


@cache
def shipped() -> Weights:
    """The weights that come with Parley."""
    return Weights.loads(resources.files(__package__).joinpath(_FILE).read_text(encoding="utf-8"))


def _weights(question: str) -> Mapping[str, float]:
    """The terms of a question, telling ones twice: names, numbers, long words."""
    names = {term for name in _NAME.findall(question) for term in document_terms(name)}
    return {
        term: 2.0 if term in names or len(term) >= RARE_CHARS or any(map(str.isdigit, term)) else 1.0
        for term in query_terms(question)
    }


@lru_cache(maxsize=512)
def _terms(text: str) -> frozenset[str]:
    return frozenset(document_terms(text))


def _covered(asked: Mapping[str, float], found: frozenset[str]) -> float:
    return sum(weight for term, weight in asked.items() if term in found)


def _by_sentence(asked: Mapping[str, float], text: str) -> float:
    """The most that one sentence and the next cover together."""
    found = [_terms(text[start:end]) for start, end in sentence_spans(text)]
    return max(
        (_covered(asked, one | other) for one, other in zip(found, [*found[1:], frozenset()], strict=False)),
        default=0.0,
    )


def _pairs(question: str, text: str) -> float:
    """The share of the question's neighbouring terms that are neighbours in the text as well."""
    asked = query_terms(question)
    wanted = set(pairwise(asked))
    if not wanted:
        return 0.0
    terms = document_terms(text)
    return len(wanted & set(pairwise(terms))) / len(wanted)
