"""Loads the trace of one answer: search, passages, route, model calls and cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bot.reports.costs import usage_of
from bot.store.budgets import ledger
from bot.store.turns import answer_ids, turns


@dataclass(frozen=True, slots=True)
class Trace:
    """One turn with its model calls. ``turn_id`` is short. ``details`` is what the engine recorded.

    ``to_be_shown``: the platform was away when the turn ended, so the reply is shown later.
    """

    turn_id: str
    thread: str
    channel_id: str
    user_id: str
    question: str
    answer: str
    state: str
    to_be_shown: bool
    refused: str | None
    cached: bool
    created_at: datetime
    finished_at: datetime | None
    citations: list[dict[str, Any]]
    details: Mapping[str, Any]
    calls: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Return the trace as the command line prints it."""
        flat = asdict(self)
        costs = [call["cost_usd"] for call in self.calls]
        return {**flat, **flat.pop("details"), "cost_usd": None if None in costs else sum(costs)}


async def trace_of(session: AsyncSession, *, tenant_id: str, turn_id: str) -> Trace | None:
    """Return the trace of a turn; None if no turn has this id."""
    row = await turns.row_of(session, tenant_id=tenant_id, turn_id=turn_id)
    return None if row is None else await trace_of_row(session, row)


async def trace_of_row(session: AsyncSession, row: Any) -> Trace:
    """Return the trace of a turn whose row is already loaded."""
    turn_id, origin = str(row.turn_id), row.trace.get("cached_from")
    calls = await ledger.of_turn(session, tenant_id=row.tenant_id, turn_id=turn_id)
    ids = await answer_ids.shortened(
        session, tenant_id=row.tenant_id, turn_ids=[turn_id, *([origin] if origin else [])]
    )
    return Trace(
        turn_id=ids[turn_id],
        thread=row.thread_id,
        channel_id=row.channel_id,
        user_id=row.user_id,
        question=row.question,
        answer=row.answer,
        state=row.state,
        to_be_shown=row.deliver_at is not None,
        refused=row.refused,
        cached=row.cached,
        created_at=row.created_at,
        finished_at=row.finished_at,
        citations=row.citations,
        details={**row.trace, "cached_from": ids[origin]} if origin else row.trace,
        calls=[_call(call) for call in calls],
    )


def _call(row: Any) -> dict[str, Any]:
    usage = usage_of(row)
    return {
        "purpose": row.purpose,
        "provider": row.provider,
        "model": row.model,
        "tier": row.tier,
        "status": row.status,
        "estimated": row.estimated,
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens + usage.cache_write_long_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost_usd": None if row.cost_usd is None else float(row.cost_usd),
        "price_version": row.price_version,
        "latency_ms": row.latency_ms,
        "ttft_ms": row.ttft_ms,
        "error": row.error,
    }
