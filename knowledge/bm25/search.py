"""BM25 search: scores the chunks that have a question's terms, with the statistics of the tenant's whole corpus."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from rank_bm25 import BM25Okapi
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.bm25.corpus import read_corpus, read_postings
from knowledge.bm25.posting_codec import SEGMENT, Bits, Entries, place_of, segment_of
from knowledge.bm25.term_statistics import EPSILON, okapi_idf
from knowledge.types import Scope

K1 = 1.5
B = 0.75
EXTRA_CANDIDATES = 20
"""Candidates beyond k that are scored again with full precision, so that rounding cannot change the result."""


async def candidates(
    session: AsyncSession, terms: Sequence[str] | Mapping[str, float], scope: Scope, k: int
) -> list[tuple[int, float]]:
    """Return the k best chunks for the terms of a question as (number, Okapi score), best first, ties by number.

    A term counts as often as it occurs in ``terms``, or by its weight there. Only chunks of the scope with at least one
    of the terms and a score above zero are returned. The statistics are those of the tenant's whole corpus, whatever
    the audience.
    """
    corpus = await read_corpus(session, scope)
    if not corpus.chunks or not terms:
        return []
    postings = await read_postings(session, scope.tenant_id, list(dict.fromkeys(terms)), corpus.alive)
    idf = await okapi_idf(session, scope.tenant_id, corpus, postings.frequency)
    average_length = corpus.terms / corpus.chunks
    weights: Mapping[str, float] = terms if isinstance(terms, Mapping) else Counter(terms)
    scored_terms = {term: weight for term, weight in weights.items() if idf.get(term)}
    chosen = _best_chunks(postings.entries, corpus.allowed, scored_terms, idf, average_length, k + EXTRA_CANDIDATES)
    scores = _okapi_scores(postings.entries, chosen, scored_terms, idf, average_length)
    best = sorted(zip(chosen, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))
    return [(chunk_id, score) for chunk_id, score in best[:k] if score > 0]


def _best_chunks(
    entries: Mapping[int, Mapping[str, Entries]],
    allowed: Mapping[int, Bits],
    weights: Mapping[str, float],
    idf: Mapping[str, float],
    average_length: float,
    k: int,
) -> list[int]:
    """Return the numbers of the k best chunks that may be found, by scores computed segment by segment."""
    numbers: list[npt.NDArray[np.int64]] = []
    scores: list[npt.NDArray[np.float64]] = []
    for segment, visible in allowed.items():
        total = np.zeros(SEGMENT)
        for term, rows in entries.get(segment, {}).items():
            if term in weights:
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
    return [int(chunk_id) for chunk_id in number[order]]


def _okapi_scores(
    entries: Mapping[int, Mapping[str, Entries]],
    chosen: Sequence[int],
    weights: Mapping[str, float],
    idf: Mapping[str, float],
    average_length: float,
) -> list[float]:
    """Return the scores that ``BM25Okapi`` gives the chosen chunks with the statistics of the whole corpus."""
    if not chosen:
        return []
    frequencies: dict[int, dict[str, int]] = {chunk_id: {} for chunk_id in chosen}
    lengths: dict[int, int] = {}
    places: dict[int, list[int]] = defaultdict(list)
    for chunk_id in chosen:
        places[segment_of(chunk_id)].append(place_of(chunk_id))
    for segment, places_of_segment in places.items():
        is_chosen = np.zeros(SEGMENT, dtype=np.bool_)
        is_chosen[places_of_segment] = True
        for term, rows in entries.get(segment, {}).items():
            for place, frequency, length in rows[is_chosen[rows[:, 0]]].tolist():
                chunk_id = segment * SEGMENT + place
                frequencies[chunk_id][term] = frequency
                lengths[chunk_id] = length
    okapi = BM25Okapi([[""]], k1=K1, b=B, epsilon=EPSILON)
    okapi.corpus_size, okapi.avgdl = len(chosen), average_length
    okapi.idf = {term: weight * idf[term] for term, weight in weights.items()}
    okapi.doc_freqs, okapi.doc_len = list(frequencies.values()), [lengths[chunk_id] for chunk_id in chosen]
    scores: Iterable[float] = okapi.get_scores(list(weights))
    return [float(score) for score in scores]
