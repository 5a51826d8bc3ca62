"""Opens all transactions. Each is bound to one tenant before its first statement.

``SET LOCAL ROLE parley_app`` switches to a role that cannot bypass row-level security, until the transaction ends. If
the connecting role may not switch to it, this is left out, and FORCE ROW LEVEL SECURITY applies the policies to the
owner.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from psycopg.pq import PipelineStatus, TransactionStatus
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool

from bot.store.database import connections
from bot.store.database.connections import ROUND_TRIP_SECONDS, BoundedConnection, driver_url
from bot.store.database.pipelined_transactions import APP_ROLE, Rows, Statement, Work, begin
from bot.store.database.retry import away_reported, patiently
from knowledge.text import secret_redaction

Result = TypeVar("Result")

CONNECTIONS, MORE_CONNECTIONS = 10, 6
"""Connections that the pool keeps, and further ones that it opens under load and closes afterwards."""
POOL_SECONDS = 10.0
"""Seconds that a transaction waits for a free connection before it is retried or fails."""
ANY_TENANT = "*"
"""The tenant in rows that belong to no tenant: processes, used OAuth states, Slack requests."""
NO_TENANT = "-"
"""Binds a transaction to no tenant. It sees the list of tenants, the rows that belong to no tenant, and the columns of
the turn queue that ``queued_turns()`` returns; no question, answer or document."""

BULK_SECONDS = 900.0
"""Seconds that one round trip may take where nobody waits: when documents are stored."""
SURELY_ALIVE = 1.0
"""Seconds since its last use within which a connection is assumed to be alive."""
QUICK_SECONDS = 2.0
"""Seconds for a round trip that a live server answers at once: a ping, or a rollback."""

_TAKES_ROLE = """
    SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s AND pg_has_role(current_user, oid, 'MEMBER')) AND NOT (
        EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')
        AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user)
    )
