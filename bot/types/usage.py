"""Defines model usage and money: tokens, provider calls, routes, reservations and budgets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

Tier = Literal["cheap", "strong"]


Purpose = Literal["answer", "rewrite", "plan", "summary", "route", "judge", "embedding"]


CallStatus = Literal["open", "ok", "cancelled", "error"]


BudgetOwner = Literal["user", "channel", "tenant"]


NO_MODEL = "extractive"
"""The provider and model of answers that quote the documents without a model."""
UNLIMITED = 10**15
"""A daily limit of this many tokens means no limit."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call in disjoint counts: the prompt is ``input + cached + cache_write + cache_write_long``."""

    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_long_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """All tokens sent, cached or not."""
        return self.input_tokens + self.cached_tokens + self.cache_write_tokens + self.cache_write_long_tokens

    @property
    def total_tokens(self) -> int:
        """The tokens that count against a budget."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.cache_write_long_tokens + other.cache_write_long_tokens,
            self.completion_tokens + other.completion_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class Call:
    """One provider call as the ledger stores it. ``cost_usd`` is None if the price is unknown.

    ``id`` (32 hexadecimal digits) identifies the row. Before the call is sent, the row is ``open`` and holds an
    estimate. ``attempt`` counts the calls of one request, from 1. ``chunk_gaps_ms`` are the pauses between two pieces
    of the answer. Neither is stored.
    """

    purpose: Purpose
    provider: str
    model: str
    tier: Tier | None
    usage: Usage
    cost_usd: Decimal | None
    price_version: str
    status: CallStatus
    latency_ms: float
    ttft_ms: float | None = None
    estimated: bool = False
    error: str = ""
    id: str = ""
    attempt: int = 1
    chunk_gaps_ms: tuple[float, ...] = ()

    def counts(self, *, count_free: bool) -> bool:
        """Return whether the call's tokens count against budgets.

        A call that is known to cost nothing counts only with ``count_free``, and a quotation without a model never.
        """
        return self.cost_usd != 0 or (count_free and self.provider != NO_MODEL)


@dataclass(frozen=True, slots=True)
class Route:
    """Which model answers, and the reason that ``why`` shows."""

    tier: Tier
    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens reserved for a turn on one day, for its asker, its channel and its tenant at once."""

    id: str
    tokens: int
    day: date


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One day of a budget: ``used`` and ``reserved`` of ``limit`` tokens. ``resets_at``: the tenant's next midnight."""

    used: int
    reserved: int
    limit: int
    resets_at: datetime
    whose: BudgetOwner = "user"

    @property
    def left(self) -> int:
        """Tokens that can still be reserved."""
        return max(0, self.limit - self.used - self.reserved)

    @property
    def unlimited(self) -> bool:
        """Whether there is no limit."""
        return self.limit >= UNLIMITED


NO_USAGE = Usage()
