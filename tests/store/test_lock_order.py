"""Every pair of operations on one thread at once: none of them waits for another in a circle, whatever the moment.

The first operation stops before one of its statements, after another in every case, until the second one has ended or
waits for a lock. Retries are off, so that PostgreSQL's report of a deadlock fails the test. Each pair is tried at one
moment, drawn with a fixed seed; with PARLEY_TEST_ALL_INTERLEAVINGS=1, at every moment, which takes many minutes.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.util import await_only

from bot.store.database import pipelined_transactions, retry
from bot.store.database.pipelined_transactions import Rows, Statement
from bot.store.database.session import Database
from tests.store.turn_operations import OPERATIONS, Operation, Scene, build_scene
from tests.superuser_access import as_superuser

ALL = bool(os.environ.get("PARLEY_TEST_ALL_INTERLEAVINGS"))


@dataclass(slots=True)
class Gate:
    """Stops a transaction before its statement number ``at``, counted from 1 over the whole operation."""

    at: int
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    resume: asyncio.Event = field(default_factory=asyncio.Event)
    statements: int = 0

    async def passed(self) -> None:
        self.statements += 1
        if self.statements == self.at:
            self.reached.set()
            await self.resume.wait()


gate: ContextVar[Gate | None] = ContextVar("gate", default=None)


@pytest.fixture
async def stepwise(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """The database, with statements sent one by one through the gate of their task, and without retries."""
    sent = pipelined_transactions._sent

    async def one_by_one(connection: Any, before: Any, statements: Sequence[Statement], after: Any) -> list[Rows]:
        rows: list[Rows] = []
        await sent(connection, before, (), ())
        for statement in statements:
            if (stop := gate.get()) is not None:
                await stop.passed()
            rows += await sent(connection, (), [statement], ())
        await sent(connection, (), (), after)
        return rows

    def before_execute(*_: object) -> None:
        if (stop := gate.get()) is not None:
            await_only(stop.passed())

    monkeypatch.setattr(pipelined_transactions, "_sent", one_by_one)
    monkeypatch.setattr(retry, "is_conflict", lambda _: False)
    event.listen(database.engine.sync_engine, "before_cursor_execute", before_execute)
    yield database
    event.remove(database.engine.sync_engine, "before_cursor_execute", before_execute)


async def ended_or_blocked(task: asyncio.Task[object], watcher: psycopg.AsyncConnection[Any]) -> None:
    blocked = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    async with asyncio.timeout(30):
        while not task.done():
            row = await (await watcher.execute(blocked)).fetchone()
            if row is not None and row[0]:
                return
            await asyncio.sleep(0.001)


def _moments(first: str, statements: int) -> list[tuple[str, int]]:
    """Return second operations, each with the statement before which the first operation stops."""
    every = range(2, max(2, statements) + 1)
    if ALL:
        return list(itertools.product(OPERATIONS, every))
    random_, names = random.Random(first), list(OPERATIONS)
    at = names.index(first)
    # Of two operations, one or the other comes first.
    seconds = [second for n, second in enumerate(names) if (n >= at) == ((n + at) % 2 == 0) or n == at]
    return [(second, random_.choice(every)) for second in seconds]


async def _run_through(operation: Operation, scene: Scene, stop: Gate | None) -> None:
    gate.set(stop)
    await operation(scene)


@pytest.mark.parametrize("first", OPERATIONS)
async def test_no_two_operations_wait_for_each_other(stepwise: Database, first: str) -> None:
    names = itertools.count()
    url = as_superuser(stepwise.engine.url.render_as_string(hide_password=False))
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as watcher:
        await watcher.execute(f"ALTER DATABASE \"{stepwise.engine.url.database}\" SET deadlock_timeout = '20ms'")
        counted = Gate(0)
        await _run_through(OPERATIONS[first], await build_scene(stepwise, f"t{next(names)}"), counted)
        gate.set(None)
        for second, at in _moments(first, counted.statements):
            scene, stop = await build_scene(stepwise, f"t{next(names)}"), Gate(at)
            holding = asyncio.create_task(_run_through(OPERATIONS[first], scene, stop))
            reached = asyncio.create_task(stop.reached.wait())
            await asyncio.wait((holding, reached), return_when=asyncio.FIRST_COMPLETED, timeout=30)
            other = asyncio.create_task(_run_through(OPERATIONS[second], scene, None))
            await ended_or_blocked(other, watcher)
            stop.resume.set()
            results = await asyncio.gather(holding, other, return_exceptions=True)
            reached.cancel()
            assert list(results) == [None, None], f"{first}, stopped before statement {at}, and {second}: {results}"
