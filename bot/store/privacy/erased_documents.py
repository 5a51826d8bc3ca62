"""Removes what answers to other people quote of erased documents: passages, citations, and the answers themselves."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.store.message_erasure import CHAT_KINDS

ERASED_ANSWER = "(This answer quoted a document that was erased.)"

_QUOTES = """
    tenant_id = :tenant
    AND (citations @> ANY(CAST(:cited AS jsonb[])) OR trace -> 'passages' @> ANY(CAST(:cited AS jsonb[])))
"""

# Answers cite a document by its ID too, which tells it from an erased one of the same name.
_IS_ERASED = """
    cited ->> 'source' = ANY(CAST(:names AS text[]))
    AND NOT coalesce(cited ->> 'document_id', '') = ANY(CAST(:kept AS text[]))
"""

_FIND_TURNS = text(f"SELECT turn_id FROM turns WHERE {_QUOTES}")  # noqa: S608

# Turns whose trace or citations name one of the documents. A cited document also blanks the answer.
_ERASE_IN_TURNS = text(f"""
    UPDATE turns SET
        answer = CASE WHEN cites THEN :answer ELSE answer END,
        citations = coalesce((
            SELECT jsonb_agg(cited) FROM jsonb_array_elements(citations) AS cited
            WHERE NOT ({_IS_ERASED})
        ), '[]'),
        trace = CASE WHEN NOT trace ? 'passages' THEN trace ELSE jsonb_set(trace, '{{passages}}', coalesce((
            SELECT jsonb_agg(passage) FROM jsonb_array_elements(trace -> 'passages') AS passage
            WHERE NOT passage ->> 'source' = ANY(CAST(:names AS text[]))
        ), '[]')) - 'notes' END
    FROM (
        SELECT turn_id AS named, EXISTS (
            SELECT FROM jsonb_array_elements(citations) AS cited WHERE {_IS_ERASED}
        ) AS cites
        FROM turns
        WHERE {_QUOTES}
    ) AS found
    WHERE tenant_id = :tenant AND turn_id = named
    RETURNING turn_id, thread_uid, cites
""")  # noqa: S608

_BLANK_MESSAGES = text("""
    UPDATE messages SET text = :answer
    WHERE tenant_id = :tenant AND turn_id = ANY(:turns) AND role = 'assistant'
""")

_DELETE_VECTORS = text("""
    DELETE FROM message_vectors USING messages
    WHERE message_vectors.tenant_id = :tenant AND messages.tenant_id = :tenant
        AND message_vectors.thread_uid = messages.thread_uid AND message_vectors.seq = messages.seq
        AND messages.turn_id = ANY(:turns)
""")

_DELETE_VERIFIED = text(f"""
    DELETE FROM verified_answers WHERE tenant_id = :tenant AND citations @> ANY(CAST(:cited AS jsonb[]))
        AND EXISTS (SELECT FROM jsonb_array_elements(citations) AS cited WHERE {_IS_ERASED})
""")  # noqa: S608

_CLEAR_SUMMARIES = text("""
    UPDATE threads SET summary = '', summary_upto = 0
    WHERE tenant_id = :tenant AND thread_uid = ANY(:threads)
""")


async def turns_quoting(session: AsyncSession, *, tenant_id: str, names: Sequence[str]) -> Sequence[Any]:
    """Return the ``turn_id`` of each turn that quotes one of the documents."""
    return (await session.execute(_FIND_TURNS, {"tenant": tenant_id, "cited": _cited(names)})).all() if names else ()


def _cited(names: Sequence[str]) -> list[str]:
    return [json.dumps([{"source": name}]) for name in names]


_NAMESAKES = text("""
    SELECT CAST(documents.id AS text) FROM documents JOIN sources
        ON sources.tenant_id = documents.tenant_id AND sources.id = documents.source_id
    WHERE documents.tenant_id = :tenant AND documents.uri = ANY(CAST(:names AS text[]))
        AND sources.kind <> ALL(CAST(:chats AS text[])) AND sources.id <> ALL(CAST(:erased AS uuid[]))
""")


async def namesakes(
    session: AsyncSession, *, tenant_id: str, names: Sequence[str], erased: Sequence[uuid.UUID]
) -> list[str]:
    """Return the IDs of the documents with these names that stay: of sources that are neither erased nor channels."""
    values = {"tenant": tenant_id, "names": list(names), "chats": list(CHAT_KINDS), "erased": list(erased)}
    return list(await session.scalars(_NAMESAKES, values)) if names else []


async def forget_quotes(
    session: AsyncSession, *, tenant_id: str, names: Sequence[str], kept: Sequence[str] = ()
) -> int:
    """Remove what is quoted of the documents with these names; return the number of turns that quoted them.

    ``kept`` are the IDs of other documents with these names, whose quotes stay in answers. An erasure locks these turns
    and their threads before.
    """
    if not names:
        return 0
    values = {"tenant": tenant_id, "names": list(names), "kept": list(kept), "answer": ERASED_ANSWER}
    found = (await session.execute(_ERASE_IN_TURNS, {**values, "cited": _cited(names)})).all()
    blanked = [row.turn_id for row in found if row.cites]
    values = {"tenant": tenant_id, "turns": blanked, "answer": ERASED_ANSWER}
    # In this order, because a vector may be stored while the message waits for its lock.
    await session.execute(_BLANK_MESSAGES, values)
    await session.execute(_DELETE_VECTORS, values)
    await session.execute(text("DELETE FROM answers WHERE tenant_id = :tenant AND turn_id = ANY(:turns)"), values)
    verified = {"tenant": tenant_id, "names": list(names), "kept": list(kept), "cited": _cited(names)}
    await session.execute(_DELETE_VERIFIED, verified)
    await session.execute(_CLEAR_SUMMARIES, {"tenant": tenant_id, "threads": [row.thread_uid for row in found]})
    return len(found)
