"""Postings out: the entries of a question's terms, scored with the statistics of the tenant's whole corpus."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from rank_bm25 import BM25Okapi
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.binary_driver import driver
from knowledge.posting_codec import EVERYBODY, SEGMENT, SEGMENT_BITS, Bits, Entries, bits, place_of, segment_of, unpack
from knowledge.scope_filter import Numbers, passing
from knowledge.types import Scope

K1 = 1.5
B = 0.75
EPSILON = 0.25
SLACK = 20
"""Candidates beyond k that are scored again, so that rounding cannot cost a place."""
LARGE = 20_000
"""In a corpus of as many chunks, the mean idf is counted anew after DRIFT of it changed."""
DRIFT = 0.01
REMEMBERED = 1000
"""Tenants whose mean idf a process remembers."""


@dataclass(frozen=True, slots=True)
class _Corpus:
    """The tenant's sums, and who is alive and who may be seen in each segment."""

    version: int
    chunks: int
    terms: int
    dead: int
    alive: Mapping[int, Bits]
    allowed: Mapping[int, Bits]


@dataclass(slots=True)
class _Postings:
    """The living entries of the question's terms, by segment, and how many chunks have each term."""

    entries: dict[int, dict[str, Entries]]
    frequency: Counter[str]


async def candidates(
    session: AsyncSession, terms: Sequence[str] | Mapping[str, float], scope: Scope, k: int
) -> list[tuple[int, float]]:
    """The k best chunks for the terms of a question: number and Okapi score, best first, ties by number.

    A term counts as often as it stands among ``terms``, or by the weight that it has there.

    Only chunks of the scope that have one of the terms and a score above zero are found. The statistics are those of
    the tenant's whole corpus, whatever the audience.
    """
    corpus = await _corpus(session, scope)
    if not corpus.chunks or not terms:
        return []
    postings = await _postings(session, scope.tenant_id, list(dict.fromkeys(terms)), corpus.alive)
    idf = await _idf(session, scope.tenant_id, corpus, postings.frequency)
    average = corpus.terms / corpus.chunks
    weights: Mapping[str, float] = terms if isinstance(terms, Mapping) else Counter(terms)
    wanted = {term: weight for term, weight in weights.items() if idf.get(term)}
    chosen = _choose(postings.entries, corpus.allowed, wanted, idf, average, k + SLACK)
    scores = _okapi(postings.entries, chosen, wanted, idf, average)
    best = sorted(zip(chosen, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))
    return [(chunk_id, score) for chunk_id, score in best[:k] if score > 0]


async def idf(session: AsyncSession, tenant_id: str, terms: Iterable[str]) -> dict[str, float]:
    """The idf of those terms that the tenant's corpus has; the entries are counted by their length, unread.

    For choosing among terms: chunks that were deleted and not yet swept count as well.
    """
    cursor = await (await driver(session)).execute(
        "SELECT term, sum(octet_length(entries)) / 6, (SELECT chunks FROM knowledge_state WHERE tenant_id = %s) "
        "FROM postings WHERE tenant_id = %s AND term = ANY(%s) GROUP BY term",
        (tenant_id, tenant_id, list(dict.fromkeys(terms))),
    )
    return {
        term: max(0.0, _raw_idf(max(chunks, int(frequency)), int(frequency)))
        for term, frequency, chunks in await cursor.fetchall()
        if chunks and frequency
    }


async def _corpus(session: AsyncSession, scope: Scope) -> _Corpus:
    cursor = (await driver(session)).cursor(binary=True)
    await cursor.execute(
        "SELECT state.version, state.chunks, state.terms, masks.segment, masks.audience, masks.mask, masks.dead "
        "FROM knowledge_state state JOIN posting_masks masks USING (tenant_id) "
        "WHERE state.tenant_id = %s AND masks.audience = ANY(%s)",
        (scope.tenant_id, [EVERYBODY, *scope.audiences]),
    )
    alive: dict[int, Bits] = {}
    seen: dict[int, list[Bits]] = defaultdict(list)
    version = chunks = terms = dead = 0
    async for version, chunks, terms, segment, audience, stored, fallen in cursor:  # noqa: B007
        if audience == EVERYBODY:
            alive[segment] = bits(stored)
            dead += fallen
        else:
            seen[segment].append(bits(stored))
    allowed = {segment: reduce(np.logical_or, masks) & alive[segment] for segment, masks in seen.items()}
    wanted = await passing(session, scope)
    if wanted is not None:
        allowed = {segment: flags & _flags(wanted, segment) for segment, flags in allowed.items()}
    return _Corpus(version, chunks, terms, dead, alive, allowed)


