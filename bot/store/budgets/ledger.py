"""The ledger: one row for every provider call, written before the call is sent.

A row is ``open``, with the estimated prompt, until the call is settled. If its process dies, the estimate is settled
with the error ``LEFT_BEHIND``; if that process turns out to be alive, its own figures replace the estimate.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Interval, and_, bindparam, case, func, not_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.database.pipelined_transactions import Statement, Template
from bot.store.schema import ledger
from bot.store.threads import thread_uid
from bot.types.conversation import ThreadKey
from bot.types.usage import Call

LEFT_BEHIND = "left behind"
SUMMED_AFTER_CHANGE = case((ledger.c.summed == "no", "no"), else_="changed")
"""The value of ``summed`` in a row that is changed: the sums of its day no longer hold if it is part of them."""


class LostCalls(NamedTuple):
    """Who asked for the calls of dead processes, and the day that their tokens count on."""

    user_id: str
    channel_id: str
    day: date


def opened(key: ThreadKey, *, user_id: str, turn_id: str, day: date, call: Call) -> Statement:
    """Record a call before it is sent. Recording it again adds no row."""
    return _OPENED(**_row(key, user_id, turn_id, day, call))


def settled(
    key: ThreadKey, *, user_id: str, turn_id: str | None, day: date, calls: Sequence[Call]
) -> tuple[list[uuid.UUID], list[Statement]]:
    """Return the ids of calls that have ended, and the statements that settle or insert their rows."""
    rows = [_row(key, user_id, turn_id, day, call) for call in calls]
    return [row["call_id"] for row in rows], [_SETTLED(**row) for row in rows]


def left(tenant_id: str, turn_id: str, *, count_free: bool) -> Statement:
    """Settle the calls that were in progress when the turn's earlier process died.

    Returns a row for each with ``tokens``, the number that counts against budgets. Calls that cost nothing count only
    with ``count_free``.
    """
    return _LEFT(tenant=tenant_id, turn=uuid.UUID(turn_id), count_free=count_free)


def lost(tenant_id: str, older: timedelta) -> Statement:
    """Find calls that have been open for so long that their process must have died.

    Returns rows of ``user_id``, ``channel_id`` and ``budget_day``.
    """
    return _FIND_LOST(tenant=tenant_id, older=older)


def settling_lost(tenant_id: str, calls: LostCalls, older: timedelta, *, count_free: bool) -> Statement:
    """Settle these calls with their estimates. Returns rows as ``left`` does."""
    return _LOST(
        tenant=tenant_id,
        user=calls.user_id,
        channel=calls.channel_id,
        day=calls.day,
        older=older,
        count_free=count_free,
    )


def _settled() -> Template:
    statement = _INSERT
    kept = {"tenant_id", "call_id", "turn_id", "thread_uid", "created_at", "budget_day", "summed"}
    changes: dict[str, Any] = {
        column.name: statement.excluded[column.name] for column in ledger.c if column.name not in kept
    }
    changes["summed"] = SUMMED_AFTER_CHANGE
    return Template(statement.on_conflict_do_update(index_elements=["tenant_id", "call_id"], set_=changes))


_TOKENS = (
    ledger.c.input_tokens
    + ledger.c.cached_tokens
    + ledger.c.cache_write_tokens
    + ledger.c.cache_write_long_tokens
    + ledger.c.completion_tokens
)

_COUNTED = case((and_(ledger.c.cost_usd == 0, not_(bindparam("count_free", type_=Boolean()))), 0), else_=_TOKENS).label(
    "tokens"
)

_SETTLE_OPEN = (
    update(ledger)
    .where(ledger.c.tenant_id == bindparam("tenant"), ledger.c.status == "open")
    .values(status="error", error=LEFT_BEHIND, estimated=True)
    .returning(ledger.c.user_id, ledger.c.channel_id, ledger.c.budget_day, _COUNTED)
)
_LEFT = Template(_SETTLE_OPEN.where(ledger.c.turn_id == bindparam("turn")))
_LOST = Template(
    _SETTLE_OPEN.where(
        ledger.c.user_id == bindparam("user"),
        ledger.c.channel_id == bindparam("channel"),
        ledger.c.budget_day == bindparam("day"),
        ledger.c.created_at < func.now() - bindparam("older", type_=Interval()),
    )
)
_FIND_LOST = Template(
    select(ledger.c.user_id, ledger.c.channel_id, ledger.c.budget_day)
    .where(
        ledger.c.tenant_id == bindparam("tenant"),
        ledger.c.status == "open",
        ledger.c.created_at < func.now() - bindparam("older", type_=Interval()),
    )
    .distinct()
)
_INSERT = insert(ledger).values(
    {column.name: bindparam(column.name) for column in ledger.c if column.name not in ("created_at", "summed")}
)
_OPENED = Template(_INSERT.on_conflict_do_nothing())
_SETTLED = _settled()


def _row(key: ThreadKey, user_id: str, turn_id: str | None, day: date, call: Call) -> dict[str, Any]:
    return {
        "tenant_id": key.tenant_id,
        "call_id": uuid.UUID(call.id) if call.id else uuid.uuid4(),
        "turn_id": uuid.UUID(turn_id) if turn_id else None,
        "thread_uid": thread_uid(key),
        "platform": key.platform,
        "channel_id": key.channel_id,
        "user_id": user_id,
        "budget_day": day,
        **_values(call),
    }


def _values(call: Call) -> dict[str, Any]:
    return {
        "purpose": call.purpose,
        "provider": call.provider,
        "model": call.model,
        "tier": call.tier,
        "input_tokens": call.usage.input_tokens,
        "cached_tokens": call.usage.cached_tokens,
        "cache_write_tokens": call.usage.cache_write_tokens,
        "cache_write_long_tokens": call.usage.cache_write_long_tokens,
        "completion_tokens": call.usage.completion_tokens,
        "reasoning_tokens": call.usage.reasoning_tokens,
        "cost_usd": call.cost_usd,
        "price_version": call.price_version,
        "status": call.status,
        "estimated": call.estimated,
        "latency_ms": call.latency_ms,
        "ttft_ms": call.ttft_ms,
        "error": call.error,
    }


async def of_turn(session: AsyncSession, *, tenant_id: str, turn_id: str) -> list[Any]:
    """Return the calls of one turn, oldest first."""
    rows = await session.execute(
        select(ledger)
        .where(ledger.c.tenant_id == tenant_id, ledger.c.turn_id == uuid.UUID(turn_id))
        .order_by(ledger.c.created_at, ledger.c.call_id)
    )
    return list(rows)
