"""Writes and reads the bytes of files in parts, because the driver copies each part on the event loop's thread.

A table of parts has the columns ``tenant_id``, the key of the file, ``part`` from 0 and ``data``.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.psycopg_connection import psycopg_connection

PART_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class PartsTable:
    """A table of parts, and its column that identifies a file."""

    name: str
    key: str

    async def write(self, session: AsyncSession, tenant_id: str, key: uuid.UUID, data: bytes) -> None:
        """Store a file that has no parts yet. An empty file has one empty part."""
        connection = await psycopg_connection(session)
        statement = sql.SQL("INSERT INTO {} (tenant_id, {}, part, data) VALUES (%s, %s, %s, %b)").format(*self._names)
        for part, start in enumerate(range(0, max(len(data), 1), PART_BYTES)):
            await connection.execute(statement, (tenant_id, key, part, data[start : start + PART_BYTES]))

    async def read(self, session: AsyncSession, tenant_id: str, key: uuid.UUID) -> bytes:
        """Return the bytes of a file; nothing if it has no parts."""
        cursor = (await psycopg_connection(session)).cursor(binary=True)
        statement = sql.SQL("SELECT data FROM {} WHERE tenant_id = %s AND {} = %s AND part = %s").format(*self._names)
        found = bytearray()
        for part in count():
            await cursor.execute(statement, (tenant_id, key, part))
            row = await cursor.fetchone()
            if row is None:
                break
            found += row[0]
        return bytes(found)

    async def delete(self, session: AsyncSession, tenant_id: str, keys: Sequence[uuid.UUID]) -> None:
        """Delete the parts of files."""
        statement = sql.SQL("DELETE FROM {} WHERE tenant_id = %s AND {} = ANY(%s)").format(*self._names)
        await (await psycopg_connection(session)).execute(statement, (tenant_id, list(keys)))

    @property
    def _names(self) -> tuple[sql.Identifier, sql.Identifier]:
        return sql.Identifier(self.name), sql.Identifier(self.key)
