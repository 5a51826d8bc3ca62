"""Runs transactions of one tenant, and retries them while the database is unavailable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.database.pipelined_transactions import Rows, Statement, Work
from bot.store.database.retry import patiently
from bot.store.database.session import Database

Result = TypeVar("Result")

RETRY_SECONDS = 30.0
"""Seconds for which a running turn waits for an unavailable database."""


class Transactions:
    """Runs the transactions of the ports. See ``patiently`` for what is retried.

    An unavailable database is waited for during ``retry_seconds``, the patience of a running turn. Where a platform or
    a person waits, ``seconds`` is 0. ``work`` gets True if an earlier attempt may have been committed although its
    confirmation was lost.
    """

    def __init__(self, database: Database, retry_seconds: float = RETRY_SECONDS) -> None:
        self.database = database
        self._retry_seconds = retry_seconds

    async def session(
        self, tenant_id: str, work: Callable[[AsyncSession, bool], Awaitable[Result]], *, seconds: float | None = None
    ) -> Result:
        """Run ``work`` in one SQLAlchemy session."""

        async def once(again: bool) -> Result:
            async with self.database.tenant(tenant_id) as session:
                return await work(session, again)

        return await patiently(once, self._retry_seconds if seconds is None else seconds)

    async def work(
        self, tenant_id: str, work: Callable[[Work, bool], Awaitable[Result]], *, seconds: float | None = None
    ) -> Result:
        """Run ``work`` in one transaction of few round trips."""

        async def once(again: bool) -> Result:
            async with self.database.work(tenant_id) as under_way:
                return await work(under_way, again)

        return await patiently(once, self._retry_seconds if seconds is None else seconds)

    async def send(self, tenant_id: str, *statements: Statement) -> list[Rows]:
        """Run a whole transaction in one round trip and return the rows of each statement."""
        return await patiently(lambda _: self.database.flush(tenant_id, *statements), self._retry_seconds)

    async def retry(self, work: Callable[[bool], Awaitable[Result]]) -> Result:
        """Run ``work``, which opens its own transactions."""
        return await patiently(work, self._retry_seconds)
