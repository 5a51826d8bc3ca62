"""The engine's Store on Postgres: each method is one transaction of the turn's tenant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from bot.config import Settings
from bot.errors import LeaseLost, OverBudget
from bot.store import answers, budgets, ledger, tenants, threads, turns
from bot.store.session import Database
from bot.types import (
    Author,
    BudgetState,
    CachedAnswer,
    Call,
    ChannelSettings,
    History,
    Incoming,
    Lease,
    Outcome,
    Platform,
    Reservation,
    ThreadKey,
    Turn,
)


class PostgresStore:
    """See ``bot.engine.ports.Store``."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        count_tokens: Callable[[str], int],
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._settings = settings
        self._count_tokens = count_tokens
        self._clock = clock

    async def accept(self, incoming: Incoming) -> Turn | None:
        async with self._database.tenant(incoming.thread.tenant_id) as session:
            return await turns.accept(session, incoming=incoming, tokens=self._count_tokens(incoming.text))

    async def turn(self, tenant_id: str, turn_id: str) -> Turn | None:
        async with self._database.tenant(tenant_id) as session:
            return await turns.get(session, tenant_id=tenant_id, turn_id=turn_id)

    async def knows(self, thread: ThreadKey) -> bool:
        async with self._database.tenant(thread.tenant_id) as session:
            return await threads.exists(session, key=thread)

    async def unfinished(self, platform: Platform) -> Sequence[Turn]:
        async with self._database.queue() as session:
            found = await turns.unfinished(session, platform=platform)
        stored = [await self.turn(tenant_id, turn_id) for tenant_id, turn_id in found]
        return [turn for turn in stored if turn is not None]

    async def lease(self, turn: Turn) -> Lease | None:
        async with self._database.tenant(turn.thread.tenant_id) as session:
            lease = await turns.lease(session, turn=turn)
            if lease is not None and lease.fence > 1:
                await budgets.release_held(session, tenant_id=turn.thread.tenant_id, turn_id=turn.id)
            return lease

    async def renew(self, turn: Turn, lease: Lease) -> None:
        async with self._database.tenant(turn.thread.tenant_id) as session:
            await turns.renew(session, turn=turn, lease=lease)

    async def record_part(self, turn: Turn, lease: Lease, index: int, ref: str | None) -> None:
        async with self._database.tenant(turn.thread.tenant_id) as session:
            await turns.record_part(session, turn=turn, lease=lease, index=index, ref=ref)

    async def history(self, turn: Turn) -> History:
        async with self._database.tenant(turn.thread.tenant_id) as session:
            return await threads.history(session, key=turn.thread, before_turn=turn.id)

    async def settings(self, thread: ThreadKey) -> ChannelSettings:
        async with self._database.tenant(thread.tenant_id) as session:
            return await tenants.channel_settings(session, tenant_id=thread.tenant_id, channel_id=thread.channel_id)

    async def budget(self, tenant_id: str, user_id: str) -> BudgetState:
        async with self._database.tenant(tenant_id) as session:
            return await self._budget(session, tenant_id, user_id)

    async def reserve(self, turn: Turn, tokens: int) -> Reservation:
        tenant_id = turn.thread.tenant_id
        async with self._database.tenant(tenant_id) as session:
            state = await self._budget(session, tenant_id, turn.author.id)
            day = await self._today(session, tenant_id)
            held = await budgets.reserve(
                session,
                tenant_id=tenant_id,
                subject=budgets.subject_of(turn.author.id),
                day=day,
                turn_id=turn.id,
                tokens=tokens,
                cap=state.limit,
            )
        if held is None:
            raise OverBudget(
                "Too little is left of today's token budget.",
                used=state.used,
                limit=state.limit,
                resets_at=state.resets_at,
            )
        return Reservation(held[0], tokens, day, held[1], state.limit)

    async def cached(self, tenant_id: str, key: str) -> CachedAnswer | None:
        async with self._database.tenant(tenant_id) as session:
            return await answers.lookup(session, tenant_id=tenant_id, key=key)

    async def finish(
        self,
        turn: Turn,
        lease: Lease,
        outcome: Outcome,
        *,
        reservation: Reservation | None,
        cache_key: str | None,
    ) -> None:
        tenant_id = turn.thread.tenant_id
        try:
            async with self._database.tenant(tenant_id) as session:
                await turns.end(session, turn=turn, lease=lease, outcome=outcome)
                await self._settle(session, turn, outcome.calls, reservation)
                if outcome.answer:
                    await threads.add_message(
                        session,
                        key=turn.thread,
                        turn_id=turn.id,
                        role="assistant",
                        author_id="parley",
                        author="Parley",
                        text=outcome.answer,
                        tokens=self._count_tokens(outcome.answer),
                    )
                if outcome.route and outcome.state == "done":
                    await threads.set_tier(session, key=turn.thread, tier=outcome.route.tier)
                if cache_key and outcome.state == "done" and not outcome.cached:
                    await answers.keep(
                        session,
                        tenant_id=tenant_id,
                        key=cache_key,
                        turn_id=turn.id,
                        answer=outcome.answer,
                        citations=outcome.citations,
                        ttl=timedelta(hours=self._settings.answer_cache_hours),
                    )
        except LeaseLost:
            await self.bill(turn, outcome.calls, reservation)
            raise

    async def hand_back(
        self, turn: Turn, lease: Lease, calls: Sequence[Call], *, reservation: Reservation | None
    ) -> None:
        async with self._database.tenant(turn.thread.tenant_id) as session:
            await self._settle(session, turn, calls, reservation)
            await turns.hand_back(session, turn=turn, lease=lease)

    async def bill(self, turn: Turn, calls: Sequence[Call], reservation: Reservation | None) -> None:
        async with self._database.tenant(turn.thread.tenant_id) as session:
            await self._settle(session, turn, calls, reservation)

    async def summarise(self, turn: Turn, *, since: int, summary: str, upto: int) -> bool:
        async with self._database.tenant(turn.thread.tenant_id) as session:
            return await threads.append_summary(session, key=turn.thread, since=since, summary=summary, upto=upto)

    async def rate(self, turn: Turn, by: Author, value: int, reason: str) -> None:
        tenant_id = turn.thread.tenant_id
        async with self._database.tenant(tenant_id) as session:
            await answers.rate(session, tenant_id=tenant_id, turn_id=turn.id, user_id=by.id, value=value, reason=reason)

    async def _settle(
        self, session: AsyncSession, turn: Turn, calls: Sequence[Call], reservation: Reservation | None
    ) -> None:
        tenant_id = turn.thread.tenant_id
        day = reservation.day if reservation else await self._today(session, tenant_id)
        await ledger.record(session, key=turn.thread, user_id=turn.author.id, turn_id=turn.id, day=day, calls=calls)
        used = sum(call.usage.total_tokens for call in calls)
        covered = reservation is not None and await budgets.settle(
            session, tenant_id=tenant_id, reservation_id=reservation.id, used=used
        )
        if not covered and used:
            await budgets.charge(
                session, tenant_id=tenant_id, subject=budgets.subject_of(turn.author.id), day=day, tokens=used
            )

    async def _budget(self, session: AsyncSession, tenant_id: str, user_id: str) -> BudgetState:
        subject = budgets.subject_of(user_id)
        zone = await self._zone(session, tenant_id)
        today = self._clock().astimezone(zone).date()
        cap = await budgets.limit(session, tenant_id=tenant_id, subject=subject, default=self._settings.daily_tokens)
        day = await budgets.day_of(session, tenant_id=tenant_id, subject=subject, day=today)
        midnight = datetime.combine(today + timedelta(days=1), time.min, zone)
        return BudgetState(day.used, day.reserved, cap, midnight)

    async def _today(self, session: AsyncSession, tenant_id: str) -> date:
        return self._clock().astimezone(await self._zone(session, tenant_id)).date()

    async def _zone(self, session: AsyncSession, tenant_id: str) -> ZoneInfo:
        return ZoneInfo(await tenants.timezone(session, tenant_id=tenant_id) or self._settings.timezone)
