"""Reads a tenant's corpus for BM25: its totals, the masks of its segments, and the postings of terms."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.bm25.posting_codec import (
    EVERYBODY,
    SEGMENT,
    SEGMENT_BITS,
    VERSION_LEVELS,
    Bits,
    Entries,
    bits,
    reindexed,
    unpack,
)
from knowledge.psycopg_connection import psycopg_connection
from knowledge.scope_filter import Numbers, passing
from knowledge.text import search_terms
from knowledge.types import Scope


@dataclass(frozen=True, slots=True)
class Corpus:
    """The totals of a tenant's corpus and, by segment, which chunks are alive and which may be found in a scope.

    ``added`` is the number of chunks that were ever added. ``reindexed`` has, by segment and version of the terms, the
    chunks whose entries of earlier versions no longer count.
    """

    version: int
    added: int
    chunks: int
    terms: int
    dead: int
    alive: Mapping[int, Bits]
    allowed: Mapping[int, Bits]
    reindexed: Mapping[int, Mapping[int, Bits]]

    def counted(self, segment: int, version: int) -> Bits:
        """Return the chunks of a segment whose entries of this version of the terms count."""
        later = [flags for one, flags in self.reindexed.get(segment, {}).items() if one > version]
        return reduce(np.logical_and, (np.logical_not(flags) for flags in later), self.alive[segment])


@dataclass(slots=True)
class Postings:
    """The live entries of the question's terms, by segment and term, and the number of chunks with each term."""

    entries: dict[int, dict[str, Entries]]
    frequency: Counter[str]


# The totals of the tenant, with one row per segment and audience. The tenant has no rows before its first chunk.
_STATE_AND_MASKS = """
    SELECT
        state.version, state.next_chunk, state.chunks, state.terms,
        masks.segment, masks.audience, masks.mask, masks.dead
    FROM knowledge_state state
    JOIN posting_masks masks USING (tenant_id)
    WHERE state.tenant_id = %s AND masks.audience = ANY(%s)
"""


async def read_corpus(session: AsyncSession, scope: Scope) -> Corpus:
    """Return the totals and masks of the tenant's corpus for this scope."""
    cursor = (await psycopg_connection(session)).cursor(binary=True)
    versions = {reindexed(version): version for version in range(2, search_terms.VERSION + 1)}
    await cursor.execute(_STATE_AND_MASKS, (scope.tenant_id, [EVERYBODY, *versions, *scope.audiences]))
    alive: dict[int, Bits] = {}
    by_audience: dict[int, list[Bits]] = defaultdict(list)
    replaced: dict[int, dict[int, Bits]] = defaultdict(dict)
    version = added = chunks = terms = dead = 0
    async for version, added, chunks, terms, segment, audience, stored, segment_dead in cursor:  # noqa: B007
        if audience == EVERYBODY:
            alive[segment] = bits(stored)
            dead += segment_dead
        elif audience in versions:
            replaced[segment][versions[audience]] = bits(stored)
        else:
            by_audience[segment].append(bits(stored))
    allowed = {segment: reduce(np.logical_or, masks) & alive[segment] for segment, masks in by_audience.items()}
    filtered = await passing(session, scope)
    if filtered is not None:
        allowed = {segment: flags & _flags(filtered, segment) for segment, flags in allowed.items()}
    return Corpus(version, added, chunks, terms, dead, alive, allowed, replaced)


# Entries of one term and version in one segment are merged by concatenating the parts.
_POSTINGS = f"""
    SELECT segment, term, level / {VERSION_LEVELS}, string_agg(entries, ''::bytea)
    FROM postings
    WHERE tenant_id = %s AND term = ANY(%s)
    GROUP BY segment, term, level / {VERSION_LEVELS}
"""  # noqa: S608 - a number


async def read_postings(session: AsyncSession, tenant_id: str, terms: Sequence[str], corpus: Corpus) -> Postings:
    """Return the entries of the terms, without those of dead chunks."""
    cursor = (await psycopg_connection(session)).cursor(binary=True)
    await cursor.execute(_POSTINGS, (tenant_id, list(terms)))
    found: dict[tuple[int, str], list[Entries]] = defaultdict(list)
    for segment, term, version, entries in await cursor.fetchall():
        if segment not in corpus.alive:
            continue
        rows = unpack(entries)
        counted = corpus.counted(segment, version + 1)[rows[:, 0]]
        found[segment, term].append(rows if counted.all() else rows[counted])
    postings = Postings(defaultdict(dict), Counter())
    for (segment, term), of_versions in found.items():
        rows = of_versions[0] if len(of_versions) == 1 else np.concatenate(of_versions)
        postings.entries[segment][term] = rows
        postings.frequency[term] += len(rows)
    return postings


def _flags(numbers: Numbers, segment: int) -> Bits:
    """Return one flag for each place of the segment: whether the number of its chunk is in ``numbers``."""
    flags = np.zeros(SEGMENT, dtype=np.bool_)
    flags[numbers[numbers >> SEGMENT_BITS == segment] & (SEGMENT - 1)] = True
    return flags
