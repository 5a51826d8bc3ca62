"""The ledger: one row for every call of a model provider."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.tables import ledger
from bot.store.threads import thread_uid
from bot.types import Call, ThreadKey


async def record(
    session: AsyncSession,
    *,
    key: ThreadKey,
    user_id: str,
    turn_id: str | None,
    day: date,
    calls: Sequence[Call],
) -> None:
    """Write a row for each call."""
    if not calls:
        return
    rows = [
        {
            "tenant_id": key.tenant_id,
            "call_id": uuid.uuid4(),
            "turn_id": uuid.UUID(turn_id) if turn_id else None,
            "thread_uid": thread_uid(key),
            "platform": key.platform,
            "channel_id": key.channel_id,
            "user_id": user_id,
            "budget_day": day,
            **_values(call),
        }
        for call in calls
    ]
    await session.execute(insert(ledger), rows)


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
    """The calls of one turn, oldest first."""
    rows = await session.execute(
        select(ledger)
        .where(ledger.c.tenant_id == tenant_id, ledger.c.turn_id == uuid.UUID(turn_id))
        .order_by(ledger.c.created_at, ledger.c.call_id)
    )
    return list(rows)


async def since(session: AsyncSession, *, tenant_id: str, start: datetime) -> list[Any]:
    """Every call from ``start`` on."""
    rows = await session.execute(select(ledger).where(ledger.c.tenant_id == tenant_id, ledger.c.created_at >= start))
    return list(rows)
