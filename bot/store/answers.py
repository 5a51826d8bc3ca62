"""The answer cache and what people thought of answers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store import nearby
from bot.store.pipeline import Statement
from bot.store.tables import feedback
from bot.store.threads import citations_from
from bot.types import CachedAnswer, Citation


def lookup(*, tenant_id: str, key: str) -> Statement:
    """The row that ``found`` reads."""
    return Statement(_LOOKUP, {"tenant": tenant_id, "key": key})


_LOOKUP = """
SELECT turn_id, answer, citations, created_at FROM answers
WHERE tenant_id = %(tenant)s AND key = %(key)s AND expires_at > now()
"""


def found(rows: Sequence[Any]) -> CachedAnswer | None:
    """The answer kept under a key, unless it is too old."""
    return next((CachedAnswer(str(r.turn_id), r.answer, citations_from(r.citations), r.created_at) for r in rows), None)


def keeping(
    *, tenant_id: str, key: str, turn_id: str, answer: str, citations: Sequence[Citation], ttl: timedelta
) -> Statement:
    """Keep an answer for ``ttl``; a later one replaces it."""
    return Statement(
        _KEEP,
        {
            "tenant": tenant_id,
            "key": key,
            "turn": uuid.UUID(turn_id),
            "answer": answer,
            "citations": Jsonb([asdict(citation) for citation in citations]),
            "ttl": ttl,
        },
    )


_KEEP = """
INSERT INTO answers (tenant_id, key, turn_id, answer, citations, created_at, expires_at)
VALUES (%(tenant)s, %(key)s, %(turn)s, %(answer)s, %(citations)s, now(), now() + %(ttl)s)
ON CONFLICT (tenant_id, key) DO UPDATE SET turn_id = excluded.turn_id, answer = excluded.answer,
    citations = excluded.citations, created_at = excluded.created_at, expires_at = excluded.expires_at
"""


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
