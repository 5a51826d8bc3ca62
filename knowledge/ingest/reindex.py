"""Indexes stored chunks again after the rules of the search terms changed, without reading any source.

A chunk is found by its old terms until its batch is done, so that search works meanwhile. Each batch has a transaction
of its own: an interrupted run continues where it stopped, and documents can be added at the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge import bm25
from knowledge.bm25 import IndexedChunk
from knowledge.chunking.chunk_headers import with_header
from knowledge.ports import Sessions
from knowledge.store.knowledge_version import lock, lock_and_increment
from knowledge.text import search_terms

BATCH = 256
"""Chunks that are indexed in one transaction."""

_OUTDATED = text("""
    SELECT chunk_id, audience, header, text
    FROM chunks
    WHERE tenant_id = :tenant AND terms_version < :version
    ORDER BY terms_version, chunk_id
    LIMIT :limit
""")


async def reindex(sessions: Sessions, tenant_id: str) -> int:
    """Index all chunks of the tenant with terms of an older version again; return how many.

    Then delete the entries that no longer count.
    """
    done = 0
    while chunks := await _next_batch(sessions, tenant_id):
        done += await _replace(sessions, tenant_id, chunks)
    while await _delete_replaced(sessions, tenant_id):
        pass
    if done:
        async with sessions(tenant_id) as session:
            await lock_and_increment(session, tenant_id)
    return done


async def _next_batch(sessions: Sessions, tenant_id: str) -> list[IndexedChunk]:
    """Return the next outdated chunks with their present terms."""
    values = {"tenant": tenant_id, "version": search_terms.VERSION, "limit": BATCH}
    async with sessions(tenant_id) as session:
        rows = (await session.execute(_OUTDATED, values)).all()
    found = await asyncio.to_thread(
        lambda: [search_terms.document_terms(with_header(row.header, row.text)) for row in rows]
    )
    return [IndexedChunk(row.chunk_id, row.audience, terms) for row, terms in zip(rows, found, strict=True)]


# Returns the chunks that still exist with their old number of terms.
_SET_TERMS = text("""
    UPDATE chunks SET terms = new.terms, terms_version = :version
    FROM (
        SELECT chunk_id, chunks.terms AS old_terms, counted.terms
        FROM chunks
        JOIN unnest(CAST(:numbers AS bigint[]), CAST(:terms AS int[])) AS counted (number, terms) ON number = chunk_id
        WHERE tenant_id = :tenant AND terms_version < :version
    ) AS new
    WHERE tenant_id = :tenant AND chunks.chunk_id = new.chunk_id
    RETURNING chunks.chunk_id, new.old_terms
""")


async def _replace(sessions: Sessions, tenant_id: str, chunks: Sequence[IndexedChunk]) -> int:
    """Replace the postings of those of the chunks that still exist; return their number."""
    async with sessions(tenant_id) as session:
        await lock(session, tenant_id)
        old_terms = await _set_terms(session, tenant_id, chunks)
        existing = [chunk for chunk in chunks if chunk.chunk_id in old_terms]
        await bm25.replace(session, tenant_id, existing, sum(old_terms.values()))
    return len(existing)


async def _set_terms(session: AsyncSession, tenant_id: str, chunks: Sequence[IndexedChunk]) -> dict[int, int]:
    rows = await session.execute(
        _SET_TERMS,
        {
            "tenant": tenant_id,
            "version": search_terms.VERSION,
            "numbers": [chunk.chunk_id for chunk in chunks],
            "terms": [len(chunk.terms) for chunk in chunks],
        },
    )
    return {row.chunk_id: row.old_terms for row in rows}


async def _delete_replaced(sessions: Sessions, tenant_id: str) -> bool:
    """Delete some entries that no longer count; return whether there were any."""
    async with sessions(tenant_id) as session:
        await lock(session, tenant_id)
        segment = await bm25.replaced_segment(session, tenant_id)
        if segment is not None:
            await bm25.delete_replaced(session, tenant_id, segment)
        return segment is not None
