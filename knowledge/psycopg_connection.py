"""Gives access to the psycopg connection below a SQLAlchemy session, and sends several statements in one round trip.

SQLAlchemy transfers bytes as hexadecimal text, twice their size; psycopg's own cursors can transfer them in binary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.ext.asyncio import AsyncSession

Command = tuple[str, Mapping[str, object] | Sequence[object] | None]
"""SQL with psycopg's placeholders, and their values; None if the SQL has no placeholders and no escaped ``%``."""

ONE_SNAPSHOT: Command = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", None)
"""As the first command of a transaction: everything in it reads the same state of the database."""


async def psycopg_connection(session: AsyncSession) -> psycopg.AsyncConnection[Any]:
    """Return the driver's connection, inside the session's transaction. Raises TypeError for other drivers."""
    connection = await (await session.connection()).get_raw_connection()
    driver = connection.driver_connection
    if not isinstance(driver, psycopg.AsyncConnection):
        raise TypeError(f"psycopg is needed, not {type(driver).__name__}")
    return driver


async def send_together(
    connection: psycopg.AsyncConnection[Any], *commands: Command, **cursor_options: Any
) -> list[list[Any]]:
    """Run commands in one round trip, and return the rows of each. ``cursor_options`` are those of psycopg's cursors.

    Raises psycopg.Error for the first command that fails; those after it are not run.
    """
    cursors = []
    async with connection.pipeline():
        for sql, values in commands:
            cursor = connection.cursor(**cursor_options)
            cursors.append(await cursor.execute(sql, values))
    return [await cursor.fetchall() if cursor.description else [] for cursor in cursors]


@lru_cache(maxsize=256)
def with_placeholders(sql: str) -> str:
    """Return SQL that has SQLAlchemy's parameters (``:name``) with those of psycopg (``%(name)s``)."""
    return str(text(sql).compile(dialect=dialect(paramstyle="pyformat")))  # type: ignore[no-untyped-call]
