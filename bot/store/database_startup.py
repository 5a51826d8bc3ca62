"""Opens the database of the settings: starts the bundled server if it is used, migrates the schema, connects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from bot.config import Settings
from bot.health import Health
from bot.store.database import migrate
from bot.store.database.session import Database
from bot.store.embedded import server as embedded_server


async def open_database(settings: Settings, stack: AsyncExitStack, health: Health | None = None) -> str:
    """Return the URL of the database; start its server if it is the embedded one. Raises ConfigError."""
    if settings.database_url:
        return settings.database_url.get_secret_value()
    server = await asyncio.to_thread(embedded_server.start, settings.data_dir)
    stack.callback(server.release)
    watching = asyncio.create_task(server.watch(health or Health()), name="watching the embedded database")
    stack.push_async_callback(_cancelled, watching)
    return server.url


def session_url(settings: Settings, url: str) -> str:
    """Return the address for connections that need a session of their own: LISTEN, advisory locks, the job queue."""
    return settings.listen_database_url.get_secret_value() if settings.listen_database_url else url


@asynccontextmanager
async def opened_database(settings: Settings, health: Health | None = None) -> AsyncIterator[Database]:
    """Open the migrated database alone, for commands that need no model. Raises ConfigError."""
    async with AsyncExitStack() as stack:
        url = await open_database(settings, stack, health)
        direct = session_url(settings, url)
        await asyncio.to_thread(migrate.upgrade, direct)
        database = Database(url, session_url=direct)
        stack.push_async_callback(database.aclose)
        yield database


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
