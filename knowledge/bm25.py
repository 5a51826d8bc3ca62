"""BM25 inside Postgres: the same ranking as ``rank_bm25.BM25Okapi`` over the tenant's whole corpus, always fresh.

Written in the transaction of the chunks themselves, read by every process. A batch of chunks is one part; parts of a
segment are joined once there are many of a level, so that a term is read from few rows. Deleted chunks are masked, and
swept out of a segment once they are many. How often a term occurs is counted from its living entries while they are
read, so no statistic can be stale. Writers of one tenant wait for each other at the tenant's state row.
"""

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

from knowledge.driver import driver
from knowledge.postings import (
    SEGMENT,
    Bits,
    Entries,
    IndexedChunk,
    bits,
    keep_alive,
    mask,
    pack,
    place_of,
    segment_of,
    unpack,
)
from knowledge.types import Scope

K1 = 1.5
B = 0.75
EPSILON = 0.25
FAN = 64
"""Parts of one level that are joined into one part of the next."""
TOP_LEVEL = 9
"""The level of a swept segment, above any that joining reaches."""
SWEEP_SHARE = 0.2
"""A segment is swept once more than this share of its chunks is dead."""
SLACK = 20
"""Candidates beyond k that are scored again, so that rounding cannot cost a place."""
LARGE = 20_000
"""In a corpus of as many chunks, the mean idf is counted anew after DRIFT of it changed."""
DRIFT = 0.01
REMEMBERED = 1000
"""Tenants whose mean idf a process remembers."""
EVERYBODY = ""
"""The mask of all living chunks."""


# --- writing


async def index(session: AsyncSession, tenant_id: str, chunks: Sequence[IndexedChunk]) -> None:
    """Add chunks in the session's transaction. Their numbers must not have been indexed before."""
    if not chunks:
        return
    await _count(session, tenant_id, len(chunks), sum(len(chunk.terms) for chunk in chunks))
    for segment, terms in pack(chunks).items():
        inside = [chunk for chunk in chunks if segment_of(chunk.chunk_id) == segment]
        part = min(chunk.chunk_id for chunk in inside)
        await _write_part(session, tenant_id, segment, 0, part, terms)
        await _set_bits(session, tenant_id, segment, inside)
        await _join(session, tenant_id, segment)


async def remove(session: AsyncSession, tenant_id: str, chunks: Mapping[int, int]) -> None:
    """Take chunks out in the session's transaction: number of each, and how many terms it had."""
    if not chunks:
        return
    await _count(session, tenant_id, -len(chunks), -sum(chunks.values()))
    by_segment: dict[int, list[int]] = defaultdict(list)
    for chunk_id in chunks:
        by_segment[segment_of(chunk_id)].append(place_of(chunk_id))
    for segment, places in by_segment.items():
        alive, dead = await _clear_bits(session, tenant_id, segment, places)
        if dead > SWEEP_SHARE * (dead + int(alive.sum())):
            await _sweep(session, tenant_id, segment, alive)


async def _count(session: AsyncSession, tenant_id: str, chunks: int, terms: int) -> None:
    connection = await driver(session)
    await connection.execute(
        "INSERT INTO knowledge_state (tenant_id, chunks, terms) VALUES (%s, %s, %s) ON CONFLICT (tenant_id) DO UPDATE "
        "SET chunks = knowledge_state.chunks + excluded.chunks, terms = knowledge_state.terms + excluded.terms",
        (tenant_id, chunks, terms),
    )


async def _write_part(
    session: AsyncSession, tenant_id: str, segment: int, level: int, part: int, terms: Mapping[str, bytes]
) -> None:
    connection = await driver(session)
    await connection.execute(
        "INSERT INTO posting_parts (tenant_id, segment, level, part) VALUES (%s, %s, %s, %s)",
        (tenant_id, segment, level, part),
    )
    await connection.execute(
        "INSERT INTO postings (tenant_id, term, segment, level, part, entries) "
        "SELECT %s, term, %s, %s, %s, entries FROM unnest(%b::text[], %b::bytea[]) AS new (term, entries)",
        (tenant_id, segment, level, part, list(terms), list(terms.values())),
    )


