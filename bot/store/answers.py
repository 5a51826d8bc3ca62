"""The answer cache and what people thought of answers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store import nearby
from bot.store.tables import answers, feedback
from bot.store.threads import citations_from
from bot.types import CachedAnswer, Citation


async def lookup(session: AsyncSession, *, tenant_id: str, key: str) -> CachedAnswer | None:
    """The answer kept under ``key``, unless it is too old."""
    row = (
        await session.execute(
            select(answers).where(
                answers.c.tenant_id == tenant_id, answers.c.key == key, answers.c.expires_at > func.now()
            )
        )
    ).one_or_none()
    if row is None:
        return None
    return CachedAnswer(str(row.turn_id), row.answer, citations_from(row.citations), row.created_at)


async def keep(
    session: AsyncSession,
    *,
    tenant_id: str,
    key: str,
    turn_id: str,
    answer: str,
    citations: Sequence[Citation],
    ttl: timedelta,
) -> None:
    """Keep an answer for ``ttl``; a later one replaces it."""
    values = {
        "turn_id": uuid.UUID(turn_id),
        "answer": answer,
        "citations": [asdict(citation) for citation in citations],
        "created_at": func.now(),
        "expires_at": func.now() + ttl,
    }
    await session.execute(
        insert(answers)
        .values(tenant_id=tenant_id, key=key, **values)
        .on_conflict_do_update(index_elements=["tenant_id", "key"], set_=values)
    )


async def rate(session: AsyncSession, *, tenant_id: str, turn_id: str, user_id: str, value: int, reason: str) -> None:
    """Keep a person's thumb; a later one replaces it."""
    if value:
        await nearby.judge(session, tenant_id=tenant_id, turn_id=turn_id, right=value > 0)
    values = {"value": value, "reason": reason, "created_at": func.now()}
    await session.execute(
        insert(feedback)
        .values(tenant_id=tenant_id, turn_id=uuid.UUID(turn_id), user_id=user_id, **values)
        .on_conflict_do_update(index_elements=["tenant_id", "turn_id", "user_id"], set_=values)
    )
