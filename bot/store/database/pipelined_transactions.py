"""Runs transactions of one tenant in one round trip: begin, bind, statements and commit travel together.

Used where a person waits. SQLAlchemy's sessions need a round trip for each statement and several milliseconds of CPU
time. ``Database.work`` opens them on the connections of the same pool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row
from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.database import connections
from bot.store.database.connections import BoundedConnection
from knowledge.psycopg_connection import send_together

APP_ROLE = "parley_app"

Rows = list[Any]
"""The rows of one statement, each a named tuple."""
_Connection = psycopg.AsyncConnection[Any]


class Statement(NamedTuple):
    """SQL with ``%(name)s`` placeholders, and their values."""

    sql: str
    given: Mapping[str, object] = {}


class Template:
    """A SQLAlchemy statement with open parameters, compiled once when it is first used."""

    def __init__(self, clause: ClauseElement) -> None:
        self.clause = clause
        self._made: Statement | None = None

    def __call__(self, **given: object) -> Statement:
        """Return the statement with these values."""
        if self._made is None:
            compiled = self.clause.compile(dialect=dialect(paramstyle="pyformat"))  # type: ignore[no-untyped-call]
            self._made = Statement(str(compiled), compiled.params)
        return Statement(self._made.sql, {**self._made.given, **given})


async def send(session: AsyncSession, *statements: Statement) -> list[Rows]:
    """Run statements within a session's transaction in one round trip. Return the rows of each."""
    pooled = (await session.connection()).sync_connection
    connection: Any = pooled.connection.driver_connection if pooled is not None else None
    return await _sent(connection, (), statements, ())


async def _sent(
    connection: _Connection, before: Sequence[str], statements: Sequence[Statement], after: Sequence[str]
) -> list[Rows]:
    commands = [*((one, None) for one in before), *statements, *((one, None) for one in after)]
    rows = await send_together(connection, *commands, row_factory=namedtuple_row)
    return rows[len(before) : len(before) + len(statements)]


@lru_cache(maxsize=1024)
def binding(tenant_id: str, role: str | None) -> tuple[str, ...]:
    """Return the commands that bind an open transaction to one tenant.

    ``SET LOCAL`` instead of ``set_config()``, because a distributed PostgreSQL passes only the former on to its nodes.
    The role cannot bypass row-level security; None if the connecting role may not take it. Raises ValueError for ``*``,
    which reads across tenants: only the functions of the turn queue use it.
    """
    if tenant_id == "*":
        raise ValueError("no transaction reads across tenants. Use NO_TENANT for the queue")
    named = sql.Literal(tenant_id).as_string(None)
    taken = (f"SET LOCAL ROLE {sql.Identifier(role).as_string(None)}",) if role else ()
    return (*taken, f"SET LOCAL parley.tenant_id = {named}")


def _opening(connection: BoundedConnection, tenant_id: str, role: str | None) -> tuple[str, ...]:
    """Return the commands that begin a transaction and bind it to one tenant.

    Through a pooler, no setting of the session ends a transaction that is left open, so the transaction has its own.
    ``SET LOCAL``, because ``set_config()`` would take a snapshot before the transaction can choose its isolation level.
    """
    limit = f"SET LOCAL idle_in_transaction_session_timeout = {1000 * connections.IDLE_TRANSACTION_SECONDS}"
    return ("BEGIN", *((limit,) if connection.is_pooled else ()), *binding(tenant_id, role))


async def begin(connection: BoundedConnection, tenant_id: str, role: str | None) -> None:
    """Begin a transaction and bind it to one tenant, in one round trip.

    The commands travel one by one, because a distributed PostgreSQL passes on to its nodes the whole string that has a
    ``SET LOCAL`` in it.
    """
    async with connection.pipeline():
        for command in _opening(connection, tenant_id, role):
            await connection.execute(command)


class Work:
    """An open transaction. Each ``ask`` is one round trip, and so is ``last``, which commits."""

    def __init__(self, connection: BoundedConnection, tenant_id: str, role: str | None) -> None:
        self._connection = connection
        self._before: tuple[str, ...] = _opening(connection, tenant_id, role)
        self.done = False
        """Whether the transaction was committed."""

    async def ask(self, *statements: Statement) -> list[Rows]:
        """Return the rows of each statement. Raises PostgreSQL's error for the first that fails."""
        return await self._send(statements)

    async def last(self, *statements: Statement) -> list[Rows]:
        """Like ``ask``, and commit in the same round trip."""
        rows = await self._send(statements, "COMMIT")
        self.done = True
        return rows

    async def _send(self, statements: Sequence[Statement], *after: str) -> list[Rows]:
        before, self._before = self._before, ()
        return await _sent(self._connection, before, statements, after)