async def _join(session: AsyncSession, tenant_id: str, segment: int) -> None:
    """Join the parts of each level that has FAN of them; a joined part may fill the level above."""
    connection = await driver(session)
    for level in range(TOP_LEVEL - 1):
        taken = await connection.execute(
            "DELETE FROM posting_parts WHERE tenant_id = %(tenant)s AND segment = %(segment)s AND level = %(level)s "
            "AND %(fan)s <= (SELECT count(*) FROM posting_parts WHERE tenant_id = %(tenant)s "
            "AND segment = %(segment)s AND level = %(level)s) RETURNING part",
            {"tenant": tenant_id, "segment": segment, "level": level, "fan": FAN},
        )
        parts = [row[0] for row in await taken.fetchall()]
        if not parts:
            return
        await connection.execute(
            "INSERT INTO posting_parts (tenant_id, segment, level, part) VALUES (%s, %s, %s, %s)",
            (tenant_id, segment, level + 1, min(parts)),
        )
        await connection.execute(
            "WITH taken AS (DELETE FROM postings WHERE tenant_id = %(tenant)s AND segment = %(segment)s "
            "AND level = %(level)s RETURNING term, part, entries) "
            "INSERT INTO postings (tenant_id, term, segment, level, part, entries) "
            "SELECT %(tenant)s, term, %(segment)s, %(above)s, %(part)s, string_agg(entries, ''::bytea ORDER BY part) "
            "FROM taken GROUP BY term",
            {"tenant": tenant_id, "segment": segment, "level": level, "above": level + 1, "part": min(parts)},
        )


async def _set_bits(session: AsyncSession, tenant_id: str, segment: int, chunks: Sequence[IndexedChunk]) -> None:
    places: dict[str, list[int]] = {EVERYBODY: [place_of(chunk.chunk_id) for chunk in chunks]}
    for chunk in chunks:
        places.setdefault(chunk.audience, []).append(place_of(chunk.chunk_id))
    stored = await _masks_of(session, tenant_id, segment, list(places))
    for audience, wanted in places.items():
        flags = bits(stored.get(audience, b""))
        flags[wanted] = True
        await _write_mask(session, tenant_id, segment, audience, flags)


async def _clear_bits(session: AsyncSession, tenant_id: str, segment: int, places: Sequence[int]) -> tuple[Bits, int]:
    """Only the mask of the living is cleared: every reader applies it on top of its audiences."""
    stored = await _masks_of(session, tenant_id, segment, [EVERYBODY])
    flags = bits(stored[EVERYBODY])
    flags[list(places)] = False
    connection = await driver(session)
    cursor = await connection.execute(
        "UPDATE posting_masks SET mask = %s, dead = dead + %s "
        "WHERE tenant_id = %s AND segment = %s AND audience = %s RETURNING dead",
        (mask(flags), len(places), tenant_id, segment, EVERYBODY),
    )
    row = await cursor.fetchone()
    return flags, row[0] if row else 0


async def _masks_of(session: AsyncSession, tenant_id: str, segment: int, audiences: Sequence[str]) -> dict[str, bytes]:
    cursor = (await driver(session)).cursor(binary=True)
    await cursor.execute(
        "SELECT audience, mask FROM posting_masks WHERE tenant_id = %s AND segment = %s AND audience = ANY(%s)",
        (tenant_id, segment, list(audiences)),
    )
    return dict(await cursor.fetchall())


async def _write_mask(session: AsyncSession, tenant_id: str, segment: int, audience: str, flags: Bits) -> None:
    connection = await driver(session)
    await connection.execute(
        "INSERT INTO posting_masks (tenant_id, segment, audience, mask) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (tenant_id, segment, audience) DO UPDATE SET mask = excluded.mask",
        (tenant_id, segment, audience, mask(flags)),
    )


