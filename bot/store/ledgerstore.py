"""The part of the Store that is money: what limits a turn, what is set aside for it, and every call it makes.

A tenant's day is one row that each of its turns locks, acceptances too. So whatever locks it travels with its commit:
a process that is slow, paused or dying holds nobody up.
"""

from __future__ import annotations

import asyncio
import time as clocks
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from bot.config import Settings
from bot.engine.answer.lease import whole
from bot.errors import OverBudget
from bot.store import budget_reservations, budgets, ledger, tenants, turns
from bot.store.budget_reservations import ACCOUNTS, Owners
from bot.store.budgets import Account, Defaults
from bot.store.pipeline import Statement, Work
from bot.store.processes import SETTLING
from bot.store.retry import patiently
from bot.store.session import Database
from bot.store.turnstore import ACCEPT_PATIENCE, PATIENCE, Result, TurnStore
from bot.types.conversation import Author, Incoming, Role
from bot.types.turns import Turn
from bot.types.usage import BudgetState, Call, Reservation

ZONE_SECONDS = 60.0
"""How long a tenant's time zone is taken as known: it is all but never changed."""


@dataclass(frozen=True, slots=True)
class _Today:
    """A day of the tenant's calendar."""

    date: date
    zone: ZoneInfo

    @property
    def end(self) -> datetime:
        return datetime.combine(self.date + timedelta(days=1), time.min, self.zone)

    def state(self, account: Account) -> BudgetState:
        """The account as the engine sees it."""
        return BudgetState(account.used, account.reserved, account.cap, self.end, account.owner)


