"""Writes BM25 postings: adds batches as parts, merges parts, masks deleted chunks and removes them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.bm25.posting_codec import (
    EVERYBODY,
    SEGMENT,
    TOP_LEVEL,
    Bits,
    IndexedChunk,
    base_level,
    bits,
    keep_alive,
    mask,
    pack,
    place_of,
    segment_of,
)
from knowledge.psycopg_connection import psycopg_connection
from knowledge.text import search_terms

MERGE_PARTS = 16
"""Parts of one level that are merged into one part of the next level."""
TERMS_PER_STATEMENT = 2000
"""Terms that one statement reads or writes. A full segment has hundreds of thousands."""
SWEEP_SHARE = 0.2
"""Deleted chunks are removed from a segment once more than this share of its chunks is dead."""


async def index(session: AsyncSession, tenant_id: str, chunks: Sequence[IndexedChunk]) -> None:
    """Add chunks in the session's transaction. Their numbers must never have been indexed before."""
    if not chunks:
        return
    await add_to_totals(session, tenant_id, len(chunks), sum(len(chunk.terms) for chunk in chunks))
    for segment, terms in (await asyncio.to_thread(pack, chunks)).items():
        inside = [chunk for chunk in chunks if segment_of(chunk.chunk_id) == segment]
        part = min(chunk.chunk_id for chunk in inside)
        await write_part(session, tenant_id, segment, base_level(search_terms.VERSION), part, terms)
        await set_bits(session, tenant_id, segment, _places(inside))
        if segment and place_of(part) == 0:
            await merge_full_segment(session, tenant_id, segment - 1)
        await merge_parts(session, tenant_id, segment)


async def remove(session: AsyncSession, tenant_id: str, chunks: Mapping[int, int]) -> None:
    """Remove chunks in the session's transaction. ``chunks`` has the number of terms of each chunk, by number."""
    if not chunks:
        return
    await add_to_totals(session, tenant_id, -len(chunks), -sum(chunks.values()))
    by_segment: dict[int, list[int]] = defaultdict(list)
    for chunk_id in chunks:
        by_segment[segment_of(chunk_id)].append(place_of(chunk_id))
    for segment, places in by_segment.items():
        alive, dead = await _clear_bits(session, tenant_id, segment, places)
        if dead > SWEEP_SHARE * (dead + int(alive.sum())):
            await _sweep(session, tenant_id, segment, alive)


async def sweep_dead(session: AsyncSession, tenant_id: str) -> None:
    """Remove all postings of deleted chunks at once, so that no term is left that only they had."""
    connection = await psycopg_connection(session)
    cursor = await connection.execute(
        "SELECT segment FROM posting_masks WHERE tenant_id = %s AND audience = %s AND dead > 0", (tenant_id, EVERYBODY)
    )
    for (segment,) in await cursor.fetchall():
        stored = await _read_masks(session, tenant_id, segment, [EVERYBODY])
        await _sweep(session, tenant_id, segment, bits(stored[EVERYBODY]))


# The upsert also locks the tenant's row, so that writers of one tenant run one after the other.
_ADD_TO_TOTALS = """
    INSERT INTO knowledge_state (tenant_id, chunks, terms)
    VALUES (%s, %s, %s)
    ON CONFLICT (tenant_id) DO UPDATE SET
        chunks = knowledge_state.chunks + excluded.chunks,
        terms = knowledge_state.terms + excluded.terms
"""


async def add_to_totals(session: AsyncSession, tenant_id: str, chunks: int, terms: int) -> None:
    """Change the tenant's totals, and take its write lock."""
    connection = await psycopg_connection(session)
    await connection.execute(_ADD_TO_TOTALS, (tenant_id, chunks, terms))


# Registers a part of a segment.
_INSERT_PART = "INSERT INTO posting_parts (tenant_id, segment, level, part) VALUES (%s, %s, %s, %s)"


# One row per term of the part.
_INSERT_POSTINGS = """
    INSERT INTO postings (tenant_id, term, segment, level, part, entries)
    SELECT %s, term, %s, %s, %s, entries
    FROM unnest(%b::text[], %b::bytea[]) AS new (term, entries)
    RETURNING 1
"""


async def write_part(
    session: AsyncSession, tenant_id: str, segment: int, level: int, part: int, terms: Mapping[str, bytes]
) -> None:
    """Write the entries of a part by term, and register the part."""
    connection = await psycopg_connection(session)
    await connection.execute(_INSERT_PART, (tenant_id, segment, level, part))
    await _write_postings(session, tenant_id, segment, level, part, terms)


