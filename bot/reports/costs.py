"""Cost reports by user, channel, model, purpose or day, with the savings of caches and routing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import cast, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.llm.prices import Prices
from bot.reports import unprompted_answers
from bot.reports.unprompted_answers import NO_UNPROMPTED_ANSWERS, UnpromptedAnswers
from bot.store.answer_cache import similar_answer_statements
from bot.store.budgets import ledger_sums
from bot.store.budgets.ledger_sums import DIMENSIONS as DIMENSIONS
from bot.store.budgets.ledger_sums import Dimension as Dimension
from bot.store.schema import ledger, turns
from bot.store.schema.conversations import COPIED
from bot.types.usage import Usage


@dataclass(slots=True)
class CostRow:
    """Totals of one group. ``cost_usd`` excludes the ``unknown_calls``, whose price is unknown.

    ``answers`` counts the questions that were answered, each once; failed attempts are in ``calls`` alone.
    """

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


def total_of(rows: Iterable[CostRow]) -> CostRow:
    """Return the sum of the rows."""
    total = CostRow("total")
    for row in rows:
        for name in _COUNTED:
            setattr(total, name, getattr(total, name) + getattr(row, name))
    return total


_COUNTED = tuple(field.name for field in fields(CostRow) if field.name not in ("key", "name"))


@dataclass(frozen=True, slots=True)
class Savings:
    """US dollars saved, each counted once: by cached prompts, by the cheap model, by cached answers."""

    prompt_cache: Decimal
    routing: Decimal
    answer_cache: Decimal


@dataclass(frozen=True, slots=True)
class CostReport:
    """Rows, most expensive first (days in order), their total, savings, and the models whose price is unknown.

    ``unknown_prices`` has each such model with its number of calls. ``days`` are the first and the last day of the
    period, in UTC.
    """

    rows: Sequence[CostRow]
    total: CostRow
    savings: Savings
    unknown_prices: Sequence[tuple[str, int]]
    reuse: similar_answer_statements.Tally
    """The number of reworded questions that got a cached answer, and how many of these answers were judged wrong."""
    days: tuple[date, date]
    unprompted: UnpromptedAnswers = NO_UNPROMPTED_ANSWERS

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
    session: AsyncSession,
    *,
    tenant_id: str,
    start: datetime,
    now: datetime,
    by: Dimension,
    prices: Prices,
    strong_model: str,
) -> CostReport:
    """Return the costs of a tenant from ``start`` to ``now``."""
    where: Any = {"tenant_id": tenant_id, "start": start}
    rows = await sums(session, **where, by=by, prices=prices)
    groups = await ledger_sums.by_price(session, **where, price_steps=prices.steps)
    saved = await _savings(session, **where, groups=groups, prices=prices, strong_model=strong_model)
    reuse = await similar_answer_statements.tally(session, tenant_id=tenant_id, since=start)
    unasked = await unprompted_answers.tally(session, tenant_id=tenant_id, since=start)
    days = (start.date(), now.date())
    return CostReport(rows, total_of(rows), saved, _unknown_prices(groups), reuse, days, unasked)


async def sums(
    session: AsyncSession, *, tenant_id: str, start: datetime, by: Dimension, prices: Prices
) -> list[CostRow]:
    """Return the rows of a report alone."""
    found = await ledger_sums.by_dimension(session, tenant_id=tenant_id, start=start, by=by, price_steps=prices.steps)
    names = await _names(session, tenant_id, [one.key for one in found]) if by == "user" else {}
    rows = [_row(one, names.get(one.key, "")) for one in found]
    rows.sort(key=lambda row: row.key if by == "day" else (-row.cost_usd, -row.prompt_tokens, row.key))
    return rows


async def savings(
    session: AsyncSession, *, tenant_id: str, start: datetime, prices: Prices, strong_model: str
) -> Savings:
    """Return the savings of a report alone."""
    where: Any = {"tenant_id": tenant_id, "start": start}
    groups = await ledger_sums.by_price(session, **where, price_steps=prices.steps)
    return await _savings(session, **where, groups=groups, prices=prices, strong_model=strong_model)


async def _savings(
    session: AsyncSession, *, tenant_id: str, start: datetime, groups: Sequence[Any], prices: Prices, strong_model: str
) -> Savings:
    return Savings(
        _saved_by_prompt_cache(groups, prices),
        _saved_by_routing(groups, prices, strong_model),
        await _saved_by_answer_cache(session, tenant_id, start),
    )


def _row(group: Any, name: str) -> CostRow:
    usage = usage_of(group)
    return CostRow(
        group.key,
        name,
        group.answers,
        group.calls,
        usage.prompt_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens + usage.cache_write_long_tokens,
        usage.completion_tokens,
        group.cost_usd,
        group.unknown_calls,
        group.estimated_calls,
    )


def money(amount: Decimal) -> str:
    """Return an amount in US dollars: with two decimals from one dollar on, otherwise with four."""
    shown = f"{abs(amount):.2f}" if abs(amount) >= 1 else f"{abs(amount):.4f}"
    return f"-${shown}" if amount < 0 and float(shown) else f"${shown}"


def with_unknown(amount: str, row: CostRow) -> str:
    """Return an amount, with the number of the calls that it leaves out because their price is unknown."""
    return f"{amount} + {row.unknown_calls:,} unknown" if row.unknown_calls else amount


def usage_of(row: Any) -> Usage:
    """Return the tokens of a ledger row, or of a sum of rows."""
    return Usage(
        row.input_tokens,
        row.cached_tokens,
        row.cache_write_tokens,
        row.cache_write_long_tokens,
        row.completion_tokens,
        row.reasoning_tokens,
    )


def _unknown_prices(groups: Iterable[Any]) -> list[tuple[str, int]]:
    """Return the models that have calls without a price, and how many, by name."""
    unknown: dict[str, int] = {}
    for group in groups:
        if not group.is_priced:
            unknown[group.model] = unknown.get(group.model, 0) + group.calls
    return sorted(unknown.items())


def _saved_by_prompt_cache(groups: Iterable[Any], prices: Prices) -> Decimal:
    """Return the cost of the calls without a prompt cache, minus their real cost. An unused cache write is a loss."""
    saved = Decimal(0)
    for group in groups:
        if group.used_cache and group.is_priced:
            usage = usage_of(group)
            uncached = Usage(usage.prompt_tokens, 0, 0, 0, usage.completion_tokens)
            price = prices.cost(group.provider, group.model, uncached, calls=group.calls).usd
            saved += (price or group.cost_usd) - group.cost_usd
    return saved


def _saved_by_routing(groups: Iterable[Any], prices: Prices, strong_model: str) -> Decimal:
    """Return the cost of the cheap answers at the strong model's price, token for token, minus their real cost."""
    saved = Decimal(0)
    for group in groups:
        if group.is_cheap_answer and group.is_priced and group.model != strong_model:
            provider = _provider(strong_model, group.provider)
            price = prices.cost(provider, strong_model, usage_of(group), calls=group.calls).usd
            saved += (price if price is not None else group.cost_usd) - group.cost_usd
    return saved


