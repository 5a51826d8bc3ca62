"""Records the provider calls and reserved tokens of one answer. The record survives a failed answer."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from bot.engine.ports.budgets import Budgets
from bot.engine.ports.telemetry import NoTelemetry, Telemetry
from bot.types.turns import Turn
from bot.types.usage import BudgetState, Call, Reservation, Usage


@dataclass(slots=True)
class Accounting:
    """Records the turn's provider calls before they are sent and after they end; implements ``RecordingMeter``.

    ``limits`` are the budgets that apply to the turn, without the turn's own reservation. ``prompt_tokens``,
    ``answer_tokens`` and ``spent_before`` (the tokens of the calls that have ended by then) are set when the answer's
    prompt is measured.
    """

    turn: Turn
    budgets: Budgets
    telemetry: Telemetry = field(default_factory=NoTelemetry)
    calls: list[Call] = field(default_factory=list)
    reservation: Reservation | None = None
    limits: tuple[BudgetState, ...] = ()
    prompt_tokens: int = 0
    spent_before: int = 0
    answer_tokens: int = 0

    def __call__(self, call: Call) -> None:
        """Record a call that has ended, successfully or not."""
        self.calls.append(call if call.id else replace(call, id=uuid.uuid4().hex))
        self.telemetry.call_ended(self.turn, call)

    async def opens(self, call: Call) -> None:
        """Store a call that is about to be sent. If this raises OverBudget or StoreAway, the call must not be sent."""
        held, tokens = self.reservation, self.tokens_needed(call)
        await self.budgets.open_call(self.turn, call, held, tokens=tokens)
        if held is not None and tokens is not None:
            self.reservation = replace(held, tokens=tokens)

    def tokens_needed(self, call: Call) -> int | None:
        """Return the number of tokens to reserve while the call runs, or None if nothing is reserved.

        The first call for an answer sets the reservation to what its measured prompt and the answer need. Every other
        call leaves the reservation unchanged, unless the call needs more than is reserved.
        """
        if self.reservation is None:
            return None
        spent = self.spent
        if call.purpose != "answer" or not self.answer_tokens:
            return max(self.reservation.tokens, spent + call.usage.total_tokens if spent else 0)
        retry = spent + call.usage.total_tokens + self.answer_tokens if spent else 0
        return max(self.prompt_tokens + self.spent_before + self.answer_tokens, retry)

    @property
    def spent(self) -> int:
        """Tokens of all calls that have ended."""
        return sum(call.usage.total_tokens for call in self.calls)

    @property
    def usage(self) -> Usage:
        """Usage of all calls that have ended."""
        return sum((call.usage for call in self.calls), Usage())


def cost_of(calls: Sequence[Call]) -> Decimal | None:
    """Return the cost of all calls in dollars, or None if the price of one is unknown."""
    costs = [call.cost_usd for call in calls]
    return None if None in costs else sum((cost for cost in costs if cost is not None), Decimal(0))