async def _write_postings(
    session: AsyncSession, tenant_id: str, segment: int, level: int, part: int, terms: Mapping[str, bytes]
) -> None:
    connection = await psycopg_connection(session)
    items = list(terms.items())
    for start in range(0, len(items), TERMS_PER_STATEMENT):
        names, entries = zip(*items[start : start + TERMS_PER_STATEMENT], strict=True)
        await connection.execute(_INSERT_POSTINGS, (tenant_id, segment, level, part, list(names), list(entries)))


# Deletes the parts of a level only if there are enough of them to merge.
_TAKE_PARTS_OF_LEVEL = """
    DELETE FROM posting_parts
    WHERE tenant_id = %(tenant)s AND segment = %(segment)s AND level = %(level)s
        AND %(merge)s <= (
            SELECT count(*)
            FROM posting_parts
            WHERE tenant_id = %(tenant)s AND segment = %(segment)s AND level = %(level)s
        )
    RETURNING part
"""

# Moves the postings of a level to one part of the next level, in the order of the parts.
_MERGE_LEVEL = """
    WITH taken AS (
        DELETE FROM postings
        WHERE tenant_id = %(tenant)s AND segment = %(segment)s AND level = %(level)s
        RETURNING term, part, entries
    )
    INSERT INTO postings (tenant_id, term, segment, level, part, entries)
    SELECT
        %(tenant)s, term, %(segment)s, %(next_level)s, %(part)s, string_agg(entries, ''::bytea ORDER BY part)
    FROM taken
    GROUP BY term
    RETURNING 1
"""


async def merge_parts(session: AsyncSession, tenant_id: str, segment: int) -> None:
    """Merge the parts of each level that has MERGE_PARTS of them; a merged part may complete the next level."""
    connection = await psycopg_connection(session)
    base = base_level(search_terms.VERSION)
    for level in range(base, base + TOP_LEVEL - 1):
        values = {"tenant": tenant_id, "segment": segment, "level": level, "merge": MERGE_PARTS}
        taken = await connection.execute(_TAKE_PARTS_OF_LEVEL, values)
        parts = [row[0] for row in await taken.fetchall()]
        if not parts:
            return
        await connection.execute(_INSERT_PART, (tenant_id, segment, level + 1, min(parts)))
        await connection.execute(_MERGE_LEVEL, values | {"next_level": level + 1, "part": min(parts)})


# Moves all postings of a segment that are of the present version to one part.
_MERGE_SEGMENT = """
    WITH taken AS (
        DELETE FROM postings
        WHERE tenant_id = %(tenant)s AND segment = %(segment)s AND level BETWEEN %(base)s AND %(level)s
        RETURNING term, entries
    )
    INSERT INTO postings (tenant_id, term, segment, level, part, entries)
    SELECT %(tenant)s, term, %(segment)s, %(level)s, %(part)s, string_agg(entries, ''::bytea)
    FROM taken
    GROUP BY term
    RETURNING 1
"""


_TAKE_PARTS = """
    DELETE FROM posting_parts
    WHERE tenant_id = %(tenant)s AND segment = %(segment)s AND level BETWEEN %(base)s AND %(level)s
"""


async def merge_full_segment(session: AsyncSession, tenant_id: str, segment: int) -> None:
    """Merge all parts of a full segment, which no longer grows, into one, so that a question reads one row per term."""
    connection = await psycopg_connection(session)
    base = base_level(search_terms.VERSION)
    part, level = segment * SEGMENT, base + TOP_LEVEL
    values = {"tenant": tenant_id, "segment": segment, "base": base, "level": level, "part": part}
    if not (await connection.execute(_TAKE_PARTS, values)).rowcount:
        return
    await connection.execute(_INSERT_PART, (tenant_id, segment, level, part))
    await connection.execute(_MERGE_SEGMENT, values)


def _places(chunks: Sequence[IndexedChunk]) -> dict[str, list[int]]:
    """Return the places of the chunks by mask: that of all live chunks, and that of their audience."""
    places: dict[str, list[int]] = {EVERYBODY: [place_of(chunk.chunk_id) for chunk in chunks]}
    for chunk in chunks:
        places.setdefault(chunk.audience, []).append(place_of(chunk.chunk_id))
    return places


async def set_bits(session: AsyncSession, tenant_id: str, segment: int, places: Mapping[str, Sequence[int]]) -> None:
    """Set the bits of the places in each mask."""
    stored = await _read_masks(session, tenant_id, segment, list(places))
    for audience, added in places.items():
        flags = bits(stored.get(audience, b""))
        flags[list(added)] = True
        await _write_mask(session, tenant_id, segment, audience, flags)


