"""Starts a temporary Postgres for a benchmark run, and prints result tables."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from bot.store import migrate
from bot.store.embedded import server as embedded_server

Result = TypeVar("Result")


@contextmanager
def fresh_postgres() -> Iterator[str]:
    """Yield the URL of a migrated database in a temporary folder; delete it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="parley-benchmark-"))
    server = embedded_server.start(folder)
    try:
        migrate.upgrade(server.url)
        yield server.url
    finally:
        server.release()
        shutil.rmtree(folder, ignore_errors=True)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine; SIGTERM interrupts it like Ctrl-C, so that servers and folders are cleaned up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return asyncio.run(work)


def table(rows: Mapping[str, object]) -> str:
    """Format names and figures in two columns."""
    width = max(map(len, rows), default=0)
    return "\n".join(f"{name:<{width}}  {_figure(value)}" for name, value in rows.items())


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
