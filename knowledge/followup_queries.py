"""A question with the thread before it, as it is searched for. Pure; no model.

A follow-up leaves out what the thread has said. BM25 takes the terms of earlier questions along, each question half as
heavy as the one after it; the dense search takes the mean of the question alone and of the question followed by the
rarest of the earlier words. Rare words carry a thread's subject, and halving lets an old subject fade.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowledge.search_terms import QUESTION_WORDS, STOP_WORDS, document_terms, query_terms

FADING = 0.5
"""The weight of an earlier question by that of the one after it."""
MOST_TERMS = 10
MOST_WORDS = 5
READ_BACK = 8
"""Earlier questions that are read: what lies further back weighs less than a hundredth."""
READ_CHARS = 2000
"""Characters that are read of each."""

_RUN = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Asked:
    """``terms`` are BM25's with their weights; ``words`` are the earlier words that the dense search takes along."""

    question: str
    terms: Mapping[str, float]
    words: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The question followed by the earlier words."""
        return " ".join((self.question, *self.words))


def alone(question: str) -> Asked:
    """A question that nothing was said before."""
    terms: dict[str, float] = {}
    for term in query_terms(question):
        terms[term] = terms.get(term, 0.0) + 1.0
    return Asked(question, terms)


def earlier_terms(earlier: Sequence[str]) -> set[str]:
    """The terms whose idf ``leaning`` wants to know. ``earlier`` are the thread's questions, oldest first."""
    return {term for text in _read(earlier) for term in document_terms(text)}


def leaning(question: str, earlier: Sequence[str], idf: Mapping[str, float]) -> Asked:
    """The question with the heaviest earlier terms and words; those without an idf occur in no document."""
    asked = alone(question)
    own = asked.terms.keys() | set(document_terms(question))
    weights: dict[str, float] = {}
    words: dict[str, tuple[float, str]] = {}
    for text, weight in _faded(earlier):
        for term in query_terms(text):
            if term not in own and term in idf:
                weights[term] = weights.get(term, 0.0) + weight
        for word, rarity in _words(text, own, idf):
            words[word.lower()] = max(words.get(word.lower(), (0.0, "")), (weight * rarity, word))
    heaviest = sorted(weights, key=lambda term: (-weights[term] * idf[term], term))[:MOST_TERMS]
    rarest = sorted(words.values(), key=lambda pair: (-pair[0], pair[1]))[:MOST_WORDS]
    return Asked(
        question, {**asked.terms, **{term: weights[term] for term in heaviest}}, tuple(word for _, word in rarest)
    )


def _read(earlier: Sequence[str]) -> list[str]:
    return [text[:READ_CHARS] for text in earlier[-READ_BACK:]]


def _faded(earlier: Sequence[str]) -> list[tuple[str, float]]:
    """The earlier questions with their weights, the last one first."""
    return [(text, FADING**age) for age, text in enumerate(reversed(_read(earlier)), 1)]


def _words(text: str, own: set[str], idf: Mapping[str, float]) -> list[tuple[str, float]]:
    """The words of a text that say something of their own, with their rarity."""
    found = []
    for word in _RUN.findall(text):
        if word.lower() in STOP_WORDS | QUESTION_WORDS:
            continue
        terms = document_terms(word)
        if terms and terms[0] not in own and any(term in idf for term in terms):
            found.append((word, max(idf.get(term, 0.0) for term in terms)))
    return found
