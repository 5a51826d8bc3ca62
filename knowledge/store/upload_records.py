"""Identifies uploads by who brought them, where they belong (audience) and their name; deletes or hands over uploads.

Two people can upload files of the same name to the same place. The second one is stored as ``notes (2).md``. Every
function runs inside its caller's transaction and tenant.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.store import document_writes
from knowledge.store.knowledge_version import lock
from knowledge.text.numbered_names import numbered

PREFIX = "upload:"

_SAME_NAME = text("""
    SELECT id, uri, added_by
    FROM sources
    WHERE tenant_id = :tenant AND audience = :audience AND kind = 'upload' AND coalesce(upload_name, uri) = :uri
    ORDER BY uri <> :uri, id
    FOR UPDATE
""")

_ADD = text("""
    INSERT INTO sources (tenant_id, id, uri, kind, audience, fetched_at, added_by, upload_name)
    VALUES (:tenant, :id, :stored_uri, 'upload', :audience, :now, :by, :uri)
    ON CONFLICT (tenant_id, audience, uri) DO NOTHING
    RETURNING id
""")

_TAKE_OVER = text("UPDATE sources SET added_by = :by, upload_name = :uri WHERE tenant_id = :tenant AND id = :id")


async def find_or_add(
    session: AsyncSession,
    *,
    tenant_id: str,
    uri: str,
    audience: str,
    added_by: str,
    replaces_others: bool,
    now: datetime,
) -> str:
    """Return the id of the person's upload of this name and place, and add it if it does not exist.

    With ``replaces_others``, for admins, an upload of somebody else is taken over instead of adding a second one.
    """
    values = {"tenant": tenant_id, "audience": audience, "uri": uri, "by": added_by, "now": now}
    for number in count(1):
        found = (await session.execute(_SAME_NAME, values)).all()
        own = [row for row in found if row.added_by == added_by]
        if own:
            return str(own[0].id)
        if found and replaces_others:
            await session.execute(_TAKE_OVER, {**values, "id": found[0].id})
            return str(found[0].id)
        added = await session.scalar(_ADD, {**values, "id": uuid.uuid4(), "stored_uri": numbered_uri(uri, number)})
        if added is not None:
            return str(added)
    raise AssertionError("unreachable")


def numbered_uri(uri: str, number: int) -> str:
    """Return ``upload:notes (2).md`` for ``upload:notes.md`` and 2, and the URI itself for 1."""
    return PREFIX + numbered(uri.removeprefix(PREFIX), number)


@dataclass(frozen=True, slots=True)
class Upload:
    """The source of an upload. ``documents`` are the names of its documents."""

    source_id: uuid.UUID
    uri: str
    audience: str
    documents: tuple[str, ...]


_UPLOADS_BY = text("""
    SELECT id, uri, audience, ARRAY(
        SELECT documents.uri FROM documents
        WHERE documents.tenant_id = :tenant AND documents.source_id = sources.id
    ) AS documents
    FROM sources
    WHERE tenant_id = :tenant AND kind = 'upload' AND added_by = :by
    ORDER BY uri
""")


async def uploads_by(session: AsyncSession, *, tenant_id: str, user_id: str) -> list[Upload]:
    """Return the uploads of one person, including those that still wait for the worker."""
    rows = await session.execute(_UPLOADS_BY, {"tenant": tenant_id, "by": user_id})
    return [Upload(row.id, row.uri, row.audience, tuple(row.documents)) for row in rows]


async def delete_uploads(session: AsyncSession, *, tenant_id: str, uploads: Sequence[Upload]) -> int:
    """Delete uploads with their documents and waiting bytes; return the number of documents."""
    # A document that is stored after the ids are read would be deleted with its source, but stay in the index.
    await lock(session, tenant_id)
    values = {"tenant": tenant_id, "ids": [upload.source_id for upload in uploads]}
    ids = await session.scalars(
        text("SELECT id FROM documents WHERE tenant_id = :tenant AND source_id = ANY(:ids)"), values
    )
    deleted = await document_writes.delete_documents(session, tenant_id, list(ids))
    await session.execute(text("DELETE FROM sources WHERE tenant_id = :tenant AND id = ANY(:ids)"), values)
    return deleted


async def forget_person(session: AsyncSession, *, tenant_id: str, user_id: str, pseudonym: str) -> int:
    """Hand the person's sources to the admins, and rename them in ingestion runs. Return the number of sources."""
    await session.execute(
        text("UPDATE ingests SET asked_by = :pseudonym WHERE tenant_id = :tenant AND asked_by = :by"),
        {"tenant": tenant_id, "by": user_id, "pseudonym": pseudonym},
    )
    handed_over = await session.execute(
        text("UPDATE sources SET added_by = NULL WHERE tenant_id = :tenant AND added_by = :by RETURNING id"),
        {"tenant": tenant_id, "by": user_id},
    )
    return len(handed_over.all())


# A source with an active run stays: the run still needs it.
_DELETE_EMPTY = text("""
    DELETE FROM sources
    WHERE tenant_id = :tenant AND id = :id AND kind = 'upload'
        AND NOT EXISTS (SELECT FROM documents WHERE documents.tenant_id = :tenant AND source_id = sources.id)
        AND NOT EXISTS (
            SELECT FROM ingests
            WHERE ingests.tenant_id = :tenant AND source_id = sources.id AND state IN ('waiting', 'running')
        )
""")


async def delete_if_empty(session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID) -> None:
    """Delete an upload's source once its document is deleted, so that its name is free again."""
    await session.execute(_DELETE_EMPTY, {"tenant": tenant_id, "id": source_id})
