"""Runs transactions of one tenant in one round trip: begin, bind, statements and commit travel together.

Used where a person waits. SQLAlchemy's sessions need a round trip for each statement and several milliseconds of CPU
time. This module has its own connections.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import namedtuple_row
from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import StoreAway
from bot.store.retry import is_away, unreachable

APP_ROLE = "parley_app"
SURELY_ALIVE = 1.0
"""Seconds since its last use within which a connection is assumed to be alive."""
CONNECTIONS = 6

_MAY_TAKE_ROLE = (
    "SELECT coalesce(bool_or(pg_has_role(current_user, oid, 'MEMBER')), false) FROM pg_roles WHERE rolname = %s"
)

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
    cursors = []
    async with connection.pipeline():
        for command in before:
            await connection.execute(command, prepare=False)
        for one in statements:
            cursor = connection.cursor(row_factory=namedtuple_row)
            cursors.append(await cursor.execute(one.sql, one.given))
        for command in after:
            await connection.execute(command, prepare=False)
    return [await cursor.fetchall() if cursor.description else [] for cursor in cursors]


@lru_cache(maxsize=1024)
def binding(tenant_id: str, role: str | None) -> tuple[str, ...]:
    """Return the commands that bind an open transaction to one tenant.

    ``SET LOCAL`` instead of ``set_config()``, because a distributed PostgreSQL passes only the former on to its nodes.
    The role cannot bypass row-level security; None if the connecting role may not take it. Raises ValueError for ``*``,
    which reads across tenants: only the functions of the turn queue use it.
    """
    if tenant_id == "*":
        raise ValueError("no transaction reads across tenants; use NO_TENANT for the queue")
    named = sql.Literal(tenant_id).as_string(None)
    taken = (f"SET LOCAL ROLE {sql.Identifier(role).as_string(None)}",) if role else ()
    return (*taken, f"SET LOCAL parley.tenant_id = {named}")


class Work:
    """An open transaction. Each ``ask`` is one round trip, and so is ``last``, which commits."""

    def __init__(self, connection: _Connection, tenant_id: str, role: str | None) -> None:
        self._connection = connection
        self._before: tuple[str, ...] = ("BEGIN", *binding(tenant_id, role))
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


class Pipelines:
    """The pool of connections. Opens nothing until the first transaction."""

    def __init__(
        self,
        url: str,
        *,
        connections: int = CONNECTIONS,
        seconds: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._seconds = seconds
        self._monotonic = monotonic
        self._places = asyncio.Semaphore(connections)
        self._idle: list[tuple[_Connection, float]] = []
        self._role: str | None = None
        self._role_known = False
        self._closed = False

    @asynccontextmanager
    async def work(self, tenant_id: str) -> AsyncIterator[Work]:
        """Open a transaction of one tenant, rolled back unless ``last`` was awaited. Raises StoreAway."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._places.acquire()
        except TimeoutError:
            raise StoreAway(unreachable(TimeoutError(f"no connection was free for {self._seconds:.0f} s"))) from None
        connection: _Connection | None = None
        try:
            connection = await self._taken()
            yield Work(connection, tenant_id, self._role)
        except psycopg.Error as error:
            if is_away(error):
                raise StoreAway(unreachable(error)) from error
            raise
        finally:
            try:
                if connection is not None:
                    await self._given_back(connection)
            finally:
                self._places.release()

    async def aclose(self) -> None:
        """Close every connection; those in use are closed when they are returned."""
        self._closed = True
        while self._idle:
            connection, _ = self._idle.pop()
            await connection.close()

    async def _taken(self) -> _Connection:
        while self._idle:
            connection, used = self._idle.pop()
            if self._monotonic() - used < SURELY_ALIVE or await _stands(connection):
                return connection
            await connection.close()
        connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=5)
        if not self._role_known:
            async with _or_closed(connection):
                row = await (await connection.execute(_MAY_TAKE_ROLE, (APP_ROLE,))).fetchone()
            self._role, self._role_known = (APP_ROLE if row and row[0] else None), True
        return connection

    async def _given_back(self, connection: _Connection) -> None:
        """Return a connection to the pool, or close it if it is broken or still in use."""
        status = connection.info.transaction_status
        try:
            if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                async with _or_closed(connection):
                    await connection.rollback()
                status = connection.info.transaction_status
        except psycopg.Error:
            status = TransactionStatus.UNKNOWN
        if status == TransactionStatus.IDLE and not (connection.closed or self._closed):
            self._idle.append((connection, self._monotonic()))
        else:
            await connection.close()


async def _stands(connection: _Connection) -> bool:
    try:
        async with _or_closed(connection):
            await connection.execute("SELECT 1", prepare=False)
    except psycopg.Error:
        return False
    return True


@asynccontextmanager
async def _or_closed(connection: _Connection) -> AsyncIterator[None]:
    """Close the connection if the body fails or is cancelled, because nothing else has a reference to it."""
    try:
        yield
    except BaseException:
        await connection.close()
        raise
