"""Replaces the postings of indexed chunks after the rules of the terms changed, and deletes the old ones later."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.bm25.indexing import (
    TERMS_PER_STATEMENT,
    add_to_totals,
    merge_full_segment,
    merge_parts,
    set_bits,
    write_part,
)
from knowledge.bm25.posting_codec import IndexedChunk, base_level, pack, place_of, reindexed, segment_of
from knowledge.psycopg_connection import psycopg_connection
from knowledge.text import search_terms


async def replace(session: AsyncSession, tenant_id: str, chunks: Sequence[IndexedChunk], old_terms: int) -> None:
    """Index chunks of the index again, by the present rules. ``old_terms`` is their number of terms so far.

    Their old entries no longer count, and stay until ``delete_replaced`` deletes them.
    """
    await add_to_totals(session, tenant_id, 0, sum(len(chunk.terms) for chunk in chunks) - old_terms)
    version = search_terms.VERSION
    for segment, terms in (await asyncio.to_thread(pack, chunks)).items():
        inside = [chunk for chunk in chunks if segment_of(chunk.chunk_id) == segment]
        part = min(chunk.chunk_id for chunk in inside)
        await write_part(session, tenant_id, segment, base_level(version), part, terms)
        await set_bits(
            session, tenant_id, segment, {reindexed(version): [place_of(chunk.chunk_id) for chunk in inside]}
        )
        await merge_parts(session, tenant_id, segment)


# Entries of older versions of the terms. Deletes at most so many rows, because a statement must not take minutes.
_DELETE_REPLACED = """
    DELETE FROM postings
    WHERE tenant_id = %(tenant)s AND segment = %(segment)s AND level < %(base)s AND term IN (
        SELECT term
        FROM postings
        WHERE tenant_id = %(tenant)s AND segment = %(segment)s AND level < %(base)s
        LIMIT %(limit)s
    )
"""

_DELETE_REPLACED_PARTS = """
    DELETE FROM posting_parts WHERE tenant_id = %(tenant)s AND segment = %(segment)s AND level < %(base)s
"""


async def replaced_segment(session: AsyncSession, tenant_id: str) -> int | None:
    """Return a segment with entries of an older version of the terms; None if there is none."""
    connection = await psycopg_connection(session)
    cursor = await connection.execute(
        "SELECT min(segment) FROM posting_parts WHERE tenant_id = %s AND level < %s",
        (tenant_id, base_level(search_terms.VERSION)),
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def delete_replaced(session: AsyncSession, tenant_id: str, segment: int) -> None:
    """Delete entries of older versions, up to a limit. Call it once every chunk is indexed by the present rules."""
    connection = await psycopg_connection(session)
    base = base_level(search_terms.VERSION)
    values = {"tenant": tenant_id, "segment": segment, "base": base, "limit": TERMS_PER_STATEMENT}
    if (await connection.execute(_DELETE_REPLACED, values)).rowcount:
        return
    await connection.execute(_DELETE_REPLACED_PARTS, values)
    await connection.execute(
        "DELETE FROM posting_masks WHERE tenant_id = %s AND segment = %s AND audience = ANY(%s)",
        (tenant_id, segment, [reindexed(version) for version in range(2, search_terms.VERSION + 1)]),
    )
    later = await connection.execute(
        "SELECT FROM posting_masks WHERE tenant_id = %s AND segment > %s LIMIT 1", (tenant_id, segment)
    )
    if later.rowcount:
        await merge_full_segment(session, tenant_id, segment)