"""
"""Whether each transaction takes the role. On Citus, the coordinator would connect to the nodes with it, but it may
not log in. An ordinary role is bound by row-level security without it.
"""


class Database:
    """One connection pool and the transactions on it: SQLAlchemy sessions, and pipelines for hot paths.

    Use a pipeline (``work``, ``flush``) where a person waits: few round trips, SQL as ``Statement``. Use a session
    (``tenant``, ``queue``) everywhere else. Opens nothing until the first transaction.

    The address may lead through a pooler in transaction mode. ``session_url`` then leads past it, for locks that belong
    to a session.
    """

    def __init__(
        self,
        url: str,
        *,
        session_url: str | None = None,
        pool_size: int = CONNECTIONS,
        pool_overflow: int = MORE_CONNECTIONS,
        pool_seconds: float = POOL_SECONDS,
    ) -> None:
        self.session_url = session_url or url
        for one in (url, self.session_url):
            secret_redaction.register([make_url(one).password or ""])
        self.engine: AsyncEngine = create_async_engine(
            driver_url(url),
            pool_size=pool_size,
            max_overflow=pool_overflow,
            pool_timeout=pool_seconds,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,  # They hold what people wrote, and errors are logged.
            async_creator=lambda: connections.connect(url),
        )
        _look_at_idle_connections(self.engine)
        event.listen(self.engine.sync_engine, "checkin", self._returned)
        self.session_engine: AsyncEngine = create_async_engine(
            driver_url(self.session_url),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
            async_creator=lambda: connections.connect(self.session_url),
        )
        """Opens a connection with a session of its own each time, for advisory locks."""
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._role: str | None = None
        self._role_known = False
        self._closed = False

    @asynccontextmanager
    async def tenant(self, tenant_id: str, *, seconds: float = ROUND_TRIP_SECONDS) -> AsyncIterator[AsyncSession]:
        """Open a session with one transaction of one tenant: committed at the end, rolled back on an error.

        ``seconds`` is the longest that one round trip may take. Raises StoreAway whenever the database does not answer.
        """
        with away_reported():
            async with self._sessions() as session, session.begin():
                connection = await self._begin(session, tenant_id, seconds)
                with _quick_rollback(connection):
                    yield session

    @asynccontextmanager
    async def bulk(self, tenant_id: str) -> AsyncIterator[AsyncSession]:
        """Open a session like ``tenant``, for statements that may take minutes."""
        async with self.tenant(tenant_id, seconds=BULK_SECONDS) as session:
            yield session

    @asynccontextmanager
    async def queue(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction without a tenant, for the turn queue of all tenants. See ``NO_TENANT``."""
        async with self.tenant(NO_TENANT) as session:
            yield session

    @asynccontextmanager
    async def work(self, tenant_id: str) -> AsyncIterator[Work]:
        """Open a pipelined transaction. It is rolled back unless ``last`` was awaited. Raises StoreAway."""
        with away_reported():
            async with self.engine.connect() as pooled:
                connection = await _driver(pooled)
                connection.round_trip_seconds = ROUND_TRIP_SECONDS
                try:
                    with _quick_rollback(connection):
                        yield Work(connection, tenant_id, await self._role_to_take(connection))
                finally:
                    if connection.info.transaction_status in (TransactionStatus.ACTIVE, TransactionStatus.UNKNOWN):
                        await pooled.invalidate()

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

    async def _begin(self, session: AsyncSession, tenant_id: str, seconds: float) -> BoundedConnection:
        """Begin the transaction and bind it in one round trip; the driver's connection is in autocommit mode."""
        connection = await _driver(await session.connection())
        connection.round_trip_seconds = seconds
        try:
            role = await self._role_to_take(connection)
            await begin(connection, tenant_id, role)
        except BaseException:
            await session.invalidate()
            raise
        return connection

    async def _role_to_take(self, connection: BoundedConnection) -> str | None:
        """Return the role that each transaction takes, or None if the connecting role may not take it."""
        if not self._role_known:
            row = await (await connection.execute(_TAKES_ROLE, (APP_ROLE,))).fetchone()
            self._role, self._role_known = (APP_ROLE if row and row[0] else None), True
        return self._role

    async def aclose(self) -> None:
        """Close every connection; those in use are closed when they are returned."""
        self._closed = True
        await self.engine.dispose()

    def _returned(self, connection: Any, record: Any) -> None:
        """Close a connection that was in use when the pool was closed, or whose pipeline was broken off."""
        if connection is None:
            return
        server = connection.driver_connection.pgconn
        if self._closed:
            server.finish()
        elif server.pipeline_status != PipelineStatus.OFF:
            server.finish()
            record.invalidate()


@contextmanager
def _quick_rollback(connection: BoundedConnection) -> Iterator[None]:
    """After an error, give the rollback that follows only ``QUICK_SECONDS``."""
    try:
        yield
    except BaseException:
        connection.round_trip_seconds = QUICK_SECONDS
        raise


async def _driver(pooled: AsyncConnection) -> BoundedConnection:
    """Return the psycopg connection below one of SQLAlchemy's."""
    driver = (await pooled.get_raw_connection()).driver_connection
    assert isinstance(driver, BoundedConnection), "the engine's creator opens no other"
    return driver


def _look_at_idle_connections(engine: AsyncEngine) -> None:
    """Ping a connection that was idle for a while before it is used. Recently used connections need no ping."""

    def used(connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    def taken(connection: Any, record: Any, proxy: Any) -> None:
        if time.monotonic() - record.info.get("used", 0.0) < SURELY_ALIVE:
            return
        connection.driver_connection.round_trip_seconds = QUICK_SECONDS
        try:
            engine.sync_engine.dialect.do_ping(connection)
        except Exception as error:
            raise DisconnectionError("the idle connection is broken") from error

    event.listen(engine.sync_engine, "connect", used)
    event.listen(engine.sync_engine, "checkin", used)
    event.listen(engine.sync_engine, "checkout", taken)
