"""Names what the newest documents are about, so that a page can suggest questions about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

COUNTED_DOCUMENTS = 10_000
"""Documents up to which ``count`` counts: a page needs no more than their order of magnitude."""


@dataclass(frozen=True, slots=True)
class Topic:
    """The title of a document, and the first heading in it that says something else; empty if there is none."""

    title: str
    heading: str


# The newest documents that can be searched, one of each title.
_NEWEST = text("""
    SELECT newest.title, coalesce((
        SELECT heading[cardinality(heading)] FROM chunks
        WHERE chunks.tenant_id = :tenant AND document_id = newest.id
            AND cardinality(heading) > 0 AND heading[cardinality(heading)] <> newest.title
        ORDER BY position LIMIT 1
    ), '') AS heading
    FROM (
        SELECT id, title FROM documents
        WHERE tenant_id = :tenant AND audience = ANY(:audiences) AND state = 'ready' AND text <> '' AND title <> ''
        ORDER BY dated_at DESC LIMIT :limit
    ) AS newest
""")

_COUNT = text(f"""
    SELECT count(*) FROM (
        SELECT FROM documents WHERE tenant_id = :tenant AND audience = ANY(:audiences) AND text <> ''
        LIMIT {COUNTED_DOCUMENTS}
    ) AS counted
""")  # noqa: S608

_HAS_SOURCE = text("""
    SELECT EXISTS (
        SELECT FROM sources JOIN documents
            ON documents.tenant_id = sources.tenant_id AND documents.source_id = sources.id
        WHERE sources.tenant_id = :tenant AND sources.uri = :uri AND sources.audience = ANY(:audiences)
    )
""")


async def newest(session: AsyncSession, tenant_id: str, *, audiences: Sequence[str], limit: int) -> list[Topic]:
    """Return the topics of at most ``limit`` documents that these audiences may read, the newest first."""
    rows = await session.execute(_NEWEST, {"tenant": tenant_id, "audiences": list(audiences), "limit": limit})
    return list({row.title: Topic(row.title, row.heading) for row in rows}.values())


async def count(session: AsyncSession, tenant_id: str, *, audiences: Sequence[str]) -> int:
    """Return how many documents these audiences can search, at most ``COUNTED_DOCUMENTS``."""
    return int(await session.scalar(_COUNT, {"tenant": tenant_id, "audiences": list(audiences)}) or 0)


async def has_source(session: AsyncSession, tenant_id: str, *, uri: str, audiences: Sequence[str]) -> bool:
    """Return whether a source has a document, and these audiences may read it."""
    return bool(await session.scalar(_HAS_SOURCE, {"tenant": tenant_id, "uri": uri, "audiences": list(audiences)}))
