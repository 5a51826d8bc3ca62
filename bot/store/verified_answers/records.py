"""Adds, lists, renews and removes verified answers. Every function runs inside its caller's transaction and tenant."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.answer_cache.validity import intact
from bot.store.threads import citations_from
from bot.types.display import Citation
from bot.types.verified_answers import VerifiedAnswer
from knowledge import superseded
from knowledge.document_states import with_note
from knowledge.store.document_writes import GONE_READINGS
from knowledge.store.id_prefixes import id_range

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")

CHANGED = f"""(NOT {intact("verified_answers", ":tenant")} OR EXISTS (
    SELECT FROM jsonb_object_keys(verified_answers.documents) AS cited (id)
    JOIN documents ON documents.tenant_id = :tenant AND documents.id = CAST(cited.id AS uuid)
    WHERE documents.gone_readings >= {GONE_READINGS}))"""
"""SQL: a document that the answer cites was changed or deleted, or is gone from its source."""
STALE = f"""CASE
    WHEN verified_answers.stale <> '' THEN verified_answers.stale
    WHEN verified_answers.expires_at <= now() THEN 'expired'
    WHEN {CHANGED} THEN 'changed'
    ELSE '' END"""
"""SQL: why the answer is no longer given; empty if it is."""
COLUMNS = f"""CAST(verified_answers.id AS text) AS id, verified_answers.answer, verified_answers.citations, audience,
    tenant_wide, platform, owner_id, owner_name, verified_at, expires_at,
    coalesce(CAST(turn_id AS text), '') AS turn_id,
    {STALE} AS stale, ARRAY(
        SELECT question FROM verified_questions AS asked
        WHERE asked.tenant_id = :tenant AND asked.answer_id = verified_answers.id
        ORDER BY position
    ) AS questions"""  # noqa: S608
"""SQL: the values that ``answer_of`` reads."""


def answer_of(row: Any) -> VerifiedAnswer:
    """Return a verified answer from a row of ``COLUMNS``."""
    return VerifiedAnswer(
        row.id,
        tuple(row.questions),
        row.answer,
        citations_from(row.citations),
        row.audience,
        row.tenant_wide,
        row.platform,
        row.owner_id,
        row.owner_name,
        row.verified_at,
        row.expires_at,
        row.turn_id,
        row.stale,
    )


_HASHES = text("""
    SELECT CAST(id AS text) AS id, content_hash FROM documents
    WHERE tenant_id = :tenant AND id = ANY(CAST(:cited AS uuid[]))
""")
_ADD = text("""
    INSERT INTO verified_answers (tenant_id, id, answer, citations, documents, audience, tenant_wide, platform,
        owner_id, owner_name, turn_id, verified_at, expires_at)
    VALUES (:tenant, CAST(:id AS uuid), :answer, CAST(:citations AS jsonb), CAST(:documents AS jsonb), :audience,
        :tenant_wide, :platform, :owner_id, :owner_name, CAST(:turn AS uuid), :verified_at, :expires_at)
""")
_ADD_QUESTIONS = text("""
    INSERT INTO verified_questions (tenant_id, answer_id, position, question)
    SELECT :tenant, CAST(:id AS uuid), position, question
    FROM unnest(CAST(:questions AS text[])) WITH ORDINALITY AS given (question, position)
    RETURNING 1
""")
# Whoever verifies the same turn at the same moment waits here, so that it sees the first answer and replaces it.
_ONE_AT_A_TIME = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('parley verified ' || :tenant || ' ' || :turn, 0))"
)
_REPLACED = text("DELETE FROM verified_answers WHERE tenant_id = :tenant AND turn_id = CAST(:turn AS uuid)")


async def add(session: AsyncSession, *, tenant_id: str, new: VerifiedAnswer) -> None:
    """Store a verified answer. It replaces the one that was made from the same turn."""
    values = asdict(new)
    values |= {
        "tenant": tenant_id,
        "turn": new.turn_id or None,
        "citations": json.dumps(values["citations"]),
        "documents": await _hashes(session, tenant_id, new.citations),
        "questions": list(new.questions),
    }
    if new.turn_id:
        for statement in (_ONE_AT_A_TIME, _REPLACED):
            await session.execute(statement, {"tenant": tenant_id, "turn": new.turn_id})
    named = {name: values[name] for name in _ADD.compile().params}
    await session.execute(_ADD, named)
    await session.execute(_ADD_QUESTIONS, {name: values[name] for name in ("tenant", "id", "questions")})


async def _hashes(session: AsyncSession, tenant_id: str, citations: Sequence[Citation]) -> str:
    """Return the hashes of the cited documents as they are now, by ID, as JSON."""
    rows = await session.execute(_HASHES, {"tenant": tenant_id, "cited": document_ids(citations)})
    return json.dumps({row.id: row.content_hash for row in rows})


def document_ids(citations: Sequence[Citation]) -> list[str]:
    """Return the IDs of the stored documents that the citations name."""
    return sorted({one.document_id for one in citations if _UUID.fullmatch(one.document_id)})


_LIST = f"SELECT {COLUMNS} FROM verified_answers WHERE tenant_id = :tenant ORDER BY verified_at DESC, id"  # noqa: S608


async def every(session: AsyncSession, *, tenant_id: str) -> list[VerifiedAnswer]:
    """Return all verified answers, the latest first, also those that are out of date."""
    return [answer_of(row) for row in await session.execute(text(_LIST), {"tenant": tenant_id})]


_FIND = text(f"""
    SELECT {COLUMNS} FROM verified_answers
    WHERE tenant_id = :tenant AND id BETWEEN :low AND :high ORDER BY id LIMIT 2