class LedgerStore(TurnStore):
    """``expected`` says how many tokens to set aside for a question when it is accepted; 0 sets nothing aside."""

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
        expected: Callable[[int], int] = lambda _: 0,
    ) -> None:
        super().__init__(database, count_tokens=count_tokens, holder=holder, patience=patience, settling=settling)
        self._settings = settings
        self._clock = clock
        self._expected = expected
        self._zones: dict[str, tuple[ZoneInfo, float]] = {}

    # --- taking in

    async def accept(self, incoming: Incoming) -> Turn | None:
        thread, tokens = incoming.thread, self._count_tokens(incoming.text)
        author, turn_id, reservation_id = incoming.author, uuid.uuid4().hex, uuid.uuid4().hex

        async def once(again: bool) -> Turn | None:
            today = await self._today(thread.tenant_id)
            accepting = turns.accepting(
                incoming,
                turn_id=turn_id,
                tokens=tokens,
                holder=self._holder(),
                owners=self._owners(thread.tenant_id, author.id, author.role, thread.channel_id, today.date),
                reservation_id=reservation_id,
                need=self._expected(tokens),
            )
            (rows, *_) = await self._database.flush(thread.tenant_id, *accepting)
            if not rows:
                return await self.turn(thread.tenant_id, turn_id) if again else None
            if 0 < rows[0].held < ACCOUNTS:
                await self._database.flush(thread.tenant_id, budget_reservations.release(thread.tenant_id, turn_id))
            return turns.accepted(rows[0])

        return await patiently(once, ACCEPT_PATIENCE)

    async def _set_aside_anew(self, turn: Turn, tokens: int) -> None:
        _, owners = await self._owners_of(turn)
        need, named = self._expected(tokens), uuid.uuid4().hex
        release = budget_reservations.release(owners.tenant_id, turn.id)
        reserve = budget_reservations.reserve(owners, reservation_id=named, turn_id=turn.id, tokens=need)
        _, ((row,)) = await self._database.flush(owners.tenant_id, release, reserve)
        if row.many < ACCOUNTS:
            await self._database.flush(owners.tenant_id, release)

    # --- what limits

    async def budget(self, tenant_id: str, user_id: str) -> BudgetState:
        async with self._database.tenant(tenant_id) as session:
            role = await budgets.role_of(session, tenant_id=tenant_id, user_id=user_id)
        own, _, _ = await self._states(tenant_id, user_id, role, "")
        return own

    async def budgets(self, tenant_id: str, channel_id: str, author: Author) -> tuple[BudgetState, ...]:
        return await self._states(tenant_id, author.id, author.role, channel_id)

    async def _states(self, tenant_id: str, user_id: str, role: Role, channel_id: str) -> tuple[BudgetState, ...]:
        async def once(_: bool) -> tuple[BudgetState, ...]:
            today = await self._today(tenant_id)
            owners = self._owners(tenant_id, user_id, role, channel_id, today.date)
            ((row,),) = await self._database.flush(tenant_id, budget_reservations.read(owners))
            return tuple(today.state(account) for account in budget_reservations.accounts(row))

        return await patiently(once, self._patience)

    # --- what is set aside

    async def reserve(self, turn: Turn, tokens: int) -> Reservation:
        """See the port. Cancelled, it leaves nothing set aside, whether or not it had been by then."""
        today, owners = await self._owners_of(turn)
        made = Reservation(uuid.uuid4().hex, tokens, today.date)

        async def once(again: bool) -> bool:
            known = budget_reservations.held(owners.tenant_id, turn.id)
            if again and budget_reservations.reservation(*await self._database.flush(owners.tenant_id, known)) == made:
                return True
            asked = budget_reservations.reserve(owners, reservation_id=made.id, turn_id=turn.id, tokens=tokens)
            ((row,),) = await self._database.flush(owners.tenant_id, asked)
            return bool(row.many == ACCOUNTS)

        try:
            if not await patiently(once, self._patience):
                await self.bill(turn, (), made)
                raise await self._over(today, owners, tokens)
        except asyncio.CancelledError:
            await whole(self.bill(turn, (), made))
            raise
        return made

    async def change(self, turn: Turn, reservation: Reservation, tokens: int) -> Reservation:
        await self._changing(turn, reservation, tokens)
        return replace(reservation, tokens=tokens)

    async def _changing(self, turn: Turn, reservation: Reservation, tokens: int, *after: Statement) -> None:
        """Let the reservation stand at so many tokens, and do what is to come ``after`` in the same transaction."""
        today, owners = await self._owners_of(turn)
        owners = replace(owners, day=reservation.day)
        changed = budget_reservations.change(owners, reservation_id=reservation.id, tokens=tokens)

        rows = await patiently(lambda _: self._database.flush(owners.tenant_id, changed, *after), self._patience)
        ((row,), *_) = rows
        if row.many < row.were:
            back = budget_reservations.change(owners, reservation_id=reservation.id, tokens=reservation.tokens)
            await patiently(lambda _: self._database.flush(owners.tenant_id, back), self._patience)
            raise await self._over(today, owners, tokens - reservation.tokens)

    async def _over(self, today: _Today, owners: Owners, more: int) -> OverBudget:
        """The refusal for the first account that has no room for ``more``, else for the one that has least."""
        ((row,),) = await self._database.flush(owners.tenant_id, budget_reservations.read(owners))
        accounts = budget_reservations.accounts(row)
        full = [one for one in accounts if one.used + one.reserved + more > one.cap]
        state = today.state(full[0] if full else min(accounts, key=lambda one: one.cap - one.used - one.reserved))
        return OverBudget(
            "Too little is left of today's token budget.",
            used=state.used,
            limit=state.limit,
            resets_at=state.resets_at,
            whose=state.whose,
        )

    # --- every call

    async def open_call(
        self, turn: Turn, call: Call, reservation: Reservation | None, *, tokens: int | None = None
    ) -> None:
        day = reservation.day if reservation else (await self._today(turn.thread.tenant_id)).date
        opened = ledger.opened(turn.thread, user_id=turn.author.id, turn_id=turn.id, day=day, call=call)
        if reservation is not None and tokens is not None and tokens < reservation.tokens:
            await self._changing(turn, reservation, tokens, opened)
            return
        if reservation is not None and tokens is not None and tokens > reservation.tokens:
            await self._changing(turn, reservation, tokens)
        await self._working(turn.thread.tenant_id, lambda work, _: work.last(opened))

    async def bill(self, turn: Turn, calls: Sequence[Call], reservation: Reservation | None) -> None:
        async def once(work: Work, _: bool) -> None:
            await work.last(*await self._settled(turn, calls, reservation))

        await self._working(turn.thread.tenant_id, once)

    async def _settled(
        self, turn: Turn, calls: Sequence[Call], reservation: Reservation | None
    ) -> tuple[Statement, ...]:
        """What settles calls, in this order: counted on the days, the reservation given back, then on record."""
        _, owners = await self._owners_of(turn)
        owners = replace(owners, day=reservation.day) if reservation else owners
        ids, rows = ledger.settled(turn.thread, user_id=turn.author.id, turn_id=turn.id, day=owners.day, calls=calls)
        total = sum(call.usage.total_tokens for call in calls)
        return budget_reservations.settle(owners, reservation.id if reservation else None, ids, total), *rows

    async def _settle_interrupted(self, turn: Turn) -> None:
        tenant_id = turn.thread.tenant_id

        async def once(work: Work, _: bool) -> None:
            (left,) = await work.ask(ledger.left(tenant_id, turn.id))
            counted = [
                budget_reservations.settle(
                    self._owners(tenant_id, one.user_id, "member", one.channel_id, one.budget_day), None, (), one.tokens
                )
                for one in left
                if one.tokens
            ]
            await work.last(*counted, budget_reservations.release(tenant_id, turn.id))

        await self._working(tenant_id, once)

    # --- whose day it is

    async def _working(self, tenant_id: str, work: Callable[[Work, bool], Awaitable[Result]]) -> Result:
        """``work`` in one transaction of few round trips; again where the database was away, and told so."""

        async def once(again: bool) -> Result:
            async with self._database.work(tenant_id) as under_way:
                return await work(under_way, again)

        return await patiently(once, self._patience)

    async def _owners_of(self, turn: Turn) -> tuple[_Today, Owners]:
        thread, author = turn.thread, turn.author
        today = await self._today(thread.tenant_id)
        return today, self._owners(thread.tenant_id, author.id, author.role, thread.channel_id, today.date)

    def _owners(self, tenant_id: str, user_id: str, role: Role, channel_id: str, day: date) -> Owners:
        made = self._settings
        defaults = Defaults(made.daily_tokens, made.channel_daily_tokens, made.tenant_daily_tokens)
        return Owners(tenant_id, user_id, role, channel_id, day, defaults)

    async def _today(self, tenant_id: str) -> _Today:
        zone, read = self._zones.get(tenant_id, (None, 0.0))
        if zone is None or clocks.monotonic() - read > ZONE_SECONDS:
            (rows,) = await self._database.flush(tenant_id, tenants.zone_read(tenant_id))
            zone = ZoneInfo((rows[0].timezone if rows else None) or self._settings.timezone)
            self._zones[tenant_id] = zone, clocks.monotonic()
        return _Today(self._clock().astimezone(zone).date(), zone)


async def charge_left(session: AsyncSession, *, tenant_id: str, left: Sequence[ledger.LeftCall]) -> None:
    """Count what calls of dead processes are estimated at on the days of those who asked."""
    for call in left:
        if call.tokens:
            subjects = budgets.subjects(call.user_id, call.channel_id)
            await budgets.charge(session, tenant_id=tenant_id, subjects=subjects, day=call.day, tokens=call.tokens)
