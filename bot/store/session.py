"""Opens all transactions. Each is bound to one tenant before its first statement.

``SET LOCAL ROLE parley_app`` switches to a role that cannot bypass row-level security, until the transaction ends. If
the connecting role may not switch to it, this is left out, and FORCE ROW LEVEL SECURITY applies the policies to the
owner.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import psycopg
from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from bot.errors import StoreAway
from bot.store.pipelined_transactions import APP_ROLE as APP_ROLE
from bot.store.pipelined_transactions import SURELY_ALIVE, Pipelines, Rows, Statement, Work, binding
from bot.store.retry import is_away, patiently
from bot.store.retry import unreachable as unreachable
from knowledge import secret_redaction

Result = TypeVar("Result")

POOL_SECONDS = 10.0
"""Seconds that a transaction waits for a free connection before it is retried or fails."""
ANY_TENANT = "*"
"""The tenant in rows that belong to no tenant: processes, used OAuth states, Slack requests."""
NO_TENANT = "-"
"""Binds a transaction to no tenant. It sees the list of tenants, the rows that belong to no tenant, and the columns of
the turn queue that ``queued_turns()`` returns; no question, answer or document."""

_MAY_TAKE_ROLE = text("SELECT bool_or(pg_has_role(current_user, oid, 'MEMBER')) FROM pg_roles WHERE rolname = :role")


def driver_url(url: str) -> str:
    """Return the database URL with the psycopg driver that SQLAlchemy needs."""
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def plain_url(url: str) -> str:
    """Return the database URL as psycopg itself takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


class Database:
    """Two connection pools and the transactions on them: SQLAlchemy sessions, and pipelines for hot paths.

    Use a pipeline (``work``, ``flush``) where a person waits: few round trips, SQL as ``Statement``. Use a session
    (``tenant``, ``queue``) everywhere else. Opens nothing until the first transaction.
    """

    def __init__(self, url: str, *, pool_size: int = 6, pool_seconds: float = POOL_SECONDS) -> None:
        secret_redaction.register([make_url(url).password or ""])
        self.engine: AsyncEngine = create_async_engine(
            driver_url(url),
            pool_size=pool_size,
            max_overflow=8,
            pool_timeout=pool_seconds,
            isolation_level="AUTOCOMMIT",
            connect_args={"connect_timeout": 5},
        )
        _look_at_idle_connections(self.engine)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._pipelines = Pipelines(plain_url(url), seconds=pool_seconds)
        self._takes_role: bool | None = None

    @asynccontextmanager
    async def tenant(self, tenant_id: str) -> AsyncIterator[AsyncSession]:
        """Open a session with one transaction of one tenant: committed at the end, rolled back on an error.

        Raises StoreAway whenever the database does not answer.
        """
        try:
            async with self._sessions() as session, session.begin():
                await self._begin(session, tenant_id)
                yield session
        except Exception as error:
            if is_away(error):
                raise StoreAway(unreachable(error)) from error
            raise

    @asynccontextmanager
    async def queue(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction without a tenant, for the turn queue of all tenants. See ``NO_TENANT``."""
        async with self.tenant(NO_TENANT) as session:
            yield session

    def work(self, tenant_id: str) -> AbstractAsyncContextManager[Work]:
        """Open a pipelined transaction. It is rolled back unless ``last`` was awaited. Raises StoreAway."""
        return self._pipelines.work(tenant_id)

    async def flush(self, tenant_id: str, *statements: Statement) -> list[Rows]:
        """Run a whole transaction in one round trip. Return the rows of each statement. Raises StoreAway.

        It is run again after a conflict with another transaction.
        """

        async def once(_: bool) -> list[Rows]:
            async with self.work(tenant_id) as work:
                return await work.last(*statements)

        return await patiently(once, 0)

    async def run(self, tenant_id: str, work: Callable[[AsyncSession], Awaitable[Result]]) -> Result:
        """Run ``work`` in one transaction of one tenant, and again after a conflict with another. Raises StoreAway."""

        async def once(_: bool) -> Result:
            async with self.tenant(tenant_id) as session:
                return await work(session)

        return await patiently(once, 0)

    async def _begin(self, session: AsyncSession, tenant_id: str) -> None:
        """Begin the transaction and bind it in one round trip; the driver's connection is in autocommit mode."""
        if self._takes_role is None:
            self._takes_role = bool(await session.scalar(_MAY_TAKE_ROLE, {"role": APP_ROLE}))
        begun = "; ".join(("BEGIN", *binding(tenant_id, APP_ROLE if self._takes_role else None)))
        pooled = (await session.connection()).sync_connection
        driver: Any = pooled.connection.driver_connection if pooled is not None else None
        try:
            await driver.execute(begun, prepare=False)
        except psycopg.Error:
            await session.invalidate()
            raise

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pipelines.aclose()
        await self.engine.dispose()


def _look_at_idle_connections(engine: AsyncEngine) -> None:
    """Ping a connection that was idle for a while before it is used. Recently used connections need no ping."""

    def used(connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    def taken(connection: Any, record: Any, proxy: Any) -> None:
        if time.monotonic() - record.info.get("used", 0.0) < SURELY_ALIVE:
            return
        try:
            engine.sync_engine.dialect.do_ping(connection)
        except Exception as error:
            raise DisconnectionError("the idle connection is broken") from error

    event.listen(engine.sync_engine, "connect", used)
    event.listen(engine.sync_engine, "checkin", used)
    event.listen(engine.sync_engine, "checkout", taken)
