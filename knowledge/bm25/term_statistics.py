"""Computes the idf of terms over a tenant's whole corpus, and the mean idf that very frequent terms need."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from weakref import WeakKeyDictionary

from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.bm25.corpus import Corpus
from knowledge.bm25.posting_codec import unpack, version_of
from knowledge.psycopg_connection import psycopg_connection

EPSILON = 0.25
"""The share of the mean idf that a term in more than half of all chunks gets."""
LARGE_CORPUS = 20_000
"""With at least this many chunks, the mean idf is computed again once a share of MAX_DRIFT is added or removed."""
MAX_DRIFT = 0.01
MAX_CACHED_TENANTS = 1000
"""Maximum number of tenants whose mean idf a process caches."""

# An entry has six bytes, so the number of chunks with a term follows from the length of its entries.
_STORED_FREQUENCIES_OF_TERMS = """
    SELECT term, sum(octet_length(entries)) / 6, (SELECT chunks FROM knowledge_state WHERE tenant_id = %s)
    FROM postings
    WHERE tenant_id = %s AND term = ANY(%s)
    GROUP BY term
"""


async def idf(session: AsyncSession, tenant_id: str, terms: Iterable[str]) -> dict[str, float]:
    """Return the idf of those terms that occur in the tenant's corpus.

    It is approximate, to choose among terms: chunks that are deleted but not yet removed from their segment count as
    well, and while chunks are indexed again, some count twice.
    """
    cursor = await (await psycopg_connection(session)).execute(
        _STORED_FREQUENCIES_OF_TERMS, (tenant_id, tenant_id, list(dict.fromkeys(terms)))
    )
    return {
        term: max(0.0, _raw_idf(max(chunks, int(frequency)), int(frequency)))
        for term, frequency, chunks in await cursor.fetchall()
        if chunks and frequency
    }


async def okapi_idf(
    session: AsyncSession, tenant_id: str, corpus: Corpus, frequency: Mapping[str, int]
) -> dict[str, float]:
    """Return Okapi's idf; a term in more than half of all chunks gets a share of the mean over all terms."""
    values = {term: _raw_idf(corpus.chunks, count) for term, count in frequency.items() if count}
    if any(value < 0 for value in values.values()):
        floor = EPSILON * await _mean_idf(session, tenant_id, corpus)
        values = {term: floor if value < 0 else value for term, value in values.items()}
    return values


def _raw_idf(chunks: int, frequency: int) -> float:
    return math.log(chunks - frequency + 0.5) - math.log(frequency + 0.5)


@dataclass(frozen=True, slots=True)
class _MeanIdf:
    """The mean idf of a tenant, and the corpus that it was computed for."""

    version: int
    added: int
    chunks: int
    terms: int
    idf: float

    def is_valid_for(self, corpus: Corpus) -> bool:
        """Return whether the corpus is the same or, if it is large, changed too little to move the mean."""
        if (self.version, self.chunks, self.terms) == (corpus.version, corpus.chunks, corpus.terms):
            return True
        added = corpus.added - self.added
        removed = added - (corpus.chunks - self.chunks)
        return corpus.chunks >= LARGE_CORPUS and abs(added) + abs(removed) <= MAX_DRIFT * corpus.chunks


_cached_means: WeakKeyDictionary[object, dict[str, _MeanIdf]] = WeakKeyDictionary()
"""By database and tenant. Computing a mean visits every posting, so each process caches it."""


async def _mean_idf(session: AsyncSession, tenant_id: str, corpus: Corpus) -> float:
    means = _cached_means.setdefault(session.get_bind(), {})
    mean = means.get(tenant_id)
    if mean is None or not mean.is_valid_for(corpus):
        value = await _compute_mean_idf(session, tenant_id, corpus)
        mean = means[tenant_id] = _MeanIdf(corpus.version, corpus.added, corpus.chunks, corpus.terms, value)
        if len(means) > MAX_CACHED_TENANTS:
            del means[next(iter(means))]
    return mean.idf


async def _compute_mean_idf(session: AsyncSession, tenant_id: str, corpus: Corpus) -> float:
    counts = await (_living_frequencies if corpus.dead or corpus.reindexed else _stored_frequencies)(
        session, tenant_id, corpus
    )
    total = sum(terms * _raw_idf(corpus.chunks, count) for count, terms in counts.items())
    return total / max(1, counts.total())


# How many terms have each frequency.
_STORED_FREQUENCIES = """
    SELECT frequency, count(*)
    FROM (
        SELECT sum(octet_length(entries)) / 6 AS frequency
        FROM postings
        WHERE tenant_id = %s
        GROUP BY term
    ) AS terms
    GROUP BY frequency
"""


async def _stored_frequencies(session: AsyncSession, tenant_id: str, _: Corpus) -> Counter[int]:
    """Return the number of terms for each number of chunks, computed from the lengths of the entries."""
    cursor = await (await psycopg_connection(session)).execute(_STORED_FREQUENCIES, (tenant_id,))
    return Counter({int(frequency): terms for frequency, terms in await cursor.fetchall()})


async def _living_frequencies(session: AsyncSession, tenant_id: str, corpus: Corpus) -> Counter[int]:
    """Like ``_stored_frequencies``, but without the entries that no longer count. Looks up every entry in the masks."""
    cursor = (await psycopg_connection(session)).cursor(binary=True)
    await cursor.execute("SELECT segment, term, level, entries FROM postings WHERE tenant_id = %s", (tenant_id,))
    frequency: Counter[str] = Counter()
    counted = cache(corpus.counted)
    async for segment, term, level, entries in cursor:
        if segment in corpus.alive:
            frequency[term] += int(counted(segment, version_of(level))[unpack(entries)[:, 0]].sum())
    return Counter(count for count in frequency.values() if count)
