"""Marks answers whose cited passages changed since, and lists the threads that are to be told.

An answer is marked in its trace, under ``outdated``: since when, and the titles of the documents. It is compared with
its documents for ``COMPARED_DAYS``. Every function runs inside its caller's transaction, and all but
``tenants_to_tell`` inside its tenant.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.database import lock_order
from bot.store.database.pipelined_transactions import Statement, send
from bot.types.conversation import PRIVATE_THREAD
from knowledge.store.document_writes import GONE_READINGS

COMPARED_DAYS = 30

# The new version, if the knowledge changed since the answers were compared with it.
_NEW_VERSION = text("""
    SELECT version FROM knowledge_state
    WHERE tenant_id = :tenant
        AND version > coalesce((SELECT answers_checked FROM tenants WHERE tenants.tenant_id = :tenant), 0)
""")
# An answer that is being written may have read the text before the change: it is compared when it has ended.
_CHECKED = text("""
    UPDATE tenants SET answers_checked = :version
    WHERE tenant_id = :tenant
        AND NOT EXISTS (SELECT FROM turns WHERE turns.tenant_id = :tenant AND turns.state = 'running')
""")
# The text of a document is searched only if it changed after the answer began, which may have read the text before.
# PostgreSQL does not reorder a CASE.
_CHANGED = text(f"""
    SELECT turns.turn_id, array_agg(DISTINCT coalesce(nullif(cited ->> 'title', ''), cited ->> 'source')) AS titles
    FROM turns
    CROSS JOIN LATERAL jsonb_array_elements(turns.citations) AS cited
    LEFT JOIN documents ON documents.tenant_id = :tenant AND documents.id = CASE
        WHEN cited ->> 'document_id' ~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'
        THEN CAST(cited ->> 'document_id' AS uuid) END
    WHERE turns.tenant_id = :tenant AND turns.created_at >= now() - make_interval(days => :days)
        AND turns.state = 'done' AND turns.citations <> '[]' AND turns.withdrawn_at IS NULL
        AND NOT turns.trace ? 'outdated'
        AND cited ->> 'document_id' ~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'
        AND CASE
            WHEN documents.id IS NULL OR documents.gone_readings >= {GONE_READINGS} THEN true
            WHEN documents.changed_at IS NULL THEN false
            WHEN documents.changed_at <= coalesce(turns.started_at, turns.created_at) THEN false
            ELSE strpos(documents.text, cited ->> 'quote') = 0
        END
    GROUP BY turns.turn_id
""")  # noqa: S608
_MARK = """
UPDATE turns SET trace = trace || jsonb_build_object('outdated', jsonb_build_object(
    'since', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD'), 'documents', CAST(%(titles)s AS text[])))
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s
"""
_TO_BE_TOLD = text("""
    INSERT INTO changed_answer_notices (tenant_id, turn_id, platform)
    SELECT turns.tenant_id, turn_id, turns.platform
    FROM turns JOIN channels ON channels.tenant_id = turns.tenant_id AND channels.channel_id = turns.channel_id
    WHERE turns.tenant_id = :tenant AND turn_id = ANY(:turns) AND turns.platform IN ('slack', 'discord')
        AND NOT starts_with(turns.thread_id, :private) AND channels.settings ->> 'change_notices' = 'true'
    ON CONFLICT DO NOTHING
""")


class ChangedAnswer(NamedTuple):
    """An answer whose thread is to be told, and the documents that changed."""

    turn_id: str
    documents: Sequence[str]


async def mark(session: AsyncSession, *, tenant_id: str) -> int:
    """Mark the answers that cite what changed; return how many. Does nothing while no document changed."""
    version = await session.scalar(_NEW_VERSION, {"tenant": tenant_id})
    if version is None:
        return 0
    found = (await session.execute(_CHANGED, {"tenant": tenant_id, "days": COMPARED_DAYS})).all()
    if found:
        turn_ids = [row.turn_id for row in found]
        locking = lock_order.turns_where("tenant_id = %(tenant)s AND turn_id = ANY(%(turns)s)")
        marks = [Statement(_MARK, {"tenant": tenant_id, "turn": one.turn_id, "titles": one.titles}) for one in found]
        await send(session, Statement(locking, {"tenant": tenant_id, "turns": turn_ids}), *marks)
        named = {"tenant": tenant_id, "turns": turn_ids, "private": PRIVATE_THREAD}
        await session.execute(_TO_BE_TOLD, named)
    await session.execute(_CHECKED, {"tenant": tenant_id, "version": version})
    return len(found)


_TENANTS_TO_TELL = text("""
    SELECT DISTINCT tenant_id FROM changed_answer_notices
    WHERE tenant_id = ANY(:tenants) AND platform = :platform ORDER BY tenant_id
""")
_TO_TELL = text("""
    SELECT CAST(turn_id AS text) AS turn_id, ARRAY(
        SELECT jsonb_array_elements_text(turns.trace -> 'outdated' -> 'documents')
    ) AS documents
    FROM changed_answer_notices JOIN turns USING (tenant_id, turn_id)
    WHERE tenant_id = :tenant AND changed_answer_notices.platform = :platform AND turns.withdrawn_at IS NULL
    ORDER BY turns.created_at, turn_id LIMIT 50
""")


async def tenants_to_tell(session: AsyncSession, *, tenants: Sequence[str], platform: str) -> list[str]:
    """Return those of the tenants that have threads to be told. Runs in a transaction without a tenant."""
    return list(await session.scalars(_TENANTS_TO_TELL, {"tenants": list(tenants), "platform": platform}))


async def to_tell(session: AsyncSession, *, tenant_id: str, platform: str) -> list[ChangedAnswer]:
    """Return the answers whose threads are to be told, oldest first."""
    rows = await session.execute(_TO_TELL, {"tenant": tenant_id, "platform": platform})
    return [ChangedAnswer(row.turn_id, tuple(row.documents)) for row in rows]


async def mark_told(session: AsyncSession, *, tenant_id: str, turn_id: str) -> None:
    """Record that the thread was told."""
    await session.execute(
        text("DELETE FROM changed_answer_notices WHERE tenant_id = :tenant AND turn_id = :turn"),
        {"tenant": tenant_id, "turn": uuid.UUID(turn_id)},
    )
