"""BM25 search: scores the chunks that have a question's terms, with the statistics of the tenant's whole corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.bm25.corpus import read_corpus
from knowledge.bm25.posting_codec import SEGMENT, Bits, Entries
from knowledge.bm25.term_statistics import okapi_idf
from knowledge.psycopg_connection import Command
from knowledge.types.scope import Scope

K1 = 1.5
B = 0.75


class Best(NamedTuple):
    """The best chunks as (number, Okapi score), best first, ties by number; and the tenant's knowledge version."""

    chunks: list[tuple[int, float]]
    version: int


async def candidates(
    session: AsyncSession,
    terms: Sequence[str] | Mapping[str, float],
    scope: Scope,
    k: int,
    *,
    first: Sequence[Command] = (),
) -> Best:
    """Return the k best chunks for the terms of a question.

    A term counts as often as it occurs in ``terms``, or by its weight there. Only chunks of the scope with at least one
    of the terms and a score above zero are returned. The statistics are those of the tenant's whole corpus, whatever
    the audience. The commands ``first`` travel in the same round trip as the queries.
    """
    corpus, postings = await read_corpus(session, scope, dict.fromkeys(terms), first=first)
    if not corpus.chunks or not terms:
        return Best([], corpus.version)
    idf = await okapi_idf(session, scope.tenant_id, corpus, postings.frequency)
    average_length = corpus.terms / corpus.chunks
    weights: Mapping[str, float] = terms if isinstance(terms, Mapping) else Counter(terms)
    scored_terms = {term: weight for term, weight in weights.items() if idf.get(term)}
    return Best(_best_chunks(postings.entries, corpus.allowed, scored_terms, idf, average_length, k), corpus.version)


def _best_chunks(
    entries: Mapping[int, Mapping[str, Entries]],
    allowed: Mapping[int, Bits],
    weights: Mapping[str, float],
    idf: Mapping[str, float],
    average_length: float,
    k: int,
) -> list[tuple[int, float]]:
    """Return the k best chunks that may be found with their scores, best first, computed segment by segment.

    The score is that of ``BM25Okapi``. Terms are added in one order everywhere, so that equal chunks score equally.
    """
    numbers: list[npt.NDArray[np.int64]] = []
    scores: list[npt.NDArray[np.float64]] = []
    for segment, visible in allowed.items():
        total = np.zeros(SEGMENT)
        of_segment = entries.get(segment, {})
        for term in (term for term in weights if term in of_segment):
            rows = of_segment[term]
            frequency, length = rows[:, 1].astype(np.float64), rows[:, 2]
            norm = frequency + K1 * (1 - B + B * length / average_length)
            total[rows[:, 0]] += weights[term] * idf[term] * (K1 + 1) * frequency / norm
        places = np.flatnonzero((total > 0) & visible)
        numbers.append(places + segment * SEGMENT)
        scores.append(total[places])
    if not numbers:
        return []
    number, score = np.concatenate(numbers), np.concatenate(scores)
    if len(score) > k:
        # Sorting all candidates of a large corpus would take longer than the rest of the search. Ties with the last one
        # are kept.
        near = np.flatnonzero(score >= np.partition(score, len(score) - k)[len(score) - k])
        number, score = number[near], score[near]
    order = np.lexsort((number, -score))[:k]
    return [(int(number[place]), float(score[place])) for place in order]
