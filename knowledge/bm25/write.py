"""Postings in: batches become parts, parts are joined, dead chunks are masked and swept out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.binary_driver import driver
from knowledge.posting_codec import (
    EVERYBODY,
    SEGMENT,
    Bits,
    IndexedChunk,
    bits,
    keep_alive,
    mask,
    pack,
    place_of,
    segment_of,
)

FAN = 16
"""Parts of one level that are joined into one part of the next."""
TOP_LEVEL = 9
"""The level of a swept segment, above any that joining reaches."""
SWEEP_SHARE = 0.2
"""A segment is swept once more than this share of its chunks is dead."""


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
        if segment and place_of(part) == 0:
            await _seal(session, tenant_id, segment - 1)
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


async def _seal(session: AsyncSession, tenant_id: str, segment: int) -> None:
    """Join all parts of a full segment, to which nothing is added any more, into one: a question reads it at once."""
    connection = await driver(session)
    taken = await connection.execute(
        "DELETE FROM posting_parts WHERE tenant_id = %s AND segment = %s RETURNING part", (tenant_id, segment)
    )
    if not await taken.fetchall():
        return
    part = segment * SEGMENT
    await connection.execute(
        "INSERT INTO posting_parts (tenant_id, segment, level, part) VALUES (%s, %s, %s, %s)",
        (tenant_id, segment, TOP_LEVEL, part),
    )
    await connection.execute(
        "WITH taken AS (DELETE FROM postings WHERE tenant_id = %(tenant)s AND segment = %(segment)s "
        "RETURNING term, entries) INSERT INTO postings (tenant_id, term, segment, level, part, entries) "
        "SELECT %(tenant)s, term, %(segment)s, %(level)s, %(part)s, string_agg(entries, ''::bytea) "
        "FROM taken GROUP BY term",
        {"tenant": tenant_id, "segment": segment, "level": TOP_LEVEL, "part": part},
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
