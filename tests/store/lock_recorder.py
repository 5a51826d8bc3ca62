"""Records which rows a transaction locks after each of its statements, how strongly, and what it holds by then.

Another connection tries to lock every row of the tables with SKIP LOCKED, while the transaction waits for it. Rows that
the transaction inserted are not seen, and nobody else can lock them.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from bot.store.database import pipelined_transactions
from bot.store.database.connections import BoundedConnection
from bot.store.database.pipelined_transactions import Rows, Statement
from bot.store.database.session import Database
from tests.superuser_access import as_superuser

KEY_SHARE, SHARE, NO_KEY_UPDATE, UPDATE = 1, 2, 3, 4
CONFLICTS = {(KEY_SHARE, UPDATE), (SHARE, NO_KEY_UPDATE), (SHARE, UPDATE), (NO_KEY_UPDATE, NO_KEY_UPDATE)} | {
    (NO_KEY_UPDATE, UPDATE),
    (UPDATE, UPDATE),
}
"""Pairs of strengths, the weaker first, that PostgreSQL does not grant to two transactions on one row."""

Row = tuple[str, str]
"""A table, and what names the row whatever its ids are."""


class Step(NamedTuple):
    """A lock that a transaction takes while it holds others. ``held`` has their strengths by row."""

    row: Row
    strength: int
    held: Mapping[Row, int]


@dataclass(slots=True)
class Recording:
    """The locks of one operation, in the order in which it takes them."""

    steps: list[Step] = field(default_factory=list)
    held: dict[int, dict[Row, int]] = field(default_factory=dict)
    """By connection: the rows that its transaction has locked, with the strengths."""

    def note(self, connection: int, locked: Mapping[Row, int]) -> None:
        before = self.held.get(connection, {})
        self.steps += [Step(row, strength, before) for row, strength in locked.items() if strength > before.get(row, 0)]
        self.held[connection] = dict(locked)


recording: ContextVar[Recording | None] = ContextVar("recording", default=None)

_LOCKED = """
WITH unlocked AS MATERIALIZED (SELECT ctid FROM {table} FOR UPDATE SKIP LOCKED),
    weakly AS MATERIALIZED (SELECT ctid FROM {table} FOR NO KEY UPDATE SKIP LOCKED),
    shared AS MATERIALIZED (SELECT ctid FROM {table} FOR SHARE SKIP LOCKED)
SELECT CAST({name} AS text), CASE WHEN ctid NOT IN (SELECT ctid FROM shared) THEN 3
    WHEN ctid NOT IN (SELECT ctid FROM weakly) THEN 2 ELSE 1 END
FROM {table} WHERE ctid NOT IN (SELECT ctid FROM unlocked)
"""
_LOCKED_FOR_UPDATE = """
WITH unchanged AS MATERIALIZED (SELECT ctid FROM {table} FOR KEY SHARE SKIP LOCKED)
SELECT CAST({name} AS text), 4 FROM {table} WHERE ctid NOT IN (SELECT ctid FROM unchanged)
"""
_TOUCHED = """
SELECT relation::regclass::text FROM pg_locks
WHERE pid = %s AND locktype = 'relation' AND mode IN ('RowShareLock', 'RowExclusiveLock')
"""
"""Tables of which a transaction has locked rows."""


class LockRecorder:
    """Looks at the tables in ``names``, each with an SQL expression that names a row whatever its ids are."""

    def __init__(self, watcher: psycopg.AsyncConnection[Any], names: Mapping[str, str]) -> None:
        self._watcher = watcher
        self._names = names

    async def look(self, connection: BoundedConnection) -> None:
        """Note what the transaction of this connection has locked; nothing once it has ended."""
        if (under_way := recording.get()) is None:
            return
        locked: dict[Row, int] = {}
        if connection.info.transaction_status == TransactionStatus.INTRANS:
            touched = await self._watcher.execute(_TOUCHED, (connection.info.backend_pid,))
            for table in {table for (table,) in await touched.fetchall()} & self._names.keys():
                for name, strength in await self._locked_in(table):
                    locked[table, name] = max(strength, locked.get((table, name), 0))
        under_way.note(id(connection), locked)

    async def _locked_in(self, table: str) -> list[tuple[str, int]]:
        """Return the names of the locked rows, with the strengths."""
        named = {"table": table, "name": self._names[table]}
        found = await (await self._watcher.execute(_LOCKED.format(**named))).fetchall()
        if not found:
            return []
        try:
            return [*found, *await (await self._watcher.execute(_LOCKED_FOR_UPDATE.format(**named))).fetchall()]
        except psycopg.errors.LockNotAvailable:
            # PostgreSQL waits for a row that was changed and then locked FOR UPDATE, in spite of SKIP LOCKED.
            return [(name, UPDATE) for name, _ in found]


@asynccontextmanager
async def recorded_locks(
    database: Database, monkeypatch: pytest.MonkeyPatch, names: Mapping[str, str]
) -> AsyncIterator[None]:
    """Note the locks of every transaction whose task has a ``recording``. Statements are sent one by one."""
    sent, wait = pipelined_transactions._sent, BoundedConnection.wait
    url = as_superuser(database.engine.url.render_as_string(hide_password=False))
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as watcher:
        await watcher.execute("SET lock_timeout = '5ms'")
        recorder = LockRecorder(watcher, names)

        async def one_by_one(
            connection: Any, before: Sequence[str], statements: Sequence[Statement], after: Sequence[str]
        ) -> list[Rows]:
            rows: list[Rows] = []
            await sent(connection, before, (), ())
            for statement in statements:
                rows += await sent(connection, (), [statement], ())
                await recorder.look(connection)
            await sent(connection, (), (), after)
            await recorder.look(connection)
            return rows

        async def wait_and_look(self: BoundedConnection, gen: PQGen[Any], *args: Any, **more: Any) -> Any:
            found = await wait(self, gen, *args, **more)
            if not self.pgconn.pipeline_status:
                await recorder.look(self)
            return found

        with monkeypatch.context() as patched:
            patched.setattr(pipelined_transactions, "_sent", one_by_one)
            patched.setattr(BoundedConnection, "wait", wait_and_look)
            yield


class Circle(NamedTuple):
    """Two operations, each of which may hold the row that the other one waits for."""

    first: str
    holds: Row
    waits_for: Row
    second: str

    def __str__(self) -> str:
        return f"{self.first} locks {self.holds}, then {self.waits_for}; {self.second} locks them the other way round"


def circles(taken: Mapping[str, Sequence[Step]]) -> list[Circle]:
    """Return the pairs of operations, also of an operation with itself, that can wait for each other.

    Two transactions do if each waits for a row that the other one holds. Locks on a common row that both need before
    that keep them apart.
    """
    found: dict[Circle, None] = {}
    for first, second in itertools.combinations_with_replacement(sorted(taken), 2):
        for mine, theirs in itertools.product(taken[first], taken[second]):
            if _waits(mine, theirs) and _waits(theirs, mine) and not _are_kept_apart(mine, theirs):
                found[Circle(first, theirs.row, mine.row, second)] = None
    return list(found)


def _waits(one: Step, other: Step) -> bool:
    """Return whether this step waits for a lock that the other transaction holds at its step."""
    return one.row in other.held and _conflict(one.strength, other.held[one.row])


def _are_kept_apart(one: Step, other: Step) -> bool:
    return any(_conflict(one.held[row], other.held[row]) for row in one.held.keys() & other.held.keys())


def _conflict(one: int, other: int) -> bool:
    return (min(one, other), max(one, other)) in CONFLICTS