""")  # noqa: S608


async def find(session: AsyncSession, *, tenant_id: str, typed: str) -> VerifiedAnswer | None:
    """Return the verified answer with this ID, or the only one whose ID begins like it; None if there is none."""
    limits = id_range(typed)
    if limits is None:
        return None
    rows = (await session.execute(_FIND, {"tenant": tenant_id, "low": limits[0], "high": limits[1]})).all()
    return answer_of(rows[0]) if len(rows) == 1 else None


_RENEW = text("""
    UPDATE verified_answers SET verified_at = :now, expires_at = :expires, stale = '', told = false,
        documents = CAST(:documents AS jsonb), citations = CAST(:citations AS jsonb), platform = :platform,
        owner_id = :owner, owner_name = :name
    WHERE tenant_id = :tenant AND id = CAST(:id AS uuid)
""")


async def renew(
    session: AsyncSession,
    *,
    tenant_id: str,
    known: VerifiedAnswer,
    platform: str,
    owner: tuple[str, str],
    now: datetime,
    expires_at: datetime | None,
) -> None:
    """Record that a person verified the answer again, with the documents as they are now.

    ``owner`` is the person's ID and name. A document that no longer exists no longer counts.
    """
    titles = await current_titles(session, tenant_id=tenant_id, citations=known.citations)
    shown = [
        asdict(replace(one, title=with_note(*titles[one.document_id])) if one.document_id in titles else one)
        for one in known.citations
    ]
    values: dict[str, object] = {
        "tenant": tenant_id,
        "id": known.id,
        "documents": await _hashes(session, tenant_id, known.citations),
        "platform": platform,
    }
    values["citations"] = json.dumps(shown)
    values |= {"owner": owner[0], "name": owner[1], "now": now, "expires": expires_at}
    await session.execute(_RENEW, values)


async def remove(session: AsyncSession, *, tenant_id: str, answer_id: str) -> None:
    """Delete a verified answer."""
    await session.execute(
        text("DELETE FROM verified_answers WHERE tenant_id = :tenant AND id = CAST(:id AS uuid)"),
        {"tenant": tenant_id, "id": answer_id},
    )


_AUDIENCES = text("""
    SELECT DISTINCT audience FROM documents WHERE tenant_id = :tenant AND id = ANY(CAST(:cited AS uuid[]))
""")
_ADDED = text("""
    SELECT count(*) FROM documents JOIN sources
        ON sources.tenant_id = documents.tenant_id AND sources.id = documents.source_id
    WHERE documents.tenant_id = :tenant AND documents.id = ANY(CAST(:cited AS uuid[]))
        AND sources.added_by = :person
""")


async def cited_audiences(session: AsyncSession, *, tenant_id: str, citations: Sequence[Citation]) -> set[str]:
    """Return the audiences of the cited documents."""
    return set(await session.scalars(_AUDIENCES, {"tenant": tenant_id, "cited": document_ids(citations)}))


async def owns_every_document(
    session: AsyncSession, *, tenant_id: str, citations: Sequence[Citation], person: str
) -> bool:
    """Return whether documents are cited, all of them are still stored, and the person added every one."""
    cited = document_ids(citations)
    values = {"tenant": tenant_id, "cited": cited, "person": person}
    return bool(cited) and await session.scalar(_ADDED, values) == len(cited)


async def current_titles(
    session: AsyncSession, *, tenant_id: str, citations: Sequence[Citation]
) -> dict[str, tuple[str, str]]:
    """Return the title of each cited document by its ID, and a note such as “superseded”, empty if it is in force."""
    values = {"tenant": tenant_id, "cited": document_ids(citations), "opening": superseded.OPENING_CHARS}
    rows = await session.execute(_OPENINGS, values)
    return {row.id: (row.title, superseded.note(row.title, row.opening, row.today)) for row in rows}


_OPENINGS = text("""
    SELECT CAST(id AS text) AS id, title, left(documents.text, :opening) AS opening, CURRENT_DATE AS today
    FROM documents WHERE tenant_id = :tenant AND id = ANY(CAST(:cited AS uuid[]))
""")


def new_id() -> str:
    """Return the ID of an answer to add."""
    return str(uuid.uuid4())
