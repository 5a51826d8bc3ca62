"""Stores cached answers by key, and ratings of answers."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import case, delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.answer_cache import similar_answer_statements, validity
from bot.store.database.pipelined_transactions import Statement
from bot.store.schema import feedback
from bot.types.answer_cache import NO_CACHE_NOTE, CachedAnswer, CacheNote
from bot.types.display import Citation

_LOOKUP = f"""
SELECT turn_id, answer, citations, created_at, question, evidence,
       {validity.CURRENT} AS current, {validity.INTACT} AS intact
FROM answers WHERE tenant_id = %(tenant)s AND key = %(key)s AND expires_at > now()
"""  # noqa: S608
"""Finds the unexpired answer under a key, and whether it is still valid."""


def lookup(*, tenant_id: str, key: str) -> Statement:
    """Return the statement whose row ``found`` takes."""
    return Statement(_LOOKUP, {"tenant": tenant_id, "key": key})


def found(rows: Sequence[Any]) -> CachedAnswer | None:
    """Return the cached answer in the row, or None if there is none."""
    return next((validity.cached(row) for row in rows), None)


_STANDS = """
UPDATE answers SET knowledge_version = %(version)s
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND evidence = %(evidence)s AND knowledge_version < %(version)s
"""
"""Verifies an answer for a later version of the knowledge."""


def standing(*, tenant_id: str, turn_id: str, evidence: str, version: int) -> Statement:
    """Record that the cached answer of a turn is still valid for a later version of the knowledge."""
    given = {"tenant": tenant_id, "turn": uuid.UUID(turn_id), "evidence": evidence, "version": version}
    return Statement(_STANDS, given)


_KEEP = """
INSERT INTO answers (tenant_id, key, turn_id, answer, citations, created_at, expires_at, question, knowledge_version,
    evidence, documents)
SELECT %(tenant)s, %(key)s, %(turn)s, %(answer)s, %(citations)s, now(), now() + %(ttl)s, %(question)s, %(version)s,
    %(evidence)s, coalesce(jsonb_object_agg(cited.id, coalesce(documents.content_hash, ''))
        FILTER (WHERE cited.id IS NOT NULL), '{}')
FROM unnest(CAST(%(cited)s AS text[])) AS cited (id)
LEFT JOIN documents ON documents.tenant_id = %(tenant)s AND documents.id = CAST(cited.id AS uuid)
ON CONFLICT (tenant_id, key) DO UPDATE SET turn_id = excluded.turn_id, answer = excluded.answer,
    citations = excluded.citations, created_at = excluded.created_at, expires_at = excluded.expires_at,
    question = excluded.question, knowledge_version = excluded.knowledge_version, evidence = excluded.evidence,
    documents = excluded.documents
"""
"""Caches an answer, replacing the one under its key."""


def keeping(
    *,
    tenant_id: str,
    key: str,
    turn_id: str,
    answer: str,
    citations: Sequence[Citation],
    ttl: timedelta,
    keeping: CacheNote = NO_CACHE_NOTE,
) -> Statement:
    """Cache an answer for ``ttl`` with its evidence. A later answer under the same key replaces it."""
    return Statement(
        _KEEP,
        {
            "tenant": tenant_id,
            "key": key,
            "turn": uuid.UUID(turn_id),
            "answer": answer,
            "citations": Jsonb([asdict(citation) for citation in citations]),
            "ttl": ttl,
            "question": keeping.question,
            "version": keeping.knowledge_version,
            "evidence": keeping.evidence,
            "cited": sorted({one.document_id for one in citations if _UUID.fullmatch(one.document_id)}),
        },
    )


_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")


async def rate(session: AsyncSession, *, tenant_id: str, turn_id: str, user_id: str, value: int, reason: str) -> None:
    """Store a person's rating. A later one replaces it, but keeps the reason if it has the same value and no reason.

    A thumb down is stored while its dialog is open, so it can arrive after the reason from that dialog.
    """
    key = {"tenant_id": tenant_id, "turn_id": uuid.UUID(turn_id), "user_id": user_id}
    rating = insert(feedback).values(**key, value=value, reason=reason)
    is_same = (rating.excluded.reason == "") & (rating.excluded.value == feedback.c.value)
    values = {
        "value": rating.excluded.value,
        "reason": case((is_same, feedback.c.reason), else_=rating.excluded.reason),
        "created_at": rating.excluded.created_at,
    }
    await session.execute(rating.on_conflict_do_update(index_elements=list(key), set_=values))
    if value:
        await similar_answer_statements.judge(session, tenant_id=tenant_id, turn_id=turn_id, right=value > 0)


async def withdraw_rating(session: AsyncSession, *, tenant_id: str, turn_id: str, user_id: str, value: int) -> None:
    """Delete a person's rating if it still has this value, and what it said about a cached answer."""
    deleted = await session.execute(
        delete(feedback)
        .where(
            feedback.c.tenant_id == tenant_id,
            feedback.c.turn_id == uuid.UUID(turn_id),
            feedback.c.user_id == user_id,
            feedback.c.value == value,
        )
        .returning(feedback.c.user_id)
    )
    if deleted.first() is not None:
        await similar_answer_statements.judge(session, tenant_id=tenant_id, turn_id=turn_id, right=None)
