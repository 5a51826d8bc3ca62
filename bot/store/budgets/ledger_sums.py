"""Sums up the ledger in SQL, for reports: by user, channel, model, purpose or day, and by what decides the price.

The sums of finished days come from ``ledger_days``, all other calls from the ledger itself. The database returns one
row for each group, so a report costs this process the same for a hundred calls as for a million.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.budgets.ledger_days import (
    PRICE_GROUP,
    PRICE_GROUP_OF_ROWS,
    READ,
    SUMMED_DAYS,
    SUMS,
    SUMS_OF_ROWS,
    reading,
)
from bot.store.schema import ledger

Dimension = Literal["user", "channel", "model", "purpose", "day"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

COLUMN_OF = {
    "user": ledger.c.user_id,
    "channel": ledger.c.channel_id,
    "model": ledger.c.model,
    "purpose": ledger.c.purpose,
    "day": ledger.c.budget_day,
}
"""The column of each dimension."""

_NAMES = ", ".join(SUMS)
_GROUP = ", ".join(PRICE_GROUP)
_SUMS_OF_SUMS = ", ".join(f"sum({name})::{'numeric' if name == 'cost_usd' else 'bigint'} AS {name}" for name in SUMS)
_BY_DIMENSION = {
    by: text(f"""
        {READ}
        SELECT key, {_SUMS_OF_SUMS} FROM (
            SELECT CAST({column.name} AS text) AS key, {SUMS_OF_ROWS} FROM calls GROUP BY 1
            UNION ALL
            SELECT key, {_NAMES} FROM ledger_days WHERE {SUMMED_DAYS} AND dimension = '{by}'
        ) AS part
        GROUP BY key
    """)  # noqa: S608
    for by, column in COLUMN_OF.items()
}
_BY_PRICE = text(f"""
    {READ}
    SELECT {_GROUP}, {_SUMS_OF_SUMS} FROM (
        SELECT {PRICE_GROUP_OF_ROWS}, {SUMS_OF_ROWS} FROM calls GROUP BY {_GROUP}
        UNION ALL
        SELECT {_GROUP}, {_NAMES} FROM ledger_price_days WHERE {SUMMED_DAYS}
    ) AS part
    GROUP BY {_GROUP}
""")  # noqa: S608


async def by_dimension(
    session: AsyncSession, *, tenant_id: str, start: datetime, by: Dimension, price_steps: Sequence[int]
) -> Sequence[Any]:
    """Return the sums of every call from ``start`` on, a row for each user, channel, model, purpose or day.

    A row has the ``key``, the ``calls``, ``cost_usd`` of the priced calls, the counts of the ledger's token columns,
    ``unknown_calls`` whose price is unknown, ``estimated_calls``, and ``answers``, the number of questions that were
    answered. A question counts once, for the last call that answered it. A question whose calls all failed does not
    count. ``price_steps`` are those of ``by_price``.
    """
    return (await session.execute(_BY_DIMENSION[by], reading(tenant_id, start, price_steps))).all()


async def by_price(
    session: AsyncSession, *, tenant_id: str, start: datetime, price_steps: Sequence[int]
) -> Sequence[Any]:
    """Return the sums of every call from ``start`` on, a row for each group of calls that are priced alike.

    A row has ``provider``, ``model``, ``is_cheap_answer``, ``used_cache`` (the prompt cache was read or written),
    ``is_priced``, the ``calls``, ``cost_usd`` and the counts of the ledger's token columns. No prompt size in
    ``price_steps`` (tokens) lies between two prompts of one row.
    """
    return (await session.execute(_BY_PRICE, reading(tenant_id, start, price_steps))).all()