def _provider(model: str, other: str) -> str:
    return "anthropic" if model.startswith("claude") else "openai" if other != "extractive" else other


async def _saved_by_answer_cache(session: AsyncSession, tenant_id: str, start: datetime) -> Decimal:
    """Return what the cached answers cost the first time, once for each time they were reused."""
    origin = turns.c.trace["cached_from"].astext
    again = (
        select(origin.label("turn_id"), func.count().label("times"))
        .where(turns.c.tenant_id == tenant_id, turns.c.created_at >= start, turns.c.cached, turns.c.kind != COPIED)
        .group_by(origin)
        .subquery()
    )
    saved = await session.scalar(
        select(func.sum(ledger.c.cost_usd * again.c.times))
        .join(again, ledger.c.turn_id == cast(again.c.turn_id, ledger.c.turn_id.type))
        .where(ledger.c.tenant_id == tenant_id)
    )
    return Decimal(saved or 0)


# The latest name of each, by the index of a person's turns: reading all turns takes seconds.
_NAMES = text("""
    SELECT asked.user_id, latest.user_name
    FROM unnest(CAST(:ids AS text[])) AS asked (user_id), LATERAL (
        SELECT user_name FROM turns WHERE turns.tenant_id = :tenant AND turns.user_id = asked.user_id
        ORDER BY seq DESC LIMIT 1
    ) AS latest
""")


async def _names(session: AsyncSession, tenant_id: str, user_ids: Sequence[str]) -> dict[str, str]:
    rows = await session.execute(_NAMES, {"tenant": tenant_id, "ids": list(user_ids)})
    return {row.user_id: row.user_name for row in rows}