# Replaces the mask of living chunks and counts the dead ones.
_CLEAR_BITS = """
    UPDATE posting_masks SET mask = %s, dead = dead + %s
    WHERE tenant_id = %s AND segment = %s AND audience = %s
    RETURNING dead
"""


async def _clear_bits(session: AsyncSession, tenant_id: str, segment: int, places: Sequence[int]) -> tuple[Bits, int]:
    """Clear bits only in the mask of live chunks, because every reader combines it with the masks of its audiences.

    Returns the mask, and how many chunks of the segment are dead.
    """
    stored = await _read_masks(session, tenant_id, segment, [EVERYBODY])
    flags = bits(stored[EVERYBODY])
    flags[list(places)] = False
    connection = await psycopg_connection(session)
    cursor = await connection.execute(_CLEAR_BITS, (mask(flags), len(places), tenant_id, segment, EVERYBODY))
    row = await cursor.fetchone()
    return flags, row[0] if row else 0


async def _read_masks(
    session: AsyncSession, tenant_id: str, segment: int, audiences: Sequence[str]
) -> dict[str, bytes]:
    cursor = (await psycopg_connection(session)).cursor(binary=True)
    await cursor.execute(
        "SELECT audience, mask FROM posting_masks WHERE tenant_id = %s AND segment = %s AND audience = ANY(%s)",
        (tenant_id, segment, list(audiences)),
    )
    return dict(await cursor.fetchall())


# Creates or replaces the mask of one audience in a segment.
_WRITE_MASK = """
    INSERT INTO posting_masks (tenant_id, segment, audience, mask)
    VALUES (%s, %s, %s, %s)
    ON CONFLICT (tenant_id, segment, audience) DO UPDATE SET mask = excluded.mask
"""


async def _write_mask(session: AsyncSession, tenant_id: str, segment: int, audience: str, flags: Bits) -> None:
    connection = await psycopg_connection(session)
    await connection.execute(_WRITE_MASK, (tenant_id, segment, audience, mask(flags)))


# The postings of the next terms of a segment, deleted and merged by term.
_TAKE_NEXT_POSTINGS = """
    WITH next AS (
        SELECT DISTINCT term
        FROM postings
        WHERE tenant_id = %(tenant)s AND segment = %(segment)s AND level BETWEEN %(base)s AND %(level)s
            AND term > %(after)s
        ORDER BY term
        LIMIT %(limit)s
    ), taken AS (
        DELETE FROM postings
        WHERE tenant_id = %(tenant)s AND segment = %(segment)s AND level BETWEEN %(base)s AND %(level)s
            AND term IN (SELECT term FROM next)
        RETURNING term, entries
    )
    SELECT term, string_agg(entries, ''::bytea)
    FROM taken
    GROUP BY term
    ORDER BY term
"""


async def _sweep(session: AsyncSession, tenant_id: str, segment: int, alive: Bits) -> None:
    """Rewrite the segment as one part, for each version of the terms that it has, without its dead chunks."""
    connection = await psycopg_connection(session)
    await connection.execute(
        "UPDATE posting_masks SET dead = 0 WHERE tenant_id = %s AND segment = %s AND audience = %s",
        (tenant_id, segment, EVERYBODY),
    )
    for version in range(1, search_terms.VERSION + 1):
        await _sweep_version(session, tenant_id, segment, version, alive)


async def _sweep_version(session: AsyncSession, tenant_id: str, segment: int, version: int, alive: Bits) -> None:
    cursor = (await psycopg_connection(session)).cursor(binary=True)
    part, after, rewritten = segment * SEGMENT, "", False
    base = base_level(version)
    level = base + TOP_LEVEL
    values = {"tenant": tenant_id, "segment": segment, "limit": TERMS_PER_STATEMENT, "base": base, "level": level}
    if not (await cursor.execute(_TAKE_PARTS, values)).rowcount:
        return
    while True:
        await cursor.execute(_TAKE_NEXT_POSTINGS, values | {"after": after})
        taken = dict(await cursor.fetchall())
        if not taken:
            break
        after = next(reversed(taken))
        kept = await asyncio.to_thread(keep_alive, taken, alive)
        if kept and not rewritten:
            await cursor.execute(_INSERT_PART, (tenant_id, segment, level, part))
            rewritten = True
        if kept:
            await _write_postings(session, tenant_id, segment, level, part, kept)
