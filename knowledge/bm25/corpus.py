"""Reads a tenant's corpus for BM25: its totals, the masks of its segments, and the postings of terms."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

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
from knowledge.psycopg_connection import Command, psycopg_connection, send_together
from knowledge.scope_filter import Numbers, passing
from knowledge.text import search_terms
from knowledge.types.scope import Scope


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


# The totals of the tenant, with one row per segment and audience; the columns of the masks are NULL before the first
# chunk.
_STATE_AND_MASKS = """
    SELECT
        state.version, state.next_chunk, state.chunks, state.terms,
        masks.segment, masks.audience, masks.mask, masks.dead
    FROM knowledge_state state
    LEFT JOIN posting_masks masks ON masks.tenant_id = state.tenant_id AND masks.audience = ANY(%s)
    WHERE state.tenant_id = %s
"""

# Entries of one term and version in one segment are merged by concatenating the parts.
_POSTINGS = f"""
    SELECT segment, term, level / {VERSION_LEVELS}, string_agg(entries, ''::bytea)
    FROM postings
    WHERE tenant_id = %s AND term = ANY(%s)
    GROUP BY segment, term, level / {VERSION_LEVELS}
"""  # noqa: S608 - a number

_VERSIONS = {reindexed(version): version for version in range(2, search_terms.VERSION + 1)}


async def read_corpus(
    session: AsyncSession, scope: Scope, terms: Iterable[str], *, first: Sequence[Command] = ()
) -> tuple[Corpus, Postings]:
    """Return the totals and masks of the tenant's corpus for this scope, and the postings of the terms.

    The commands ``first`` travel before the queries, in the same round trip.
    """
    *_, masks, entries = await send_together(
        await psycopg_connection(session),
        *first,
        (_STATE_AND_MASKS, ([EVERYBODY, *_VERSIONS, *scope.audiences], scope.tenant_id)),
        (_POSTINGS, (scope.tenant_id, list(terms))),
        binary=True,
    )
    corpus = _corpus(masks, await passing(session, scope))
    return corpus, _postings(entries, corpus)


def _corpus(rows: Iterable[Sequence[Any]], filtered: Numbers | None) -> Corpus:
    """Return the corpus from the rows of ``_STATE_AND_MASKS``, and the chunks that pass the filter."""
    alive: dict[int, Bits] = {}
    by_audience: dict[int, list[Bits]] = defaultdict(list)
    replaced: dict[int, dict[int, Bits]] = defaultdict(dict)
    version = added = chunks = terms = dead = 0
    for version, added, chunks, terms, segment, audience, stored, segment_dead in rows:  # noqa: B007
        if audience == EVERYBODY:
            alive[segment] = bits(stored)
            dead += segment_dead
        elif audience in _VERSIONS:
            replaced[segment][_VERSIONS[audience]] = bits(stored)
        elif audience is not None:
            by_audience[segment].append(bits(stored))
    allowed = {segment: reduce(np.logical_or, masks) & alive[segment] for segment, masks in by_audience.items()}
    if filtered is not None:
        allowed = {segment: flags & _flags(filtered, segment) for segment, flags in allowed.items()}
    return Corpus(version, added, chunks, terms, dead, alive, allowed, replaced)


def _postings(stored: Iterable[Sequence[Any]], corpus: Corpus) -> Postings:
    """Return the entries from the rows of ``_POSTINGS``, without those of dead chunks."""
    found: dict[tuple[int, str], list[Entries]] = defaultdict(list)
    for segment, term, version, entries in stored:
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
