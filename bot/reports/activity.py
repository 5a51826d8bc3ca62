"""Sums up who asks, which documents are cited, and what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_PEOPLE = text("""
    SELECT user_id, (array_agg(user_name ORDER BY created_at DESC))[1] AS name,
        (array_agg(user_role ORDER BY created_at DESC))[1] AS role,
        count(*) AS questions, count(*) FILTER (WHERE state = 'failed') AS failed, max(created_at) AS last
    FROM turns WHERE tenant_id = :tenant AND created_at >= :start AND kind <> 'copied'
    GROUP BY user_id ORDER BY count(*) DESC, user_id LIMIT :most
""")
_CITED = text("""
    SELECT cited ->> 'source' AS source, count(*) AS times, max(created_at) AS last
    FROM turns, jsonb_array_elements(citations) AS cited
    WHERE tenant_id = :tenant AND created_at >= :start AND kind <> 'copied'
    GROUP BY 1
""")
_FAILED_TURNS = text("""
    SELECT coalesce(refused, 'No reason was recorded.') AS reason, count(*) AS times, max(created_at) AS last
    FROM turns WHERE tenant_id = :tenant AND created_at >= :start AND kind <> 'copied' AND state = 'failed'
    GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT :most
""")
_FAILED_CALLS = text("""
    SELECT provider, model, error, count(*) AS times, max(created_at) AS last
    FROM ledger WHERE tenant_id = :tenant AND created_at >= :start AND status = 'error'
    GROUP BY 1, 2, 3 ORDER BY count(*) DESC, 1, 2, 3 LIMIT :most
""")


async def people(session: AsyncSession, *, tenant_id: str, start: datetime, most: int = 500) -> Sequence[Any]:
    """Return ``user_id``, ``name``, ``role``, ``questions``, ``failed`` and ``last`` of each asker, busiest first."""
    return (await session.execute(_PEOPLE, {"tenant": tenant_id, "start": start, "most": most})).all()


async def citations(session: AsyncSession, *, tenant_id: str, start: datetime) -> Mapping[str, int]:
    """Return how often each source was cited since ``start``. Sources that were not cited are left out."""
    rows = await session.execute(_CITED, {"tenant": tenant_id, "start": start})
    return {row.source: row.times for row in rows}


async def failed_turns(session: AsyncSession, *, tenant_id: str, start: datetime, most: int = 100) -> Sequence[Any]:
    """Return ``reason``, ``times`` and ``last`` of the answers that failed, the most frequent reason first."""
    return (await session.execute(_FAILED_TURNS, {"tenant": tenant_id, "start": start, "most": most})).all()


async def failed_calls(session: AsyncSession, *, tenant_id: str, start: datetime, most: int = 100) -> Sequence[Any]:
    """Return ``provider``, ``model``, ``error``, ``times`` and ``last`` of failed calls, the most frequent first."""
    return (await session.execute(_FAILED_CALLS, {"tenant": tenant_id, "start": start, "most": most})).all()
