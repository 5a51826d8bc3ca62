"""Locks between processes that a dead process cannot keep: PostgreSQL releases them when the connection ends."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bot.store.database.retry import away_reported
from bot.store.database.session import Database

log = logging.getLogger(__name__)

_TAKE = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
_GIVE = text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))")
_IS_FREE = text("""
    SELECT NOT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND granted
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND (CAST(classid AS bigint) << 32) | CAST(objid AS bigint) = hashtextextended(:name, 0))
""")
"""Reads the lock without taking it, so that a process that tries to take it at the same moment succeeds."""


@asynccontextmanager
async def only_one(database: Database, name: str) -> AsyncIterator[bool]:
    """Try to lock ``name`` during the body; yield whether this process got the lock.

    Uses a connection of its own, which keeps its session, but no transaction. Raises StoreAway.
    """
    async with AsyncExitStack() as stack:
        with away_reported():
            connection = await stack.enter_async_context(database.session_engine.connect())
            taken = bool(await connection.scalar(_TAKE, {"name": name}))
        try:
            yield taken
        finally:
            if taken:
                try:
                    await connection.execute(_GIVE, {"name": name})
                except DBAPIError as error:
                    log.warning("the lock %s was lost with its connection: %s", name, error.orig)
                    await connection.invalidate()


async def is_free(database: Database, name: str) -> bool:
    """Return whether no process holds the lock ``name`` at this moment. Raises StoreAway."""
    with away_reported():
        async with database.engine.connect() as connection:
            return bool(await connection.scalar(_IS_FREE, {"name": name}))
