"""Cost reports on ledger rows in the real database: counts of answers, sums, savings, and the chart's days."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import insert

from bot.llm.prices import Cost, Prices
from bot.reports import charts
from bot.reports.charts import cost_of_each_day
from bot.reports.costs import DIMENSIONS, CostReport, CostRow, Dimension, Savings, report, total_of
from bot.store.answer_cache.similar_answer_statements import Tally
from bot.store.database.session import Database
from bot.store.schema import ledger
from bot.types.usage import Usage

TENANT = "slack:T1"
NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)
CHEAP, STRONG = "claude-haiku-5-5", "claude-opus-5"
ANSWERED, ASKED_TWICE, FAILED = (uuid.UUID(int=n) for n in (1, 2, 3))


class CountingPrices(Prices):
    """The real price table; remembers which models it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def cost(self, provider: str, model: str, usage: Usage, **more: Any) -> Cost:
        self.asked.append(model)
        return super().cost(provider, model, usage, **more)


def call(turn: uuid.UUID | None, minutes: int = 0, **changed: Any) -> dict[str, Any]:
    """Return a ledger row; ``minutes`` orders the calls of a turn."""
    at = NOW - timedelta(days=1) + timedelta(minutes=minutes)
    usage = {"input_tokens": 1000, "cached_tokens": 500, "cache_write_tokens": 20, "completion_tokens": 100}
    return {
        "tenant_id": TENANT,
        "call_id": uuid.uuid4(),
        "turn_id": turn,
        "platform": "slack",
        "channel_id": "C1",
        "user_id": "U1",
        "purpose": "answer",
        "provider": "anthropic",
        "model": CHEAP,
        "tier": "cheap",
        "cache_write_long_tokens": 0,
        "reasoning_tokens": 0,
        **usage,
        "cost_usd": Decimal("0.002"),
        "price_version": "test",
        "status": "ok",
        "estimated": False,
        "latency_ms": 1.0,
        "error": "",
        "budget_day": at.date(),
        "created_at": at,
        **changed,
    }


async def reported(
    database: Database, calls: Sequence[dict[str, Any]], by: Dimension, prices: Prices | None = None
) -> CostReport:
    """Store the calls, and return their report for 30 days."""
    async with database.tenant(TENANT) as session:
        if calls:
            await session.execute(insert(ledger), calls)
        return await report(
            session,
            tenant_id=TENANT,
            start=NOW - timedelta(days=30),
            now=NOW,
            by=by,
            prices=prices or Prices(),
            strong_model=STRONG,
        )


THREE_TURNS = (
    call(ANSWERED),
    call(ANSWERED, 1, purpose="rewrite"),
    call(ASKED_TWICE, status="error"),
    call(ASKED_TWICE, 1, model=STRONG, tier="strong", user_id="U2", channel_id="C2"),
    call(FAILED, status="error"),
    call(FAILED, 1, model=STRONG, tier="strong", status="error"),
    call(None, purpose="embedding"),
)


@pytest.mark.parametrize("by", DIMENSIONS)
async def test_each_answer_counts_once_and_a_failed_turn_is_no_answer(database: Database, by: Dimension) -> None:
    costs = await reported(database, THREE_TURNS, by)
    assert costs.total.answers == 2
    assert sum(row.answers for row in costs.rows) == 2
    for name in ("calls", "prompt_tokens", "cached_tokens", "cache_write_tokens", "completion_tokens", "cost_usd"):
        assert sum(getattr(row, name) for row in costs.rows) == getattr(costs.total, name)
    assert costs.total.calls == len(THREE_TURNS)


async def test_an_answer_belongs_to_the_model_that_wrote_it(database: Database) -> None:
    costs = await reported(database, THREE_TURNS, "model")
    assert {row.key: row.answers for row in costs.rows} == {CHEAP: 1, STRONG: 1}


async def test_savings_are_priced_per_group_and_equal_those_of_every_call(database: Database) -> None:
    prices = CountingPrices()
    sizes = (1000, 199_999, 200_000, 200_001, 271_000, 272_000, 272_001, 400_000)
    calls = [
        call(uuid.uuid4(), n, provider=provider, model=model, input_tokens=size - 500 - extra, cached_tokens=extra)
        | {"cache_write_tokens": 480, "cache_write_long_tokens": 20}
        for n in range(12)
        for size in sizes
        for extra in (0, n * 7)
        for provider, model in (("anthropic", CHEAP), ("openai", "gpt-6-luna"), ("own", "unknown-model"))
    ]
    calls[0]["cost_usd"] = None
    costs = await reported(database, calls, "user", prices)
    assert len(prices.asked) <= 60
    assert costs.savings.prompt_cache == pytest.approx(_prompt_cache(calls), rel=Decimal("1e-9"))
    assert costs.savings.routing == pytest.approx(_routing(calls), rel=Decimal("1e-9"))
    assert costs.unknown_prices == [(CHEAP, 1)]
    assert costs.total.unknown_calls == 1


