"""Cost reports by user, channel, model, purpose or day, with the savings of caches and routing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, get_args

from sqlalchemy import cast, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from bot.llm.prices import Prices
from bot.store import ledger as ledger_store
from bot.store.answer_cache import similar
from bot.store.schema import ledger, turns
from bot.types.usage import Usage

Dimension = Literal["user", "channel", "model", "purpose", "day"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)


@dataclass(slots=True)
class CostRow:
    """Totals of one group. ``cost_usd`` excludes the ``unknown_calls``, whose price is unknown."""

    key: str
    name: str = ""
    answers: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    unknown_calls: int = 0
    estimated_calls: int = 0
    turns: set[str] = field(default_factory=set, repr=False)

    def add(self, row: Any) -> None:
        """Add one ledger row."""
        usage = usage_of(row)
        self.calls += 1
        self.prompt_tokens += usage.prompt_tokens
        self.cached_tokens += usage.cached_tokens
        self.cache_write_tokens += usage.cache_write_tokens + usage.cache_write_long_tokens
        self.completion_tokens += usage.completion_tokens
        self.cost_usd += row.cost_usd or 0
        self.unknown_calls += row.cost_usd is None
        self.estimated_calls += row.estimated
        if row.purpose == "answer" and row.turn_id:
            self.turns.add(str(row.turn_id))
            self.answers = len(self.turns)

    def as_json(self) -> dict[str, Any]:
        """Return the row as the command line prints it."""
        return {
            "key": self.key,
            "name": self.name,
            "answers": self.answers,
            "calls": self.calls,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "cache_write_tokens": self.cache_write_tokens,
            "completion_tokens": self.completion_tokens,
            "cost_usd": float(self.cost_usd),
            "unknown_calls": self.unknown_calls,
            "estimated_calls": self.estimated_calls,
        }


@dataclass(frozen=True, slots=True)
class Savings:
    """US dollars saved, each counted once: by cached prompts, by the cheap model, by cached answers."""

    prompt_cache: Decimal
    routing: Decimal
    answer_cache: Decimal


@dataclass(frozen=True, slots=True)
class CostReport:
    """Rows, most expensive first (days in order), their total, savings, and the models whose price is unknown."""

    rows: Sequence[CostRow]
    total: CostRow
    savings: Savings
    unknown_prices: Sequence[tuple[str, int]]
    reuse: similar.Tally
    """The number of reworded questions that got a cached answer, and how many of these answers were judged wrong."""

    def as_json(self) -> dict[str, Any]:
        """Return the report as the JSON document of the command line."""
        return {
            "rows": [row.as_json() for row in self.rows],
            "total": self.total.as_json(),
            "savings": {
                "prompt_cache": float(self.savings.prompt_cache),
                "routing": float(self.savings.routing),
                "answer_cache": float(self.savings.answer_cache),
            },
            "unknown_prices": [{"model": model, "calls": calls} for model, calls in self.unknown_prices],
        }


async def report(
    session: AsyncSession, *, tenant_id: str, start: datetime, by: Dimension, prices: Prices, strong_model: str
) -> CostReport:
    """Return the costs of a tenant since ``start``."""
    calls = await ledger_store.since(session, tenant_id=tenant_id, start=start)
    names = await _names(session, tenant_id) if by == "user" else {}
    rows: dict[str, CostRow] = {}
    total, unknown = CostRow("total"), dict[str, int]()
    for call in calls:
        key = _KEY[by](call)
        rows.setdefault(key, CostRow(key, names.get(key, ""))).add(call)
        total.add(call)
        if call.cost_usd is None:
            unknown[call.model] = unknown.get(call.model, 0) + 1
    ordered = sorted(rows.values(), key=lambda r: r.key if by == "day" else (-r.cost_usd, -r.prompt_tokens, r.key))
    savings = Savings(
        _saved_by_prompt_cache(calls, prices),
        _saved_by_routing(calls, prices, strong_model),
        await _saved_by_answer_cache(session, tenant_id, start),
    )
    reuse = await similar.tally(session, tenant_id=tenant_id, since=start)
    return CostReport(ordered, total, savings, sorted(unknown.items()), reuse)


_KEY: dict[Dimension, Callable[[Any], str]] = {
    "user": lambda row: str(row.user_id),
    "channel": lambda row: str(row.channel_id),
    "model": lambda row: str(row.model),
    "purpose": lambda row: str(row.purpose),
    "day": lambda row: str(row.budget_day),
}


def money(amount: Decimal) -> str:
    """Return an amount in US dollars: with two decimals from one dollar on, otherwise with four."""
    shown = f"{abs(amount):.2f}" if abs(amount) >= 1 else f"{abs(amount):.4f}"
    return f"-${shown}" if amount < 0 and float(shown) else f"${shown}"


def usage_of(row: Any) -> Usage:
    """Return the tokens of a ledger row."""
    return Usage(
        row.input_tokens,
        row.cached_tokens,
        row.cache_write_tokens,
        row.cache_write_long_tokens,
        row.completion_tokens,
        row.reasoning_tokens,
    )


def _saved_by_prompt_cache(calls: Iterable[Any], prices: Prices) -> Decimal:
    """Return the cost of the calls without a prompt cache, minus their real cost. An unused cache write is a loss."""
    saved = Decimal(0)
    for row in calls:
        usage = usage_of(row)
        uncached = Usage(usage.prompt_tokens, 0, 0, 0, usage.completion_tokens)
        if usage.prompt_tokens != usage.input_tokens and row.cost_usd is not None:
            saved += (prices.cost(row.provider, row.model, uncached).usd or row.cost_usd) - row.cost_usd
    return saved


def _saved_by_routing(calls: Iterable[Any], prices: Prices, strong_model: str) -> Decimal:
    """Return the cost of the cheap answers at the strong model's price, token for token, minus their real cost."""
    saved = Decimal(0)
    for row in calls:
        if row.tier == "cheap" and row.purpose == "answer" and row.cost_usd is not None and row.model != strong_model:
            strong = prices.cost(_provider(strong_model, row.provider), strong_model, usage_of(row)).usd
            saved += (strong if strong is not None else row.cost_usd) - row.cost_usd
    return saved


def _provider(model: str, other: str) -> str:
    return "anthropic" if model.startswith("claude") else "openai" if other != "extractive" else other


async def _saved_by_answer_cache(session: AsyncSession, tenant_id: str, start: datetime) -> Decimal:
    """Return what the cached answers cost the first time, once for each time they were reused."""
    origin = turns.c.trace["cached_from"].astext
    again = (
        select(origin.label("turn_id"), func.count().label("times"))
        .where(turns.c.tenant_id == tenant_id, turns.c.created_at >= start, turns.c.cached)
        .group_by(origin)
        .subquery()
    )
    saved = await session.scalar(
        select(func.sum(ledger.c.cost_usd * again.c.times))
        .join(again, ledger.c.turn_id == cast(again.c.turn_id, ledger.c.turn_id.type))
        .where(ledger.c.tenant_id == tenant_id)
    )
    return Decimal(saved or 0)


async def _names(session: AsyncSession, tenant_id: str) -> dict[str, str]:
    rows = await session.execute(
        select(turns.c.user_id, turns.c.user_name)
        .where(turns.c.tenant_id == tenant_id)
        .ext(distinct_on(turns.c.user_id))
        .order_by(turns.c.user_id, turns.c.seq.desc())
    )
    return {row.user_id: row.user_name for row in rows}
