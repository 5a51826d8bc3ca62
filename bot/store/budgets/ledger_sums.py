"""Sums up the ledger in SQL, for reports: by user, channel, model, purpose or day, and by what decides the price.

The database returns one row for each group, so a report costs this process the same for a hundred calls as for a
million.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import BigInteger, Integer, Text, and_, cast, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.schema import ledger

Dimension = Literal["user", "channel", "model", "purpose", "day"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

_CALL = ledger.c
COLUMN_OF = {
    "user": _CALL.user_id,
    "channel": _CALL.channel_id,
    "model": _CALL.model,
    "purpose": _CALL.purpose,
    "day": _CALL.budget_day,
}
"""The column of each dimension."""
_PROMPT = _CALL.input_tokens + _CALL.cached_tokens + _CALL.cache_write_tokens + _CALL.cache_write_long_tokens
_SUMS = (
    func.count().label("calls"),
    func.coalesce(func.sum(_CALL.cost_usd), 0).label("cost_usd"),
    *(
        cast(func.sum(column), BigInteger).label(column.name)
        for column in (
            _CALL.input_tokens,
            _CALL.cached_tokens,
            _CALL.cache_write_tokens,
            _CALL.cache_write_long_tokens,
            _CALL.completion_tokens,
            _CALL.reasoning_tokens,
        )
    ),
)


async def by_dimension(session: AsyncSession, *, tenant_id: str, start: datetime, by: Dimension) -> Sequence[Any]:
    """Return the sums of every call from ``start`` on, a row for each user, channel, model, purpose or day.

    A row has the ``key``, the ``calls``, ``cost_usd`` of the priced calls, the counts of the ledger's token columns,
    ``unknown_calls`` whose price is unknown, and ``estimated_calls``.
    """
    key = cast(COLUMN_OF[by], Text).label("key")
    statement = select(
        key,
        *_SUMS,
        func.count().filter(_CALL.cost_usd.is_(None)).label("unknown_calls"),
        func.count().filter(_CALL.estimated).label("estimated_calls"),
    )
    rows = await session.execute(statement.where(_from(tenant_id, start)).group_by(key))
    return rows.all()


async def answers_by(session: AsyncSession, *, tenant_id: str, start: datetime, by: Dimension) -> Mapping[str, int]:
    """Return how many questions were answered, by dimension.

    A question counts once, for the last call that answered it. A question whose calls all failed does not count.
    """
    answer = (
        select(cast(COLUMN_OF[by], Text).label("key"))
        .ext(distinct_on(_CALL.turn_id))
        .where(_from(tenant_id, start), _CALL.purpose == "answer", _CALL.status == "ok", _CALL.turn_id.is_not(None))
        .order_by(_CALL.turn_id, _CALL.created_at.desc(), _CALL.call_id)
        .subquery()
    )
    rows = await session.execute(select(answer.c.key, func.count().label("answers")).group_by(answer.c.key))
    return {row.key: row.answers for row in rows}


async def by_price(
    session: AsyncSession, *, tenant_id: str, start: datetime, price_steps: Sequence[int]
) -> Sequence[Any]:
    """Return the sums of every call from ``start`` on, a row for each group of calls that are priced alike.

    A row has ``provider``, ``model``, ``is_cheap_answer``, ``used_cache`` (the prompt cache was read or written),
    ``is_priced``, the ``calls``, ``cost_usd`` and the counts of the ledger's token columns. No prompt size in
    ``price_steps`` (tokens) lies between two prompts of one row.
    """
    steps = literal(list(price_steps), ARRAY(BigInteger))
    groups = (
        _CALL.provider,
        _CALL.model,
        and_(_CALL.tier.is_not_distinct_from("cheap"), _CALL.purpose == "answer").label("is_cheap_answer"),
        (_CALL.input_tokens != _PROMPT).label("used_cache"),
        _CALL.cost_usd.is_not(None).label("is_priced"),
        func.width_bucket(_PROMPT - 1, steps, type_=Integer).label("step"),
    )
    rows = await session.execute(select(*groups, *_SUMS).where(_from(tenant_id, start)).group_by(*groups))
    return rows.all()


def _from(tenant_id: str, start: datetime) -> Any:
    return and_(_CALL.tenant_id == tenant_id, _CALL.created_at >= start)
