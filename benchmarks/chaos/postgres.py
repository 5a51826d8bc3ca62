"""Runs a Postgres that can be crashed and restarted at the same address."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.store import embedded_postgres, migrate

CALM = {"fsync": "off", "full_page_writes": "off"}
"""The machine itself does not crash, so committed data stays in its memory. Commits stay synchronous."""

CONNECTIONS = 300
"""A process may have 20 connections in its pool and a few more. The default of 100 is used up by four processes."""


@dataclass
class Postgres:
    """A running server with its data folder. ``outages`` are the spans (monotonic) in which it was down."""

    url: str
    folder: Path
    server: Any
    outages: list[tuple[float, float]] = field(default_factory=list)

    async def crash(self, away: float) -> None:
        """Stop the server in immediate mode, as in a crash, and start it after ``away`` seconds."""
        start = time.monotonic()
        await asyncio.to_thread(self._control, "-m", "immediate", "stop")
        await asyncio.sleep(away)
        await self.start()
        self.outages.append((start, time.monotonic()))

    async def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        await asyncio.to_thread(self.start_blocking)

    def start_blocking(self) -> None:
        """Start the server, blocking the thread."""
        options = f'-h "" -k {self.folder} -c max_connections={CONNECTIONS}'
        self._control("-w", "-t", "60", "-o", options, "-l", f"{self.folder}/log", "start")

    def stop(self) -> None:
        """Stop the server for good."""
        self._control("-m", "fast", "stop", check=False)

    def _control(self, *arguments: str, check: bool = True) -> None:
        command = [str(self.server.bin_path / "pg_ctl"), "-D", str(self.folder), *arguments]
        subprocess.run(
            command,
            check=check,
            user=self.server.system_user,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def crashing_postgres(settings: dict[str, str] | None = None) -> Iterator[Postgres]:
    """Yield a migrated database on a server of its own in a temporary folder; delete it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="parley-chaos-"))
    started = embedded_postgres.start(folder, settings=CALM if settings is None else settings, keep=True)
    postgres = Postgres(started.url, folder.resolve() / "postgres", started.server)
    try:
        postgres.stop()
        postgres.start_blocking()
        migrate.upgrade(postgres.url)
        yield postgres
    finally:
        postgres.stop()
        started.release()
        shutil.rmtree(folder, ignore_errors=True)
