"""Finds unusual days and budgets that are nearly used up.

A day is unusual if it costs more than the usual range of the 28 days before it. The range is robust: one expensive day
does not widen it. Its upper end is the median of the days with costs, plus the largest of four robust standard
deviations (1.4826 times the median absolute deviation), half of the median, and one dollar. It needs seven such days.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from statistics import median

from sqlalchemy.ext.asyncio import AsyncSession

from bot.llm.prices import Prices
from bot.reports import costs
from bot.store.budgets.cost_alerts import CostAlert
from bot.types.usage import BudgetState

USUAL_DAYS = 28
MIN_DAYS = 7
DEVIATIONS = Decimal(4)
SIGMA_OF_MAD = Decimal("1.4826")
"""The standard deviation of normally distributed values, in median absolute deviations."""
LEAST_SHARE = Decimal("0.5")
LEAST_USD = Decimal(1)
LEVELS = (50, 80, 100)
"""Percent of the budget of the whole team that are told."""


def usual_most(earlier: Sequence[Decimal]) -> Decimal | None:
    """Return the upper end of the usual range of a day's costs; None if too few of the earlier days have costs."""
    paid = [one for one in earlier if one > 0]
    if len(paid) < MIN_DAYS:
        return None
    middle = median(paid)
    deviation = median(abs(one - middle) for one in paid)
    return middle + max(DEVIATIONS * SIGMA_OF_MAD * deviation, LEAST_SHARE * middle, LEAST_USD)


async def unusual_day(
    session: AsyncSession, *, tenant_id: str, day: date, now: datetime, prices: Prices
) -> CostAlert | None:
    """Return an alert if the costs of ``day`` (in the tenant's time zone) are above their usual range."""
    start = now - timedelta(days=USUAL_DAYS + 2)
    rows = await costs.sums(session, tenant_id=tenant_id, start=start, by="day", prices=prices)
    costs_of = {row.key: row.cost_usd for row in rows}
    earlier = [costs_of.get(str(day - timedelta(days=n)), Decimal(0)) for n in range(1, USUAL_DAYS + 1)]
    spent, most = costs_of.get(str(day), Decimal(0)), usual_most(earlier)
    return CostAlert(day, "unusual day", 0, spent, most) if most is not None and spent > most else None


def budget_levels(state: BudgetState, day: date) -> list[CostAlert]:
    """Return an alert for each level that the budget of the whole team has reached. Reserved tokens count."""
    taken = state.used + state.reserved
    if state.unlimited or not taken:
        return []
    reached = [level for level in LEVELS if 100 * taken >= level * state.limit]
    return [CostAlert(day, "budget", level, Decimal(taken), Decimal(state.limit)) for level in reached]
