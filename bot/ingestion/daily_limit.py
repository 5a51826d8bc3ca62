"""Limits what a person may add in a day: uploads before they are stored, other sources document by document."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.engine.user_messages import when
from bot.errors import Refused
from bot.store.budgets import daily_additions
from bot.store.budgets.daily_additions import AddedLimits
from bot.store.database.session import Database
from bot.store.schema import tenants
from knowledge import refusal_counts
from knowledge.errors import SourceError
from knowledge.ports import Source
from knowledge.store import ingest_runs
from knowledge.store.ingest_runs import Run
from knowledge.types.source_items import NOTHING_KNOWN, Fetched, Item, Known


class OverDailyLimit(Refused):
    """The person may not add more documents today."""


@dataclass(frozen=True, slots=True)
class DailyLimit:
    """The limit of each person. A day is a date in the tenant's time zone, or else in ``timezone``."""

    limits: AddedLimits
    timezone: str
    clock: Callable[[], datetime]

    async def count(self, session: AsyncSession, *, tenant_id: str, user_id: str, size: int) -> None:
        """Count a document of ``size`` bytes. Raises OverDailyLimit, without counting, if it is too much for today."""
        stored = await session.scalar(select(tenants.c.timezone).where(tenants.c.tenant_id == tenant_id))
        now = self.clock().astimezone(ZoneInfo(stored or self.timezone))
        if await daily_additions.add(
            session,
            tenant_id=tenant_id,
            user_id=user_id,
            day=now.date(),
            size=size,
            documents=1,
            limits=self.limits,
        ):
            return
        refusal_counts.count("quota", tenant_id)
        resets_at = datetime.combine(now.date() + timedelta(days=1), time.min, now.tzinfo)
        raise OverDailyLimit(over_limit(self.limits, resets_at, now))


class LimitedSource:
    """The source of a run whose documents count toward the daily limit of the person who asked for it.

    A document counts once, however often the run is retried. The source ends with a SourceError at the limit.
    """

    def __init__(self, source: Source, limit: DailyLimit, database: Database, tenant_id: str, run: Run) -> None:
        self.uri, self.kind = source.uri, source.kind
        self._source = source
        self._limit = limit
        self._database = database
        self._tenant_id = tenant_id
        self._run = run

    def count(self) -> int | None:
        """Return the number of documents found so far."""
        return self._source.count()

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]:
        """Yield what the source yields, as long as the limit allows."""
        async for item in self._source.fetch(known):
            if isinstance(item, Fetched):
                await self._count(item)
            yield item

    async def _count(self, item: Fetched) -> None:
        tenant_id, run = self._tenant_id, self._run

        async def count(session: AsyncSession) -> None:
            if await ingest_runs.count_once(session, tenant_id=tenant_id, run_id=run.id, name=item.uri):
                await self._limit.count(session, tenant_id=tenant_id, user_id=run.asked_by, size=len(item.data))

        try:
            await self._database.run(tenant_id, count)
        except OverDailyLimit as refused:
            raise SourceError(str(refused)) from None


def over_limit(limits: AddedLimits, resets_at: datetime, now: datetime) -> str:
    """Return the refusal, which says when the limit resets."""
    allowed = [f"{limits.size // 1_000_000:,} MB"] if limits.size else []
    allowed += [f"{limits.documents:,} documents"] if limits.documents else []
    return (
        f"This is more than you can add today ({' and '.join(allowed)}). The limit resets {when(resets_at, now)}. "
        "An admin can add it now."
    )