def _flags(numbers: Numbers, segment: int) -> Bits:
    """The places of the segment that are among the numbers of chunks."""
    flags = np.zeros(SEGMENT, dtype=np.bool_)
    flags[numbers[numbers >> SEGMENT_BITS == segment] & (SEGMENT - 1)] = True
    return flags


async def _postings(
    session: AsyncSession, tenant_id: str, terms: Sequence[str], alive: Mapping[int, Bits]
) -> _Postings:
    cursor = (await driver(session)).cursor(binary=True)
    await cursor.execute(
        "SELECT segment, term, string_agg(entries, ''::bytea) FROM postings "
        "WHERE tenant_id = %s AND term = ANY(%s) GROUP BY segment, term",
        (tenant_id, list(terms)),
    )
    found = _Postings(defaultdict(dict), Counter())
    for segment, term, entries in await cursor.fetchall():
        if segment not in alive:
            continue
        rows = unpack(entries)
        living = alive[segment][rows[:, 0]]
        if not living.all():
            rows = rows[living]
        found.entries[segment][term] = rows
        found.frequency[term] += len(rows)
    return found


async def _idf(
    session: AsyncSession, tenant_id: str, corpus: _Corpus, frequency: Mapping[str, int]
) -> dict[str, float]:
    """Okapi's idf; a term in more than half of all chunks gets a share of the mean over all terms."""
    idf = {term: _raw_idf(corpus.chunks, count) for term, count in frequency.items() if count}
    if any(value < 0 for value in idf.values()):
        floor = EPSILON * await _mean_idf(session, tenant_id, corpus)
        idf = {term: floor if value < 0 else value for term, value in idf.items()}
    return idf


def _raw_idf(chunks: int, frequency: int) -> float:
    return math.log(chunks - frequency + 0.5) - math.log(frequency + 0.5)


@dataclass(frozen=True, slots=True)
class _Mean:
    """The mean idf of a tenant, and the corpus that it was counted over."""

    version: int
    chunks: int
    terms: int
    idf: float

    def fits(self, corpus: _Corpus) -> bool:
        """For the same corpus; for a large one also after so small a change that the mean stays where it was."""
        if (self.version, self.chunks, self.terms) == (corpus.version, corpus.chunks, corpus.terms):
            return True
        return corpus.chunks >= LARGE and abs(corpus.chunks - self.chunks) <= DRIFT * corpus.chunks


_means: WeakKeyDictionary[object, dict[str, _Mean]] = WeakKeyDictionary()
"""Counting takes a look at every posting, so that each process remembers it, by database and tenant."""


async def _mean_idf(session: AsyncSession, tenant_id: str, corpus: _Corpus) -> float:
    means = _means.setdefault(session.get_bind(), {})
    mean = means.get(tenant_id)
    if mean is None or not mean.fits(corpus):
        idf = await _count_mean_idf(session, tenant_id, corpus)
        mean = means[tenant_id] = _Mean(corpus.version, corpus.chunks, corpus.terms, idf)
        if len(means) > REMEMBERED:
            del means[next(iter(means))]
    return mean.idf


async def _count_mean_idf(session: AsyncSession, tenant_id: str, corpus: _Corpus) -> float:
    counts = await (_living_frequencies if corpus.dead else _stored_frequencies)(session, tenant_id, corpus)
    total = sum(terms * _raw_idf(corpus.chunks, count) for count, terms in counts.items())
    return total / max(1, counts.total())


