"""Which days are unusually expensive, and which levels of the team's budget are reached."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert

from bot.llm.prices import Prices
from bot.reports.cost_alerts import MIN_DAYS, USUAL_DAYS, budget_levels, unusual_day, usual_most
from bot.store.database.session import Database
from bot.store.schema import ledger
from bot.types.usage import UNLIMITED, BudgetState
from tests.reports.test_costs import NOW, TENANT, call

TODAY = NOW.date()


def dollars(*amounts: float) -> list[Decimal]:
    return [Decimal(str(one)) for one in amounts]


@pytest.mark.parametrize(
    ("earlier", "most"),
    [
        ([10.0] * 28, 15),  # half of the median more
        ([0.1] * 28, 1.1),  # cents are no alert
        ([8.0, 12.0] * 14, 10 + 4 * 1.4826 * 2),
        ([10.0, 10.0, 0.0, 0.0] * 7, 15),  # days without a call do not count
        ([10.0] * 27 + [5000.0], 15),  # one expensive day does not widen the range
        ([10.0] * (MIN_DAYS - 1), None),
        ([], None),
        ([0.0] * 28, None),
    ],
)
def test_the_usual_range_is_robust(earlier: list[float], most: float | None) -> None:
    found = usual_most(dollars(*earlier))
    assert found == (None if most is None else pytest.approx(Decimal(str(most))))


async def alert_of(database: Database, costs_of_days: dict[date, float]) -> Any:
    """Return the alert of today, with one call on each day that costs so much."""
    calls = [
        call(
            None, budget_day=day, cost_usd=Decimal(str(cost)), created_at=datetime(*day.timetuple()[:3], 9, tzinfo=UTC)
        )
        for day, cost in costs_of_days.items()
    ]
    async with database.tenant(TENANT) as session:
        if calls:
            await session.execute(insert(ledger), calls)
        return await unusual_day(session, tenant_id=TENANT, day=TODAY, now=NOW, prices=Prices())


async def test_a_day_beyond_the_range_of_the_days_before_it_is_unusual(database: Database) -> None:
    usual = {TODAY - timedelta(days=n): 2.0 for n in range(1, USUAL_DAYS + 1)}
    # A day before them, and one in the future, as by a clock that jumped, are no part of the range.
    found = await alert_of(
        database, usual | {TODAY - timedelta(days=40): 900, TODAY + timedelta(days=3): 900, TODAY: 3.5}
    )
    assert (found.day, found.kind, found.amount, found.usual) == (TODAY, "unusual day", Decimal("3.5"), Decimal(3))


@pytest.mark.parametrize("costs", [{}, {TODAY: 500.0}], ids=["no data", "one day"])
async def test_without_earlier_days_nothing_is_unusual(database: Database, costs: dict[date, float]) -> None:
    assert await alert_of(database, costs) is None


@pytest.mark.parametrize(
    ("used", "reserved", "levels"),
    [
        (0, 0, []),
        (499, 0, []),
        (500, 0, [50]),
        (500, 300, [50, 80]),
        (1000, 0, [50, 80, 100]),
        (2000, 0, [50, 80, 100]),
    ],
)
def test_levels_of_the_budget(used: int, reserved: int, levels: list[int]) -> None:
    state = BudgetState(used, reserved, 1000, NOW, "tenant")
    assert [one.level for one in budget_levels(state, TODAY)] == levels
    unlimited = BudgetState(used, reserved, UNLIMITED, NOW, "tenant")
    assert budget_levels(unlimited, TODAY) == []
