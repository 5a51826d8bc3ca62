"""Stores cost alerts, and on which platforms the admins were told about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.schema import cost_alerts

AlertKind = Literal["unusual day", "budget", "pass rate"]


@dataclass(frozen=True, slots=True)
class CostAlert:
    """An alert about one day of a tenant.

    ``unusual day``: the costs in ``amount`` are above ``usual``, both in US dollars; ``level`` is 0. ``budget``: at
    least ``level`` percent of the ``usual`` tokens of the whole team are used or reserved, namely ``amount``. ``pass
    rate``: the share of judged answers that pass fell from ``usual`` to ``amount`` within a week; ``level`` is 0.
    """

    day: date
    kind: AlertKind
    level: int
    amount: Decimal
    usual: Decimal


async def record(session: AsyncSession, *, tenant_id: str, alerts: Iterable[CostAlert]) -> None:
    """Store the alerts that are not stored yet. An alert of a day and level is stored once, with its first figures."""
    rows = [
        {
            "tenant_id": tenant_id,
            "day": one.day,
            "kind": one.kind,
            "level": one.level,
            "amount": one.amount,
            "usual": one.usual,
        }
        for one in alerts
    ]
    if rows:
        await session.execute(insert(cost_alerts).values(rows).on_conflict_do_nothing())


async def since(session: AsyncSession, *, tenant_id: str, day: date) -> Sequence[Any]:
    """Return the alerts from a day on, the newest first, each with ``created_at``."""
    return (await session.execute(_SINCE, {"tenant": tenant_id, "day": day})).all()


async def tenants_not_told(session: AsyncSession, *, tenants: Sequence[str], platform: str, day: date) -> list[str]:
    """Return those of the tenants that have alerts from a day on about which nobody was told on the platform.

    Runs in a transaction without a tenant.
    """
    values = {"tenants": list(tenants), "platform": platform, "day": day}
    return list(await session.scalars(_TENANTS_NOT_TOLD, values))


async def not_told(session: AsyncSession, *, tenant_id: str, platform: str, day: date) -> list[CostAlert]:
    """Return the alerts from a day on about which nobody was told on the platform, the highest level of each day."""
    rows = await session.execute(_NOT_TOLD, {"tenant": tenant_id, "platform": platform, "day": day})
    return [CostAlert(row.day, row.kind, row.level, row.amount, row.usual) for row in rows]


async def mark_told(session: AsyncSession, *, tenant_id: str, platform: str, alert: CostAlert) -> None:
    """Record that the admins on the platform were told about an alert, and so about the lower levels of its day."""
    values = {"tenant": tenant_id, "platform": platform, "day": alert.day, "kind": alert.kind, "level": alert.level}
    await session.execute(_MARK_TOLD, values)


async def delete_old(session: AsyncSession, *, tenant_id: str, before: date) -> None:
    """Delete the alerts of the days before one."""
    await session.execute(_DELETE_OLD, {"tenant": tenant_id, "before": before})


_SINCE = text("""
    SELECT day, kind, level, amount, usual, created_at FROM cost_alerts
    WHERE tenant_id = :tenant AND day >= :day ORDER BY created_at DESC, kind, level DESC
""")
_TENANTS_NOT_TOLD = text("""
    SELECT DISTINCT tenant_id FROM cost_alerts
    WHERE tenant_id = ANY(:tenants) AND day >= :day AND NOT CAST(:platform AS text) = ANY(told_on) ORDER BY tenant_id
""")
_NOT_TOLD = text("""
    SELECT DISTINCT ON (day, kind) day, kind, level, amount, usual FROM cost_alerts
    WHERE tenant_id = :tenant AND day >= :day AND NOT CAST(:platform AS text) = ANY(told_on)
    ORDER BY day, kind, level DESC
""")
_MARK_TOLD = text("""
    UPDATE cost_alerts SET told_on = array_append(told_on, CAST(:platform AS text))
    WHERE tenant_id = :tenant AND day = :day AND kind = :kind AND level <= :level
        AND NOT CAST(:platform AS text) = ANY(told_on)
""")
_DELETE_OLD = text("DELETE FROM cost_alerts WHERE tenant_id = :tenant AND day < :before")
