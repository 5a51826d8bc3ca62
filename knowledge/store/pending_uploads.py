"""Stores the bytes of an uploaded file until its ingestion run has read them. The run's end deletes them.

Every function runs inside its caller's transaction and tenant.
"""

from __future__ import annotations

import uuid

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.store.file_parts import PartsTable
from knowledge.types.source_items import Fetched

_PARTS = PartsTable("upload_parts", "ingest_id")

_LOCK_ACTIVE = text("""
    SELECT id FROM ingests
    WHERE tenant_id = :tenant AND id = :id AND state IN ('waiting', 'running')
    FOR UPDATE
""")


async def store(session: AsyncSession, *, tenant_id: str, run_id: str, file: Fetched) -> bool:
    """Store uploaded bytes until the worker reads them, in place of an earlier file of the run.

    A run that has read the earlier file reads again. Return False if the run has ended.
    """
    named = {"tenant": tenant_id, "id": uuid.UUID(run_id)}
    if await session.scalar(_LOCK_ACTIVE, named) is None:
        return False
    await session.execute(
        text("UPDATE ingests SET content_type = :type WHERE tenant_id = :tenant AND id = :id"),
        {**named, "type": file.content_type},
    )
    await _PARTS.delete(session, tenant_id, [uuid.UUID(run_id)])
    await _PARTS.write(session, tenant_id, uuid.UUID(run_id), file.data)
    return True


async def digest(session: AsyncSession, *, tenant_id: str, run_id: str) -> str:
    """Return a digest of the uploaded bytes of the run; empty if it has none. Lock the run, so that they stay."""
    run = {"tenant": tenant_id, "id": uuid.UUID(run_id)}
    await session.execute(_LOCK_ACTIVE, run)
    found = await session.scalar(
        text("""
            SELECT string_agg(md5(data), '' ORDER BY part) FROM upload_parts
            WHERE tenant_id = :tenant AND ingest_id = :id
        """),
        run,
    )
    return str(found or "")


async def load(session: AsyncSession, *, tenant_id: str, run_id: str) -> bytes:
    """Return the uploaded bytes of the run."""
    return await _PARTS.read(session, tenant_id, uuid.UUID(run_id))


async def size(session: AsyncSession, *, tenant_id: str, run_id: str) -> int:
    """Return the size of the uploaded file of the run."""
    found = await session.scalar(
        text("SELECT sum(octet_length(data)) FROM upload_parts WHERE tenant_id = :tenant AND ingest_id = :id"),
        {"tenant": tenant_id, "id": uuid.UUID(run_id)},
    )
    return int(found or 0)
