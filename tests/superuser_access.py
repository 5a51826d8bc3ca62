"""Superuser access to test databases, for looking across tenants; the code under test connects as the application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from bot.store.database.connections import driver_url, plain_url
from bot.store.database.session import Database
from bot.store.embedded.roles import ADMIN


def as_superuser(url: str) -> str:
    """Return the same database of an embedded server, as its superuser."""
    made = make_url(plain_url(url))
    passwords = json.loads((Path(str(made.query["host"])).parent / "postgres-passwords.json").read_text())
    return made.set(username=ADMIN, password=passwords[ADMIN]).render_as_string(hide_password=False)


@asynccontextmanager
async def superuser_connection(database: Database) -> AsyncIterator[AsyncConnection]:
    """Open a connection as superuser; the body is one transaction, committed at its end."""
    url = database.engine.url.render_as_string(hide_password=False)
    engine = create_async_engine(driver_url(as_superuser(url)))
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


async def until_blocked(database: Database) -> None:
    """Wait until a statement in this database waits for a lock. Raises TimeoutError after 10 s."""
    waiting = text(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    async with asyncio.timeout(10):
        while True:
            async with superuser_connection(database) as connection:
                if await connection.scalar(waiting):
                    return
            await asyncio.sleep(0.02)
