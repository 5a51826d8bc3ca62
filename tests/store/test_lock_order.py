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
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.util import await_only

from bot.engine.memory import StatedFact
from bot.engine.ports.stores import Stores
from bot.errors import LeaseLost
from bot.jobs import maintenance
from bot.store import pipelined_transactions, privacy, retention, retry
from bot.store.maintenance import look
from bot.store.pipelined_transactions import Rows, Statement
from bot.store.session import Database
from bot.store.thread_memory import ThreadMemory
from bot.types.audience import MEMBERS
from bot.types.conversation import Author, ThreadKey
from bot.types.turns import Lease, Turn
from tests.databases import as_superuser
from tests.knowledge.fakes import WordEmbedder
from tests.store.test_turns import NOON, THREAD, call, done, incoming, store_of

TENANT = THREAD.tenant_id
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


@dataclass(slots=True)
class Scene:
    """A thread with an answered question of U1, another of U2, one that is answered now, and one that waits.

    The replies of the answered questions are late.
    """

    database: Database
    stores: Stores
    thread: ThreadKey
    first: Turn
    second: Turn
    running: Turn
    lease: Lease
    waiting: Turn


Operation = Callable[[Scene], Awaitable[object]]


async def _accept(scene: Scene) -> None:
    asked = replace(incoming("new", scene.thread), author=Author("U2", "Bob"))
    await scene.stores.inbox.accept(asked)


async def _lease(scene: Scene) -> None:
    with suppress(LeaseLost):
        await scene.stores.leases.lease(scene.waiting)


async def _finish(scene: Scene) -> None:
    outcome = done(scene.running, call(100))
    with suppress(LeaseLost):
        await scene.stores.leases.finish(scene.running, scene.lease, outcome, reservation=None, cache_key="key 1")


async def _hand_back(scene: Scene) -> None:
    with suppress(LeaseLost):
        await scene.stores.leases.hand_back(scene.running, scene.lease, [call(50)], reservation=None)


async def _edit(scene: Scene) -> None:
    await scene.stores.inbox.replace_question(scene.first, "And by train?", MEMBERS)


async def _forget(turn: str, scene: Scene) -> None:
    await scene.stores.retractions.forget(getattr(scene, turn))


async def _erase(user: str, scene: Scene) -> None:
    await scene.database.run(TENANT, partial(privacy.erase, tenant_id=TENANT, user_id=user))


async def _expire(scene: Scene) -> None:
    await retention.delete_expired(scene.database, TENANT, before=NOON + timedelta(days=9000))


async def _summarize(scene: Scene) -> None:
    due = (await scene.stores.conversation.history(scene.running)).messages
    if due:
        await scene.stores.conversation.summarize(scene.running, since=0, due=due, summary="They asked.")


async def _learn(scene: Scene) -> None:
    fact = StatedFact("note", "a" * 64, "The limit is 5")
    await ThreadMemory(scene.database, WordEmbedder()).learn(scene.first, [fact])


async def _rate(scene: Scene) -> None:
    with suppress(IntegrityError):  # An erasure or the retention was faster: the turn is gone.
        await scene.stores.conversation.rate(scene.first, scene.second.author, 1, "")


async def _keep_house(scene: Scene) -> None:
    found = await look(scene.database, TENANT, now=NOON)
    await maintenance.release_reservations(scene.database, TENANT, found.orphaned)
    await maintenance.charge_lost_calls(scene.database, TENANT, found.lost)


OPERATIONS: dict[str, Operation] = {
    "accept": _accept,
    "lease": _lease,
    "finish": _finish,
    "hand back": _hand_back,
    "edit": _edit,
    "delete the first": partial(_forget, "first"),
    "delete the second": partial(_forget, "second"),
    "delete the running": partial(_forget, "running"),
    "erase U1": partial(_erase, "U1"),
    "erase U2": partial(_erase, "U2"),
    "expire": _expire,
    "summarize": _summarize,
    "learn": _learn,
    "rate": _rate,
    "keep house": _keep_house,
}


async def _answered(stores: Stores, message: str, thread: ThreadKey, user: str) -> Turn:
    turn = await stores.inbox.accept(replace(incoming(message, thread), author=Author(user, user)))
    assert turn is not None
    lease = await stores.leases.lease(turn)
    assert lease is not None
    outcome = replace(done(turn, call(100)), trace={"query": "words", "notes": ["<@U1> may know"]})
    await stores.leases.finish(turn, lease, outcome, reservation=None, cache_key=f"key {message}")
    return turn


async def _scene(database: Database, name: str) -> Scene:
    """Empty the database and build the thread."""
    async with database.tenant(TENANT) as session:
        for table in ("threads", "inbox", "ledger", "reservations", "budget_days"):
            await session.execute(text(f"DELETE FROM {table}"))
    stores, thread = store_of(database), replace(THREAD, thread_id=name)
    first, second = [await _answered(stores, str(n), thread, f"U{n}") for n in (1, 2)]
    running = await stores.inbox.accept(replace(incoming("3", thread), author=Author("U1", "Ann")))
    assert running is not None
    lease = await stores.leases.lease(running)
    assert lease is not None
    reservation = await stores.budgets.reserve(second, 500)
    await stores.budgets.open_call(second, replace(call(80), status="open", id="0" * 32), reservation)
    await stores.budgets.reserve(running, 500)
    waiting = await stores.inbox.accept(replace(incoming("4", thread), author=Author("U2", "Bob")))
    assert waiting is not None
    async with database.tenant(TENANT) as session:
        for table in ("ledger", "reservations"):
            await session.execute(text(f"UPDATE {table} SET created_at = now() - interval '1 day'"))
        late = "UPDATE turns SET deliver_at = now() + interval '1 hour' WHERE turn_id = CAST(:turn AS uuid)"
        for turn in (first, second):
            await session.execute(text(late), {"turn": turn.id})
    return Scene(database, stores, thread, first, second, running, lease, waiting)


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
        await _run_through(OPERATIONS[first], await _scene(stepwise, f"t{next(names)}"), counted)
        gate.set(None)
        for second, at in _moments(first, counted.statements):
            scene, stop = await _scene(stepwise, f"t{next(names)}"), Gate(at)
            holding = asyncio.create_task(_run_through(OPERATIONS[first], scene, stop))
            reached = asyncio.create_task(stop.reached.wait())
            await asyncio.wait((holding, reached), return_when=asyncio.FIRST_COMPLETED, timeout=30)
            other = asyncio.create_task(_run_through(OPERATIONS[second], scene, None))
            await ended_or_blocked(other, watcher)
            stop.resume.set()
            results = await asyncio.gather(holding, other, return_exceptions=True)
            reached.cancel()
            assert list(results) == [None, None], f"{first}, stopped before statement {at}, and {second}: {results}"
