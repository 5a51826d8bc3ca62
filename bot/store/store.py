"""The engine's Store on Postgres: each method is one transaction of the turn's tenant."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from bot.config import Settings
from bot.engine.memory import Quoted
from bot.errors import LeaseLost, OverBudget
from bot.store import answers, budgets, facts, ledger, nearby, tenants, threads, turns, waiting
from bot.store.budgets import Account
from bot.store.processes import SETTLING
from bot.store.session import Database
from bot.store.turnstore import PATIENCE, TurnStore
from bot.types import (
    Author,
    BudgetState,
    CachedAnswer,
    Call,
    ChannelSettings,
    History,
    Lease,
    Outcome,
    PastMessage,
    Reservation,
    Role,
    ThreadKey,
    Turn,
)


class PostgresStore(TurnStore):
    """See ``bot.engine.ports.Store``."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        count_tokens: Callable[[str], int],
        clock: Callable[[], datetime],
        holder: Callable[[], int | None] = lambda: None,
        patience: float = PATIENCE,
        settling: float = SETTLING,
    ) -> None:
        super().__init__(database, count_tokens=count_tokens, holder=holder, patience=patience, settling=settling)
        self._settings = settings
        self._clock = clock

    # --- what a turn reads

    async def history(self, turn: Turn) -> History:
        return await self._trying(
            turn.thread.tenant_id,
            lambda session, _: threads.history(session, key=turn.thread, before_turn=turn.id),
        )

    async def settings(self, thread: ThreadKey) -> ChannelSettings:
        return await self._trying(
            thread.tenant_id,
            lambda session, _: tenants.channel_settings(
                session, tenant_id=thread.tenant_id, channel_id=thread.channel_id
            ),
        )

    async def budget(self, tenant_id: str, user_id: str) -> BudgetState:
        async with self._database.tenant(tenant_id) as session:
            role = await budgets.role_of(session, tenant_id=tenant_id, user_id=user_id)
            today = await self._today(session, tenant_id)
            own, _, _ = await self._accounts(session, tenant_id, user_id, role, "", today.date)
        return _state(own, today)

    async def budgets(self, tenant_id: str, channel_id: str, author: Author) -> tuple[BudgetState, ...]:
        async def read(session: AsyncSession, _: bool) -> tuple[BudgetState, ...]:
            today = await self._today(session, tenant_id)
            found = await self._accounts(session, tenant_id, author.id, author.role, channel_id, today.date)
            return tuple(_state(account, today) for account in found)

        return await self._trying(tenant_id, read)

    # --- money

    async def reserve(self, turn: Turn, tokens: int) -> Reservation:
        tenant_id, reservation_id = turn.thread.tenant_id, uuid.uuid4().hex

        async def once(session: AsyncSession, again: bool) -> Reservation:
            today, accounts = await self._accounts_of(session, turn)
            made = Reservation(reservation_id, tokens, today.date, accounts[0].used, accounts[0].cap)
            if again and await budgets.is_held(session, tenant_id=tenant_id, reservation_id=reservation_id):
                return made
            with _over_budget(today):
                await budgets.reserve(
                    session,
                    tenant_id=tenant_id,
                    accounts=accounts,
                    day=today.date,
                    turn_id=turn.id,
                    tokens=tokens,
                    reservation_id=reservation_id,
                )
            return made

        return await self._trying(tenant_id, once)

    async def open_call(self, turn: Turn, call: Call, reservation: Reservation | None, *, beyond: int = 0) -> None:
        tenant_id = turn.thread.tenant_id

        async def once(session: AsyncSession, again: bool) -> None:
            today, accounts = await self._accounts_of(session, turn)
            day = reservation.day if reservation else today.date
            if beyond > 0 and reservation is not None and not again:
                with _over_budget(today):
                    await budgets.extend(
                        session,
                        tenant_id=tenant_id,
                        accounts=accounts,
                        reservation_id=reservation.id,
                        tokens=beyond,
                    )
            await ledger.open_call(
                session, key=turn.thread, user_id=turn.author.id, turn_id=turn.id, day=day, call=call
            )

        await self._trying(tenant_id, once)

    async def cached(self, tenant_id: str, key: str) -> CachedAnswer | None:
        return await self._trying(tenant_id, lambda session, _: answers.lookup(session, tenant_id=tenant_id, key=key))

    async def finish(
        self,
        turn: Turn,
        lease: Lease,
        outcome: Outcome,
        *,
        reservation: Reservation | None,
        cache_key: str | None,
    ) -> None:
        try:
            await self._trying(
                turn.thread.tenant_id, partial(self._finish, turn, lease, outcome, reservation, cache_key)
            )
        except LeaseLost:
            await self.bill(turn, outcome.calls, reservation)
            raise

    async def _finish(
        self,
        turn: Turn,
        lease: Lease,
        outcome: Outcome,
        reservation: Reservation | None,
        cache_key: str | None,
        session: AsyncSession,
        again: bool,
    ) -> None:
        if again and await turns.ended(session, turn=turn, lease=lease, state=outcome.state):
            return
        uid = threads.thread_uid(turn.thread)
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
            await self._keep(session, outcome, cache_key)
        await nearby.land(session, tenant_id=turn.thread.tenant_id, turn_id=turn.id)
        await waiting.tell_next(session, thread=turn.thread, thread_uid=uid)

    async def _keep(self, session: AsyncSession, outcome: Outcome, cache_key: str) -> None:
        await answers.keep(
            session,
            tenant_id=outcome.thread.tenant_id,
            key=cache_key,
            turn_id=outcome.turn_id,
            answer=outcome.answer,
            citations=outcome.citations,
            ttl=timedelta(hours=self._settings.answer_cache_hours),
        )

    async def hand_back(
        self, turn: Turn, lease: Lease, calls: Sequence[Call], *, reservation: Reservation | None
    ) -> None:
        async def once(session: AsyncSession, _: bool) -> None:
            await self._settle(session, turn, calls, reservation)
            await turns.hand_back(session, turn=turn, lease=lease)
            await nearby.land(session, tenant_id=turn.thread.tenant_id, turn_id=turn.id)
            await waiting.tell_next(session, thread=turn.thread, thread_uid=threads.thread_uid(turn.thread))

        await self._trying(turn.thread.tenant_id, once)

    async def bill(self, turn: Turn, calls: Sequence[Call], reservation: Reservation | None) -> None:
        await self._trying(turn.thread.tenant_id, lambda session, _: self._settle(session, turn, calls, reservation))

    async def summarise(
        self,
        turn: Turn,
        *,
        since: int,
        due: Sequence[PastMessage],
        summary: str,
        quoted: Sequence[Quoted] = (),
    ) -> bool:
        key = turn.thread
        async with self._database.tenant(key.tenant_id) as session:
            if await threads.lock(session, key=key) != since:
                return False
            if not await threads.still_says(session, key=key, since=since, said=due):
                return False
            await threads.append_summary(session, key=key, since=since, summary=summary, upto=due[-1].seq)
            await facts.quote(session, thread=key, quoted=quoted)
            return True

    async def rate(self, turn: Turn, by: Author, value: int, reason: str) -> None:
        tenant_id = turn.thread.tenant_id
        async with self._database.tenant(tenant_id) as session:
            await answers.rate(session, tenant_id=tenant_id, turn_id=turn.id, user_id=by.id, value=value, reason=reason)

    async def _settle(
        self, session: AsyncSession, turn: Turn, calls: Sequence[Call], reservation: Reservation | None
    ) -> None:
        tenant_id = turn.thread.tenant_id
        day = reservation.day if reservation else (await self._today(session, tenant_id)).date
        used = await ledger.record(
            session, key=turn.thread, user_id=turn.author.id, turn_id=turn.id, day=day, calls=calls
        )
        covered = reservation is not None and await budgets.settle(
            session, tenant_id=tenant_id, reservation_id=reservation.id, used=used
        )
        if not covered and used:
            subjects = budgets.subjects(turn.author.id, turn.thread.channel_id)
            await budgets.charge(session, tenant_id=tenant_id, subjects=subjects, day=day, tokens=used)

    async def _settle_interrupted(self, session: AsyncSession, turn: Turn) -> None:
        tenant_id = turn.thread.tenant_id
        await budgets.release_held(session, tenant_id=tenant_id, turn_id=turn.id)
        left = await ledger.settle_left(session, tenant_id=tenant_id, turn_id=turn.id)
        await charge_left(session, tenant_id=tenant_id, left=left)

    async def _accounts_of(self, session: AsyncSession, turn: Turn) -> tuple[_Today, tuple[Account, ...]]:
        tenant_id, author = turn.thread.tenant_id, turn.author
        today = await self._today(session, tenant_id)
        channel_id = turn.thread.channel_id
        return today, await self._accounts(session, tenant_id, author.id, author.role, channel_id, today.date)

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


@contextmanager
def _over_budget(today: _Today) -> Iterator[None]:
    try:
        yield
    except budgets.FullError as full:
        state = _state(full.account, today)
        raise OverBudget(
            "Too little is left of today's token budget.",
            used=state.used,
            limit=state.limit,
            resets_at=state.resets_at,
            whose=state.whose,
        ) from None


async def charge_left(session: AsyncSession, *, tenant_id: str, left: Sequence[ledger.LeftCall]) -> None:
    """Count what calls of dead processes are estimated at on the days of those who asked."""
    for call in left:
        if call.tokens:
            subjects = budgets.subjects(call.user_id, call.channel_id)
            await budgets.charge(session, tenant_id=tenant_id, subjects=subjects, day=call.day, tokens=call.tokens)
