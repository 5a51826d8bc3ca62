"""Shared fixtures of the benchmarks.

A temporary Postgres, the product with its sample documents, questions, stand-ins for the search and the clock, and
result tables.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import psutil
from pydantic import SecretStr

from bot.app import App, open_app
from bot.commands.ask import NullSurface
from bot.config import Settings
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.store.database import migrate
from bot.store.embedded.temporary import temporary_server
from bot.types.audience import MEMBERS, Audience
from bot.types.conversation import LOCAL_TENANT, Author, Incoming, ThreadKey
from bot.types.turns import Outcome
from knowledge import sample
from knowledge.sources.source_factory import open_source
from knowledge.types.scope import Scope
from knowledge.types.search_results import Found, Passage

Result = TypeVar("Result")

ASKER = Author("ann", "Ann")


@dataclass
class FixedSearch:
    """A search that finds the same passages for every question, at no cost."""

    passages: tuple[Passage, ...] = ()

    async def version(self, tenant_id: str) -> int:
        return 1

    async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
        return Found(self.passages[:k], {}, 0.9, 1)


def rule_passage(text: str) -> Passage:
    """Return a passage that is a whole document about leave."""
    return Passage(1, "d", text, "leave.md", "Leave", (), 0, len(text), None, 1.0)


class SimulatedClock:
    """A clock in seconds that advances when it is set, or when a task sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@contextmanager
def fresh_postgres() -> Iterator[str]:
    """Yield the URL of a migrated database in a temporary folder; delete it afterwards."""
    with temporary_server("parley-benchmark-") as server:
        migrate.upgrade(server.url)
        yield server.url


@asynccontextmanager
async def sample_app(url: str, **settings: Any) -> AsyncIterator[App]:
    """Yield the product without a model, with the sample handbook ingested into a migrated database."""
    with tempfile.TemporaryDirectory() as folder:
        fields = {"database_url": SecretStr(url), "data_dir": Path(folder), **settings}
        async with open_app(Settings(_env_file=None, **fields)) as app:
            source = open_source(str(sample.path()), fetch_allow=(), max_bytes=10**7, files=True)
            await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT)
            yield app


async def ask(
    dispatcher: Dispatcher, thread: ThreadKey, author: Author, text: str, audience: Audience = MEMBERS
) -> Outcome:
    """Ask a question and return its outcome. Work that follows an answer may still run; ``settled`` waits for it."""
    turn = await dispatcher.accept(
        Incoming(thread, uuid.uuid4().hex, author, text, "mention", datetime.now(UTC), audience=audience)
    )
    assert turn is not None
    return await dispatcher.start(turn, NullSurface())


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine; SIGTERM interrupts it like Ctrl-C, so that servers and folders are cleaned up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return asyncio.run(work)


def resident_mb() -> float:
    """Return the resident memory of this process in MB."""
    return float(psutil.Process().memory_info().rss / 2**20)


def table(rows: Mapping[str, object]) -> str:
    """Format names and figures in two columns."""
    width = max(map(len, rows), default=0)
    return "\n".join(f"{name:<{width}}  {_figure(value)}" for name, value in rows.items())


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