def usage_of(row: dict[str, Any]) -> Usage:
    names = ("input", "cached", "cache_write", "cache_write_long", "completion", "reasoning")
    return Usage(*(row[f"{name}_tokens"] for name in names))


def _prompt_cache(calls: Sequence[dict[str, Any]]) -> Decimal:
    """Return what caching saved, one call at a time."""
    saved = Decimal(0)
    for row in calls:
        usage = usage_of(row)
        listed = Prices().cost(
            row["provider"], row["model"], Usage(usage.prompt_tokens, 0, 0, 0, usage.completion_tokens)
        )
        if listed.usd is not None and row["cost_usd"] is not None:
            saved += listed.usd - row["cost_usd"]
    return saved


def _routing(calls: Sequence[dict[str, Any]]) -> Decimal:
    """Return what routing saved, one call at a time."""
    priced = [row for row in calls if row["cost_usd"] is not None]
    strong = [Prices().cost("anthropic", STRONG, usage_of(row)).usd or Decimal(0) for row in priced]
    return sum(strong, Decimal(0)) - sum((row["cost_usd"] for row in priced), Decimal(0))


async def test_users_are_named_and_other_tenants_are_left_out(database: Database) -> None:
    async with database.tenant("slack:T2") as session:
        await session.execute(insert(ledger), [call(uuid.uuid4(), tenant_id="slack:T2")])
    costs = await reported(database, [call(ANSWERED)], "user")
    assert (costs.total.calls, [row.key for row in costs.rows]) == (1, ["U1"])


async def test_a_report_without_calls_is_empty(database: Database) -> None:
    costs = await reported(database, [], "day")
    assert not costs.rows
    assert (costs.total.calls, costs.total.cost_usd) == (0, Decimal(0))
    assert set(cost_of_each_day(costs).values()) == {0.0}


async def test_the_chart_has_the_days_without_calls(database: Database) -> None:
    calls = [call(uuid.uuid4(), minutes) for minutes in (0, -3 * 24 * 60, -5 * 24 * 60)]
    days = cost_of_each_day(await reported(database, calls, "day"))
    assert (min(days), max(days), len(days)) == (date(2026, 10, 17), date(2026, 11, 16), 31)
    assert {day.day for day, cost in days.items() if cost} == {10, 12, 15}


def test_the_chart_of_many_years_begins_at_the_first_call() -> None:
    rows = [CostRow("2022-03-01", cost_usd=Decimal(1)), CostRow("2026-11-15", cost_usd=Decimal(2))]
    nothing = (Savings(Decimal(0), Decimal(0), Decimal(0)), (), Tally(0, 0, 0, 0, 0))
    long_period = CostReport(rows, total_of(rows), *nothing, (date(1926, 1, 1), NOW.date()))
    days = cost_of_each_day(long_period)
    assert (min(days), max(days)) == (date(2022, 3, 1), NOW.date())
    assert len(cost_of_each_day(replace(long_period, rows=[]))) == 367


@pytest.mark.parametrize("background", ["#ffffff", "#1a1d21", "#313338"], ids=["light", "Slack dark", "Discord dark"])
def test_the_chart_is_readable_on_light_and_dark_pages(background: str) -> None:
    rows = [CostRow("2026-11-15", cost_usd=Decimal(2))]
    nothing = (Savings(Decimal(0), Decimal(0), Decimal(0)), (), Tally(0, 0, 0, 0, 0))
    report = CostReport(rows, total_of(rows), *nothing, (date(2026, 11, 1), NOW.date()))
    picture = Image.open(BytesIO(charts.costs_by_day(report)))
    corner = picture.getpixel((0, 0))
    assert isinstance(corner, tuple)
    assert corner[3] == 0, "the background is transparent"
    for color in (charts.BAR, charts.INK):
        lighter, darker = sorted((luminance(color), luminance(background)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 3


def test_a_chart_without_costs_begins_at_zero() -> None:
    rows = [CostRow("2026-11-15", calls=1)]
    nothing = (Savings(Decimal(0), Decimal(0), Decimal(0)), (), Tally(0, 0, 0, 0, 0))
    figure = charts.draw(CostReport(rows, total_of(rows), *nothing, (date(2026, 11, 1), NOW.date())))
    assert figure.axes[0].get_ylim() == (0, 1)


def luminance(color: str) -> float:
    """Return the relative luminance of a color, as WCAG 2 defines it."""
    shares = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in shares]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
