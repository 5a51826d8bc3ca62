"""Port to token budgets and the ledger: limits, reservations and provider calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.types.conversation import Author
from bot.types.turns import Turn
from bot.types.usage import BudgetState, Call, Reservation


class Budgets(Protocol):
    """Reserves tokens of the day and records every provider call. Every method may raise StoreAway."""

    async def budget(self, tenant_id: str, user_id: str) -> BudgetState:
        """Return a person's own budget for today."""

    async def budgets(self, tenant_id: str, channel_id: str, author: Author) -> tuple[BudgetState, ...]:
        """Return today's budgets that apply to the author in the channel: their own, the channel's and the tenant's."""

    async def reserve(self, turn: Turn, tokens: int) -> Reservation:
        """Reserve tokens for the asker, the channel and the tenant together.

        If one lacks tokens, reserve none and raise OverBudget.
        """

    async def change_reservation(self, turn: Turn, reservation: Reservation, tokens: int) -> Reservation:
        """Resize a reservation to ``tokens``. If that exceeds a limit, leave it unchanged and raise OverBudget."""

    async def open_call(
        self, turn: Turn, call: Call, reservation: Reservation | None, *, tokens: int | None = None
    ) -> None:
        """Record a call before it is sent and resize the reservation to ``tokens``. Raise OverBudget."""

    async def bill(self, turn: Turn, calls: Sequence[Call], reservation: Reservation | None) -> None:
        """Settle calls that no stored answer accounts for: those of a summary, or of a turn that was lost."""
