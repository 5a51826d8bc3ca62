"""Finds the documents that are attached to mails. They belong to the source of the mail, and go with it.

Every function runs inside its caller's transaction and tenant.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_WITH_ATTACHED = text("""
    WITH RECURSIVE found AS (
        SELECT id, source_id, uri FROM documents WHERE tenant_id = :tenant AND id = ANY(:ids)
        UNION
        SELECT documents.id, documents.source_id, documents.uri
        FROM documents
        JOIN found ON documents.source_id = found.source_id AND documents.attached_to = found.uri
        WHERE documents.tenant_id = :tenant AND documents.attached_to <> ''
    )
    SELECT id FROM found
""")


async def with_attached(session: AsyncSession, tenant_id: str, ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Return those of the documents that exist, and what is attached to them, at all levels."""
    return list(await session.scalars(_WITH_ATTACHED, {"tenant": tenant_id, "ids": list(ids)}))


_ATTACHED = text("""
    SELECT attached_to, uri FROM documents
    WHERE tenant_id = :tenant AND source_id = :source AND attached_to <> ''
    ORDER BY uri
""")


async def read_attached(session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID) -> Mapping[str, Sequence[str]]:
    """Return the names of the source's attached documents, at all levels, by the name of the outermost mail."""
    rows = await session.execute(_ATTACHED, {"tenant": tenant_id, "source": source_id})
    above = {row.uri: row.attached_to for row in rows}
    found: dict[str, list[str]] = defaultdict(list)
    for name in above:
        outermost = name
        while outermost in above:
            outermost = above[outermost]
        found[outermost].append(name)
    return dict(found)
