"""Stores how often something was refused, by tenant, day and kind, so that an operator can see it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from functools import partial

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import StoreAway
from bot.store.database.pipelined_transactions import Statement
from bot.store.database.session import NO_TENANT, Database
from knowledge import refusal_counts
from knowledge.refusal_counts import WHOLE_SERVER

SHOWN_DAYS = 7
RETENTION = timedelta(days=400)

DELETE_OLD = "DELETE FROM refusals WHERE tenant_id = %(tenant)s AND day < %(before)s"

_ADD = text("""
    INSERT INTO refusals (tenant_id, day, kind, count)
    SELECT :tenant, :day, kind, number
    FROM unnest(CAST(:kinds AS text[]), CAST(:numbers AS bigint[])) AS new (kind, number)
    ORDER BY kind
    ON CONFLICT (tenant_id, day, kind) DO UPDATE SET count = refusals.count + excluded.count
""")


async def store(database: Database, day: date) -> None:
    """Store the refusals that this process has counted. If the database is away, they are stored the next time."""
    by_tenant: dict[str, dict[refusal_counts.RefusalKind, int]] = defaultdict(dict)
    for (tenant_id, kind), number in refusal_counts.take().items():
        by_tenant[tenant_id][kind] = number
    for tenant_id, counts in by_tenant.items():
        values = {"tenant": tenant_id, "day": day, "kinds": list(counts), "numbers": list(counts.values())}
        try:
            await database.run(_session_tenant(tenant_id), partial(_add, values=values))
        except StoreAway:
            refusal_counts.add({(tenant_id, kind): number for kind, number in counts.items()})


async def _add(session: AsyncSession, values: Mapping[str, object]) -> None:
    await session.execute(_ADD, values)


async def since(database: Database, tenant_id: str, day: date) -> Counter[str]:
    """Return the stored refusals of the tenant from the day on; ``*`` for those of the whole server."""
    async with database.tenant(_session_tenant(tenant_id)) as session:
        rows = await session.execute(
            text("SELECT kind, sum(count) FROM refusals WHERE tenant_id = :tenant AND day >= :day GROUP BY kind"),
            {"tenant": tenant_id, "day": day},
        )
        return Counter({kind: int(number) for kind, number in rows})


async def delete_old(database: Database, tenant_id: str, today: date) -> None:
    """Delete the counts of days that are long past."""
    values = {"tenant": tenant_id, "before": today - RETENTION}
    await database.flush(_session_tenant(tenant_id), Statement(DELETE_OLD, values))


def described(counts: Mapping[str, int]) -> str:
    """Return the counts as a line: ``3 address, 1 quota``."""
    return ", ".join(f"{counts[kind]:,} {kind}" for kind in refusal_counts.KINDS if counts.get(kind)) or "none"


def _session_tenant(tenant_id: str) -> str:
    return NO_TENANT if tenant_id == WHOLE_SERVER else tenant_id
