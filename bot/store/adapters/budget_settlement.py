"""Determines the accounts and the day that a turn's tokens count against, and builds the statements that settle them.

A tenant's day is one row that each of its turns and acceptances locks. So a statement that locks it is always sent
together with its commit, and a slow, paused or dying process cannot block the others.
"""

from __future__ import annotations

import time as clocks
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.config import Settings
from bot.errors import OverBudget
from bot.store import tenants
from bot.store.budgets import budget_reservations, ledger
from bot.store.budgets.budget_counters import Account, Defaults
from bot.store.budgets.budget_reservations import Owners
from bot.store.database.pipelined_transactions import Statement
from bot.store.database.session import Database
from bot.types.bounded_mapping import RecentEntries
from bot.types.conversation import Role
from bot.types.turns import Turn
from bot.types.usage import BudgetState, Call, Reservation

ZONE_SECONDS = 60.0
"""How long a tenant's time zone is cached. It almost never changes."""


@dataclass(frozen=True, slots=True)
class Today:
    """A day of the tenant's calendar."""

    date: date
    zone: ZoneInfo

    @property
    def end(self) -> datetime:
        """The tenant's next midnight."""
        return datetime.combine(self.date + timedelta(days=1), time.min, self.zone)

    def state(self, account: Account) -> BudgetState:
        """Return the account as the engine's BudgetState."""
        return BudgetState(account.used, account.reserved, account.cap, self.end, account.owner)


class BudgetDays:
    """Finds the accounts that a turn counts against. Tenants without their own time zone use the operator's."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._zones: RecentEntries[str, tuple[ZoneInfo, float]] = RecentEntries()

    @property
    def count_free(self) -> bool:
        """Whether models that cost nothing count against budgets."""
        return self._settings.count_free

    async def today(self, tenant_id: str) -> Today:
        """Return the tenant's current day."""
        zone, read = self._zones.get(tenant_id, (None, 0.0))
        if zone is None or clocks.monotonic() - read > ZONE_SECONDS:
            (rows,) = await self._database.flush(tenant_id, tenants.zone_read(tenant_id))
            zone = ZoneInfo((rows[0].timezone if rows else None) or self._settings.timezone)
            self._zones[tenant_id] = zone, clocks.monotonic()
        return Today(self._clock().astimezone(zone).date(), zone)

    async def owners_of(self, turn: Turn) -> tuple[Today, Owners]:
        """Return today and the accounts of the turn's asker, channel and tenant."""
        thread, author = turn.thread, turn.author
        today = await self.today(thread.tenant_id)
        return today, self.owners(thread.tenant_id, author.id, author.role, thread.channel_id, today.date)

    def owners(self, tenant_id: str, user_id: str, role: Role, channel_id: str, day: date) -> Owners:
        """Return the accounts of a person, a channel and the tenant on one day."""
        settings = self._settings
        defaults = Defaults(settings.daily_tokens, settings.channel_daily_tokens, settings.tenant_daily_tokens)
        return Owners(tenant_id, user_id, role, channel_id, day, defaults)

    async def over_budget(self, today: Today, owners: Owners, more: int) -> OverBudget:
        """Return the error for the first account that lacks ``more`` tokens, else for the one with the fewest left."""
        ((row,),) = await self._database.flush(owners.tenant_id, budget_reservations.read(owners))
        accounts = budget_reservations.accounts(row)
        full = [one for one in accounts if one.used + one.reserved + more > one.cap]
        state = today.state(full[0] if full else min(accounts, key=lambda one: one.cap - one.used - one.reserved))
        return OverBudget(
            "Too few tokens are left in today's token budget.",
            used=state.used,
            limit=state.limit,
            resets_at=state.resets_at,
            whose=state.whose,
        )

    async def settling(
        self, turn: Turn, calls: Sequence[Call], reservation: Reservation | None
    ) -> tuple[Statement, ...]:
        """Return the statements that settle calls: count their tokens, release the reservation, record the calls."""
        _, owners = await self.owners_of(turn)
        owners = replace(owners, day=reservation.day) if reservation else owners
        ids, rows = ledger.settled(turn.thread, user_id=turn.author.id, turn_id=turn.id, day=owners.day, calls=calls)
        counted = [call.counts(count_free=self.count_free) for call in calls]
        total = sum(call.usage.total_tokens for call, counts in zip(calls, counted, strict=True) if counts)
        ids = [call_id for call_id, counts in zip(ids, counted, strict=True) if counts]
        return budget_reservations.settle(owners, reservation.id if reservation else None, ids, total), *rows
