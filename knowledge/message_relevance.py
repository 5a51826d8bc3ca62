"""How much each message of a conversation says about a question. Pure: vectors come from outside.

BM25 and cosine over single messages, standardised and mixed. A message is short and answers what stands before it, so
each lends of its score to its neighbours, and the best two around it in its exchange lift it. Author and date are part
of what is searched; messages of a time that the question names are lifted.
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

from knowledge.chunk_vectors import Vector
from knowledge.date_expressions import Span, spans
from knowledge.ports import Vectors
from knowledge.search_terms import document_terms, query_terms

LEXICAL = 0.35
"""The share of BM25."""
NEIGHBOUR = 0.2
"""What a message lends to the one before it and to the one after it."""
EXCHANGE = 0.6
"""What the exchange around a message lends to it."""
AROUND = 3
"""So many messages before and after it are the exchange around a message: a long one speaks of many things."""
TOLD_THEN = 1.0
TOLD_SOON_AFTER = 0.5
"""In deviations: a message of the time that is asked about, and one of the week after, when people tell of it."""
SOON = timedelta(days=7)
RELATED = 0.3
"""A question that no message comes nearer to, that shares no word with any and names no day of theirs, asks of none."""
UNRELATED = -1.0
PAUSE = timedelta(hours=1)
"""A silence of this length ends an exchange."""
READ_CHARS = 2000
"""Characters of a message that are searched."""

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a conversation; ``at`` is None where its time is not known."""

    author: str
    text: str
    at: datetime | None = None

    @property
    def line(self) -> str:
        """What is encoded and searched for words."""
        return f"{self.author}: {self.text[:READ_CHARS]}"


def relevance(
    question: str, said: Sequence[Said], *, vectors: Vectors | None, asked: Vector | None, today: date
) -> Scores:
    """One number a message: 0 is the mean of the conversation, 1 a deviation above it; UNRELATED for all where the
    question has nothing to do with it.

    ``vectors`` are those of the messages' lines, shape ``(messages, dimensions)``, and ``asked`` the question's;
    without them the words alone decide. A message whose vector is all zeros has none and counts as the mean.
    """
    if not said:
        return np.zeros(0)
    lexical, dated = _lexical(question, said), _dated(spans(question, today), said)
    cosines = None if vectors is None or asked is None else vectors @ asked
    if not lexical.any() and not dated.any() and (cosines is None or cosines.max() < RELATED):
        return np.full(len(said), UNRELATED)
    fused = _standardised(lexical)
    if vectors is not None and cosines is not None:
        fused = (1 - LEXICAL) * _standardised(cosines, np.any(vectors != 0, axis=1)) + LEXICAL * fused
    fused = fused + dated
    lent = np.zeros_like(fused)
    lent[:-1] += NEIGHBOUR * fused[1:]
    lent[1:] += NEIGHBOUR * fused[:-1]
    return fused + lent + EXCHANGE * _by_exchange(fused, said)


def _lexical(question: str, said: Sequence[Said]) -> Scores:
    terms = query_terms(question)
    okapi = BM25Okapi([_terms(one) or [""] for one in said])
    return np.asarray(okapi.get_scores(terms), dtype=np.float64)


def _terms(said: Said) -> list[str]:
    when = f"{said.at:%Y-%m-%d %A %d %B %Y}" if said.at else ""
    return list(_terms_of(f"{when} {said.line}"))


@lru_cache(maxsize=8192)
def _terms_of(text: str) -> tuple[str, ...]:
    return tuple(document_terms(text))


def _standardised(scores: npt.NDArray[np.floating], known: Any = None) -> Scores:
    values = np.asarray(scores, dtype=np.float64)
    there = values if known is None else values[known]
    if not len(there):
        return np.zeros(len(values))
    spread = (values - there.mean()) / (float(there.std()) or 1.0)
    return spread if known is None else np.where(known, spread, 0.0)


def _dated(asked: Sequence[Span], said: Sequence[Said]) -> Scores:
    return np.array(
        [max((_near(one.at.date(), span) for span in asked), default=0.0) if one.at else 0.0 for one in said]
    )


def _near(day: date, span: Span) -> float:
    if span.first <= day <= span.last:
        return TOLD_THEN
    return TOLD_SOON_AFTER if span.last < day <= span.last + SOON else 0.0


def _by_exchange(fused: Scores, said: Sequence[Said]) -> Scores:
    """The mean of the two best of the messages around each one, itself among them, that no pause parts from it."""
    numbers = [0]
    for before, one in pairwise(said):
        apart = before.at is None or one.at is None or abs(one.at - before.at) > PAUSE
        numbers.append(numbers[-1] + apart)
    exchange, missing = np.array(numbers), float(fused.min()) - 1
    around = np.full((2 * AROUND + 1, len(fused)), missing)
    for row, away in enumerate(range(-AROUND, AROUND + 1)):
        length = max(0, len(fused) - abs(away))
        here, there = (slice(start, start + length) for start in (max(0, -away), max(0, away)))
        around[row, here] = np.where(exchange[here] == exchange[there], fused[there], missing)
    second, best = np.sort(around, axis=0)[-2:]
    lifted: Scores = np.where(second > missing, (best + second) / 2, best)
    return lifted
