"""Stores files of the browser page for a day: those attached to questions, and those that commands return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.database.pipelined_transactions import Statement, send
from bot.store.schema import page_files
from knowledge.psycopg_connection import psycopg_connection

Purpose = Literal["attachment", "reply"]

_ADD = """
INSERT INTO page_files (tenant_id, file_id, purpose, name, content_type, size, data, added_by)
VALUES (%(tenant)s, %(id)s, %(purpose)s, %(name)s, %(content_type)s, %(size)s, %(data)b, %(by)s)
"""

_DROP_OLDEST = """
DELETE FROM page_files WHERE tenant_id = %(tenant)s AND file_id IN (
    SELECT file_id FROM (
        SELECT file_id, row_number() OVER newest AS number, sum(size) OVER newest AS total
        FROM page_files WHERE tenant_id = %(tenant)s
        WINDOW newest AS (ORDER BY created_at DESC, file_id)
    ) AS kept
    WHERE number > %(max_files)s OR total > %(max_bytes)s
)
"""

DELETE_EXPIRED = "DELETE FROM page_files WHERE tenant_id = %(tenant)s AND created_at < now() - %(kept)s"


@dataclass(frozen=True, slots=True)
class PageFile:
    """A stored file without its bytes. ``size`` is in bytes."""

    id: str
    name: str
    content_type: str
    size: int


async def add(
    session: AsyncSession,
    *,
    tenant_id: str,
    file: PageFile,
    data: bytes,
    purpose: Purpose,
    added_by: str,
    max_files: int,
    max_bytes: int,
) -> None:
    """Store a file. Deletes the tenant's oldest files if there are more than the limits."""
    connection = await psycopg_connection(session)
    values = {
        "tenant": tenant_id,
        "id": file.id,
        "purpose": purpose,
        "name": file.name,
        "content_type": file.content_type,
        "size": file.size,
        "data": data,
        "by": added_by,
    }
    await connection.execute(_ADD, values)
    limits = {"tenant": tenant_id, "max_files": max_files, "max_bytes": max_bytes}
    await send(session, Statement(_DROP_OLDEST, limits))


async def find(session: AsyncSession, *, tenant_id: str, file_id: str, purpose: Purpose) -> PageFile | None:
    """Return a file without its bytes, or None if it is not stored."""
    row = (
        await session.execute(
            select(page_files.c.name, page_files.c.content_type, page_files.c.size).where(
                page_files.c.tenant_id == tenant_id,
                page_files.c.file_id == file_id,
                page_files.c.purpose == purpose,
            )
        )
    ).first()
    return PageFile(file_id, row.name, row.content_type, row.size) if row else None


async def read(session: AsyncSession, *, tenant_id: str, file_id: str) -> bytes | None:
    """Return a file's bytes, or None if it is not stored."""
    cursor = (await psycopg_connection(session)).cursor(binary=True)
    await cursor.execute("SELECT data FROM page_files WHERE tenant_id = %s AND file_id = %s", (tenant_id, file_id))
    row = await cursor.fetchone()
    return bytes(row[0]) if row else None


async def erase(session: AsyncSession, *, tenant_id: str, user_id: str) -> int:
    """Delete the person's files. Return how many there were."""
    return await _delete(session, tenant_id, page_files.c.added_by == user_id)


async def erase_replies(session: AsyncSession, *, tenant_id: str) -> int:
    """Delete all files that commands returned, because they may quote anybody. Return how many there were."""
    return await _delete(session, tenant_id, page_files.c.purpose == "reply")


async def _delete(session: AsyncSession, tenant_id: str, condition: ColumnElement[bool]) -> int:
    statement = delete(page_files).where(page_files.c.tenant_id == tenant_id, condition)
    return len((await session.execute(statement.returning(page_files.c.file_id))).all())
