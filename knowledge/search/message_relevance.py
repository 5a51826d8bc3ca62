"""Scores how relevant each message of a conversation is to a question. The caller computes the vectors. Does no I/O.

Combines BM25 and cosine over single messages, both standardized. A message is short and often replies to the one before
it. So each message shares a part of its score with its neighbors, and the two best messages in its exchange raise its
score. Author and date are part of the searched text. Messages from a time that the question names get a higher score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from rank_bm25 import BM25Okapi

from knowledge.embedders.cosine_scale import comparable_cosine
from knowledge.ports import Vectors
from knowledge.store.chunk_vectors import Vector
from knowledge.text.date_expressions import Span, spans
from knowledge.text.search_terms import main_terms, query_terms

LEXICAL_SHARE = 0.35
"""The share of BM25 in the combined score."""
NEIGHBOR_SHARE = 0.2
"""The share of a message's score that is added to the messages before and after it."""
EXCHANGE_SHARE = 0.6
"""The share of the score of its exchange that a message gets."""
EXCHANGE_RADIUS = 3
"""Messages before and after a message that count as its exchange; a longer exchange covers many subjects."""
DATE_BONUS = 1.0
AFTERWARDS_BONUS = 0.5
"""Added to the score, in standard deviations: for a message from the time in question, and for one from the week after,
because people report later.
"""
AFTERWARDS = timedelta(days=7)
MIN_COSINE = 0.3
"""If all cosines are below this and no message shares a word or date with the question, the question is unrelated."""
UNRELATED = -1.0
PAUSE = timedelta(hours=1)
"""A pause of this length ends an exchange."""
MAX_CHARS = 2000
"""Maximum number of characters of a message that are searched."""

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ConversationMessage:
    """A message of a conversation; ``at`` is None if its time is unknown."""

    author: str
    text: str
    at: datetime | None = None

    @property
    def line(self) -> str:
        """The text that is encoded and searched for words."""
        return f"{self.author}: {self.text[:MAX_CHARS]}"


def relevance(
    question: str,
    messages: Sequence[ConversationMessage],
    *,
    vectors: Vectors | None,
    question_vector: Vector | None,
    model: str = "",
    today: date,
) -> Scores:
    """Return one score per message, in standard deviations above the mean of the conversation.

    If the question is unrelated to the conversation, every score is UNRELATED. ``vectors`` are those of the messages'
    lines by ``model``, shape ``(messages, dimensions)``; without them, only words count. An all-zero vector means that
    the message has no vector; its cosine counts as the mean.
    """
    if not messages:
        return np.zeros(0)
    lexical, dated = _lexical_scores(question, messages), _date_bonuses(spans(question, today), messages)
    cosines = None if vectors is None or question_vector is None else vectors @ question_vector
    if (
        not lexical.any()
        and not dated.any()
        and (cosines is None or comparable_cosine(model, float(cosines.max())) < MIN_COSINE)
    ):
        return np.full(len(messages), UNRELATED)
    fused = _standardize(lexical)
    if vectors is not None and cosines is not None:
        dense = _standardize(cosines, np.any(vectors != 0, axis=1))
        fused = (1 - LEXICAL_SHARE) * dense + LEXICAL_SHARE * fused
    fused = fused + dated
    from_neighbors = np.zeros_like(fused)
    from_neighbors[:-1] += NEIGHBOR_SHARE * fused[1:]
    from_neighbors[1:] += NEIGHBOR_SHARE * fused[:-1]
    return fused + from_neighbors + EXCHANGE_SHARE * _exchange_scores(fused, messages)


def _lexical_scores(question: str, messages: Sequence[ConversationMessage]) -> Scores:
    okapi = BM25Okapi([_terms(message) or [""] for message in messages])
    return np.asarray(okapi.get_scores(query_terms(question)), dtype=np.float64)


def _terms(message: ConversationMessage) -> list[str]:
    when = f"{message.at:%Y-%m-%d %A %d %B %Y}" if message.at else ""
    return list(_terms_of(f"{when} {message.line}"))


@lru_cache(maxsize=8192)
def _terms_of(text: str) -> tuple[str, ...]:
    return tuple(main_terms(text))


def _standardize(scores: npt.NDArray[np.floating], present: Any = None) -> Scores:
    """Return the scores in standard deviations above their mean; where ``present`` is false, 0."""
    values = np.asarray(scores, dtype=np.float64)
    sample = values if present is None else values[present]
    if not len(sample):
        return np.zeros(len(values))
    deviations = (values - sample.mean()) / (float(sample.std()) or 1.0)
    return deviations if present is None else np.where(present, deviations, 0.0)


def _date_bonuses(times: Sequence[Span], messages: Sequence[ConversationMessage]) -> Scores:
    return np.array(
        [
            max((_date_bonus(message.at.date(), span) for span in times), default=0.0) if message.at else 0.0
            for message in messages
        ]
    )


def _date_bonus(day: date, span: Span) -> float:
    if span.first <= day <= span.last:
        return DATE_BONUS
    return AFTERWARDS_BONUS if span.last < day <= span.last + AFTERWARDS else 0.0


def _exchange_scores(fused: Scores, messages: Sequence[ConversationMessage]) -> Scores:
    """Return for each message the mean of the two best scores in its exchange, its own included.

    An exchange ends at a pause, or where the time of a message is unknown.
    """
    numbers = [0]
    for before, message in pairwise(messages):
        apart = before.at is None or message.at is None or abs(message.at - before.at) > PAUSE
        numbers.append(numbers[-1] + apart)
    exchange, missing = np.array(numbers), float(fused.min()) - 1
    around = np.full((2 * EXCHANGE_RADIUS + 1, len(fused)), missing)
    for row, offset in enumerate(range(-EXCHANGE_RADIUS, EXCHANGE_RADIUS + 1)):
        length = max(0, len(fused) - abs(offset))
        here, there = (slice(start, start + length) for start in (max(0, -offset), max(0, offset)))
        around[row, here] = np.where(exchange[here] == exchange[there], fused[there], missing)
    second, best = np.sort(around, axis=0)[-2:]
    means: Scores = np.where(second > missing, (best + second) / 2, best)
    return means