async def _sweep(session: AsyncSession, tenant_id: str, segment: int, alive: Bits) -> None:
    """Write the segment anew without its dead chunks, as one part."""
    cursor = (await driver(session)).cursor(binary=True)
    await cursor.execute(
        "WITH taken AS (DELETE FROM postings WHERE tenant_id = %s AND segment = %s RETURNING term, entries) "
        "SELECT term, string_agg(entries, ''::bytea) FROM taken GROUP BY term",
        (tenant_id, segment),
    )
    kept = keep_alive(dict(await cursor.fetchall()), alive)
    await cursor.execute("DELETE FROM posting_parts WHERE tenant_id = %s AND segment = %s", (tenant_id, segment))
    await cursor.execute(
        "UPDATE posting_masks SET dead = 0 WHERE tenant_id = %s AND segment = %s AND audience = %s",
        (tenant_id, segment, EVERYBODY),
    )
    if kept:
        await _write_part(session, tenant_id, segment, TOP_LEVEL, segment * SEGMENT, kept)


# --- reading


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


async def candidates(session: AsyncSession, terms: Sequence[str], scope: Scope, k: int) -> list[tuple[int, float]]:
    """The k best chunks for the terms of a question: number and Okapi score, best first, ties by number.

    Only chunks of the scope that have one of the terms and a score above zero are found. The statistics are those of
    the tenant's whole corpus, whatever the audience.
    """
    corpus = await _corpus(session, scope)
    if not corpus.chunks or not terms:
        return []
    postings = await _postings(session, scope.tenant_id, list(set(terms)), corpus.alive)
    idf = await _idf(session, scope.tenant_id, corpus, postings.frequency)
    average = corpus.terms / corpus.chunks
    wanted = Counter(term for term in terms if idf.get(term))
    chosen = _choose(postings.entries, corpus.allowed, wanted, idf, average, k + SLACK)
    scores = _okapi(postings.entries, chosen, wanted, idf, average)
    best = sorted(zip(chosen, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))
    return [(chunk_id, score) for chunk_id, score in best[:k] if score > 0]


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
    return _Corpus(version, chunks, terms, dead, alive, allowed)


async def _postings(
    session: AsyncSession, tenant_id: str, terms: Sequence[str], alive: Mapping[int, Bits]
) -> _Postings:
    cursor = (await driver(session)).cursor(binary=True)
    await cursor.execute(
        "SELECT segment, term, entries FROM postings WHERE tenant_id = %s AND term = ANY(%s)", (tenant_id, list(terms))
    )
    parts: dict[tuple[int, str], list[bytes]] = defaultdict(list)
    async for segment, term, entries in cursor:
        parts[segment, term].append(entries)
    found = _Postings(defaultdict(dict), Counter())
    for (segment, term), joined in parts.items():
        if segment not in alive:
            continue
        rows = unpack(b"".join(joined))
        rows = rows[alive[segment][rows[:, 0]]]
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
    wanted: Mapping[str, int],
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
    order = np.lexsort((number, -score))[:k]
    return [int(chunk_id) for chunk_id in number[order]]


def _okapi(
    entries: Mapping[int, Mapping[str, Entries]],
    chosen: Sequence[int],
    wanted: Counter[str],
    idf: Mapping[str, float],
    average: float,
) -> list[float]:
    """The scores that ``BM25Okapi`` gives the chosen chunks under the statistics of the whole corpus."""
    if not chosen:
        return []
    frequencies: dict[int, dict[str, int]] = {chunk_id: {} for chunk_id in chosen}
    lengths: dict[int, int] = {}
    for segment, terms in entries.items():
        here = np.array([place_of(chunk_id) for chunk_id in chosen if segment_of(chunk_id) == segment], dtype=np.uint16)
        for term, rows in terms.items():
            for place, frequency, length in rows[np.isin(rows[:, 0], here)].tolist():
                chunk_id = segment * SEGMENT + place
                frequencies[chunk_id][term] = frequency
                lengths[chunk_id] = length
    okapi = BM25Okapi([[""]], k1=K1, b=B, epsilon=EPSILON)
    okapi.corpus_size, okapi.avgdl, okapi.idf = len(chosen), average, dict(idf)
    okapi.doc_freqs, okapi.doc_len = list(frequencies.values()), [lengths[chunk_id] for chunk_id in chosen]
    scores: Iterable[float] = okapi.get_scores(list(wanted.elements()))
    return [float(score) for score in scores]
