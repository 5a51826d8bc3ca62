"""Token budgets and the ledger on PostgreSQL: see ``bot.engine.ports.budgets.Budgets``."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace

from bot.engine.aio import finish_although_cancelled
from bot.store.adapters.budget_settlement import BudgetDays
from bot.store.adapters.transactions import Transactions
from bot.store.budgets import budget_counters, budget_reservations, ledger
from bot.store.budgets.budget_reservations import ACCOUNTS
from bot.store.database.pipelined_transactions import Statement, Work
from bot.types.conversation import Author, Role
from bot.types.turns import Turn
from bot.types.usage import BudgetState, Call, Reservation


class PostgresBudgets:
    """Reserves and settles tokens for person, channel and tenant at once."""

    def __init__(self, transactions: Transactions, days: BudgetDays) -> None:
        self._transactions = transactions
        self._database = transactions.database
        self._days = days

    # --- limits

    async def budget(self, tenant_id: str, user_id: str) -> BudgetState:
        async with self._database.tenant(tenant_id) as session:
            role = await budget_counters.role_of(session, tenant_id=tenant_id, user_id=user_id)
        own, _, _ = await self._states(tenant_id, user_id, role, "")
        return own

    async def budgets(self, tenant_id: str, channel_id: str, author: Author) -> tuple[BudgetState, ...]:
        return await self._states(tenant_id, author.id, author.role, channel_id)

    async def _states(self, tenant_id: str, user_id: str, role: Role, channel_id: str) -> tuple[BudgetState, ...]:
        async def once(_: bool) -> tuple[BudgetState, ...]:
            today = await self._days.today(tenant_id)
            owners = self._days.owners(tenant_id, user_id, role, channel_id, today.date)
            ((row,),) = await self._database.flush(tenant_id, budget_reservations.read(owners))
            return tuple(today.state(account) for account in budget_reservations.accounts(row))

        return await self._transactions.retry(once)

    # --- reservations

    async def reserve(self, turn: Turn, tokens: int) -> Reservation:
        """See the port. If the task is cancelled, a reservation that was already made is released."""
        today, owners = await self._days.owners_of(turn)
        made = Reservation(uuid.uuid4().hex, tokens, today.date)

        async def once(again: bool) -> bool:
            known = budget_reservations.held(owners.tenant_id, turn.id)
            if again and budget_reservations.reservation(*await self._database.flush(owners.tenant_id, known)) == made:
                return True
            asked = budget_reservations.reserve(owners, reservation_id=made.id, turn_id=turn.id, tokens=tokens)
            ((row,),) = await self._database.flush(owners.tenant_id, asked)
            return bool(row.many == ACCOUNTS)

        try:
            if not await self._transactions.retry(once):
                await self.bill(turn, (), made)
                raise await self._days.over_budget(today, owners, tokens)
        except asyncio.CancelledError:
            await finish_although_cancelled(self.bill(turn, (), made))
            raise
        return made

    async def change_reservation(self, turn: Turn, reservation: Reservation, tokens: int) -> Reservation:
        await self._resize(turn, reservation, tokens)
        return replace(reservation, tokens=tokens)

    async def _resize(self, turn: Turn, reservation: Reservation, tokens: int, *then: Statement) -> None:
        """Resize the reservation and run the statements ``then`` in the same transaction. Raises OverBudget."""
        today, owners = await self._days.owners_of(turn)
        owners = replace(owners, day=reservation.day)
        changed = budget_reservations.change(owners, reservation_id=reservation.id, tokens=tokens)
        ((row,), *_) = await self._transactions.send(owners.tenant_id, changed, *then)
        if row.many < row.were:
            back = budget_reservations.change(owners, reservation_id=reservation.id, tokens=reservation.tokens)
            await self._transactions.send(owners.tenant_id, back)
            raise await self._days.over_budget(today, owners, tokens - reservation.tokens)

    # --- calls

    async def open_call(
        self, turn: Turn, call: Call, reservation: Reservation | None, *, tokens: int | None = None
    ) -> None:
        day = reservation.day if reservation else (await self._days.today(turn.thread.tenant_id)).date
        opened = ledger.opened(turn.thread, user_id=turn.author.id, turn_id=turn.id, day=day, call=call)
        if reservation is not None and tokens is not None and tokens < reservation.tokens:
            await self._resize(turn, reservation, tokens, opened)
            return
        if reservation is not None and tokens is not None and tokens > reservation.tokens:
            await self._resize(turn, reservation, tokens)
        await self._transactions.work(turn.thread.tenant_id, lambda work, _: work.last(opened))

    async def bill(self, turn: Turn, calls: Sequence[Call], reservation: Reservation | None) -> None:
        async def once(work: Work, _: bool) -> None:
            await work.last(*await self._days.settling(turn, calls, reservation))

        await self._transactions.work(turn.thread.tenant_id, once)