async def _stored_frequencies(session: AsyncSession, tenant_id: str, _: _Corpus) -> Counter[int]:
    """How many terms occur in how many chunks, read off the lengths alone."""
    cursor = await (await driver(session)).execute(
        "SELECT frequency, count(*) FROM (SELECT sum(octet_length(entries)) / 6 AS frequency FROM postings "
        "WHERE tenant_id = %s GROUP BY term) AS terms GROUP BY frequency",
        (tenant_id,),
    )
    return Counter({int(frequency): terms for frequency, terms in await cursor.fetchall()})


async def _living_frequencies(session: AsyncSession, tenant_id: str, corpus: _Corpus) -> Counter[int]:
    """The same where some entries belong to dead chunks: every entry is looked up in the masks."""
    cursor = (await driver(session)).cursor(binary=True)
    await cursor.execute("SELECT segment, term, entries FROM postings WHERE tenant_id = %s", (tenant_id,))
    frequency: Counter[str] = Counter()
    async for segment, term, entries in cursor:
        if segment in corpus.alive:
            frequency[term] += int(corpus.alive[segment][unpack(entries)[:, 0]].sum())
    return Counter(count for count in frequency.values() if count)


def _choose(
    entries: Mapping[int, Mapping[str, Entries]],
    allowed: Mapping[int, Bits],
    wanted: Mapping[str, float],
    idf: Mapping[str, float],
    average: float,
    k: int,
) -> list[int]:
    """The numbers of the k best chunks that may be seen."""
    numbers: list[npt.NDArray[np.int64]] = []
    scores: list[npt.NDArray[np.float64]] = []
    for segment, visible in allowed.items():
        total = np.zeros(SEGMENT)
        for term, rows in entries.get(segment, {}).items():
            if term in wanted:
                frequency, length = rows[:, 1].astype(np.float64), rows[:, 2]
                norm = frequency + K1 * (1 - B + B * length / average)
                total[rows[:, 0]] += wanted[term] * idf[term] * (K1 + 1) * frequency / norm
        places = np.flatnonzero((total > 0) & visible)
        numbers.append(places + segment * SEGMENT)
        scores.append(total[places])
    if not numbers:
        return []
    number, score = np.concatenate(numbers), np.concatenate(scores)
    if len(score) > k:
        # Sorting all of a large corpus' candidates takes longer than all the rest; ties with the last are kept.
        near = np.flatnonzero(score >= np.partition(score, len(score) - k)[len(score) - k])
        number, score = number[near], score[near]
    order = np.lexsort((number, -score))[:k]
    return [int(chunk_id) for chunk_id in number[order]]


def _okapi(
    entries: Mapping[int, Mapping[str, Entries]],
    chosen: Sequence[int],
    wanted: Mapping[str, float],
    idf: Mapping[str, float],
    average: float,
) -> list[float]:
    """The scores that ``BM25Okapi`` gives the chosen chunks under the statistics of the whole corpus."""
    if not chosen:
        return []
    frequencies: dict[int, dict[str, int]] = {chunk_id: {} for chunk_id in chosen}
    lengths: dict[int, int] = {}
    places: dict[int, list[int]] = defaultdict(list)
    for chunk_id in chosen:
        places[segment_of(chunk_id)].append(place_of(chunk_id))
    for segment, inside in places.items():
        here = np.zeros(SEGMENT, dtype=np.bool_)
        here[inside] = True
        for term, rows in entries.get(segment, {}).items():
            for place, frequency, length in rows[here[rows[:, 0]]].tolist():
                chunk_id = segment * SEGMENT + place
                frequencies[chunk_id][term] = frequency
                lengths[chunk_id] = length
    okapi = BM25Okapi([[""]], k1=K1, b=B, epsilon=EPSILON)
    okapi.corpus_size, okapi.avgdl = len(chosen), average
    okapi.idf = {term: weight * idf[term] for term, weight in wanted.items()}
    okapi.doc_freqs, okapi.doc_len = list(frequencies.values()), [lengths[chunk_id] for chunk_id in chosen]
    scores: Iterable[float] = okapi.get_scores(list(wanted))
    return [float(score) for score in scores]
