"""The engine's Store on Postgres: each method is one transaction of the turn's tenant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from bot.config import Settings
from bot.errors import LeaseLost, OverBudget
from bot.store import answers, budgets, ledger, tenants, threads, turns
from bot.store.budgets import Account
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
    Role,
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
            role = await budgets.role_of(session, tenant_id=tenant_id, user_id=user_id)
            today = await self._today(session, tenant_id)
            own, _, _ = await self._accounts(session, tenant_id, user_id, role, "", today.date)
        return _state(own, today)

    async def budgets(self, tenant_id: str, channel_id: str, author: Author) -> tuple[BudgetState, ...]:
        async with self._database.tenant(tenant_id) as session:
            today = await self._today(session, tenant_id)
            found = await self._accounts(session, tenant_id, author.id, author.role, channel_id, today.date)
        return tuple(_state(account, today) for account in found)

    async def reserve(self, turn: Turn, tokens: int) -> Reservation:
        tenant_id, author = turn.thread.tenant_id, turn.author
        async with self._database.tenant(tenant_id) as session:
            today = await self._today(session, tenant_id)
            accounts = await self._accounts(
                session, tenant_id, author.id, author.role, turn.thread.channel_id, today.date
            )
            try:
                reservation_id = await budgets.reserve(
                    session, tenant_id=tenant_id, accounts=accounts, day=today.date, turn_id=turn.id, tokens=tokens
                )
            except budgets.FullError as full:
                state = _state(full.account, today)
                raise OverBudget(
                    "Too little is left of today's token budget.",
                    used=state.used,
                    limit=state.limit,
                    resets_at=state.resets_at,
                    whose=state.whose,
                ) from None
        return Reservation(reservation_id, tokens, today.date, accounts[0].used, accounts[0].cap)

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
        day = reservation.day if reservation else (await self._today(session, tenant_id)).date
        await ledger.record(session, key=turn.thread, user_id=turn.author.id, turn_id=turn.id, day=day, calls=calls)
        used = sum(call.usage.total_tokens for call in calls)
        covered = reservation is not None and await budgets.settle(
            session, tenant_id=tenant_id, reservation_id=reservation.id, used=used
        )
        if not covered and used:
            subjects = budgets.subjects(turn.author.id, turn.thread.channel_id)
            await budgets.charge(session, tenant_id=tenant_id, subjects=subjects, day=day, tokens=used)

    async def _accounts(
        self, session: AsyncSession, tenant_id: str, user_id: str, role: Role, channel_id: str, day: date
    ) -> tuple[Account, ...]:
        made = self._settings
        return await budgets.accounts(
            session,
            tenant_id=tenant_id,
            user_id=user_id,
            role=role,
            channel_id=channel_id,
            day=day,
            defaults=budgets.Defaults(made.daily_tokens, made.channel_daily_tokens, made.tenant_daily_tokens),
        )

    async def _today(self, session: AsyncSession, tenant_id: str) -> _Today:
        zone = ZoneInfo(await tenants.timezone(session, tenant_id=tenant_id) or self._settings.timezone)
        return _Today(self._clock().astimezone(zone).date(), zone)


@dataclass(frozen=True, slots=True)
class _Today:
    """A day of the tenant's calendar."""

    date: date
    zone: ZoneInfo

    @property
    def end(self) -> datetime:
        return datetime.combine(self.date + timedelta(days=1), time.min, self.zone)


def _state(account: Account, today: _Today) -> BudgetState:
    return BudgetState(account.used, account.reserved, account.cap, today.end, account.owner)
