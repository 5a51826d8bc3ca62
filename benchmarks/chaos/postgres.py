"""A PostgreSQL server that can be crashed and started again at the same address."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bot.store.database import migrate
from bot.store.embedded import server as embedded_server
from bot.store.embedded.server import EmbeddedServer

FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}
"""The machine itself does not crash here: what is committed is in its memory. Commits stay synchronous."""

CONNECTIONS = 300
"""A process may have 20 in its pool and a few beside it; the 100 that Postgres ships with are four of them."""


@dataclass
class Postgres:
    """A running server with its data folder. ``outages`` are the spans (monotonic) in which it was down."""

    url: str
    admin_url: str
    """Connects as the superuser, who reads the rows of every tenant."""
    server: EmbeddedServer
    outages: list[tuple[float, float]] = field(default_factory=list)

    async def crash(self, away: float) -> None:
        """Stop it without a checkpoint, as a crash would, and start it after ``away`` seconds."""
        start = time.monotonic()
        await asyncio.to_thread(self.server.crash)
        await asyncio.sleep(away)
        await self.start()
        self.outages.append((start, time.monotonic()))

    async def start(self) -> None:
        """Start it and wait until it accepts connections."""
        await asyncio.to_thread(self.server.ensure_running)

    def stop(self) -> None:
        """Stop it permanently."""
        self.server.stop()


@contextmanager
def crashing_postgres(options: dict[str, str] | None = None) -> Iterator[Postgres]:
    """Yield a migrated database on a server of its own in a temporary folder, which is deleted afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="parley-chaos-"))
    all_options = {**(FAST_SETTINGS if options is None else options), "max_connections": str(CONNECTIONS)}
    server = embedded_server.start(folder, options=all_options)
    try:
        migrate.upgrade(server.url)
        yield Postgres(server.url, server.admin_url, server)
    finally:
        server.stop()
        server.release()
        shutil.rmtree(folder, ignore_errors=True)
