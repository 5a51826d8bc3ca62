"""Lists, shows and deletes stored documents, and lists sources. Raises KnowledgeError for unknown ids."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.errors import KnowledgeError
from knowledge.store import distinct_document_names
from knowledge.types.documents import DocumentRow, Order


@dataclass(frozen=True, slots=True)
class DocumentText:
    """A document with its text, or the beginning of it. ``complete``: the text is the full text."""

    row: DocumentRow
    text: str
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The text around a quote, and where the quote begins in it; None if the document no longer contains it."""

    audience: str
    text: str
    start: int | None


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A stored source. ``uri`` opens the source again, unless it is an upload.

    ``refresh_seconds`` is the source's own refresh interval; None means that the setting applies. ``added_by`` is the
    id of the person who added it; None if that is unknown.
    """

    id: str
    uri: str
    kind: str
    audience: str
    refresh_seconds: int | None = None
    added_by: str | None = None

    @property
    def can_be_read_again(self) -> bool:
        return self.kind != "upload"


# The columns of DocumentRow, in its order. A picture in which nothing was recognized is a failure with a hash.
_DOCUMENT_ROWS = """
    SELECT
        CAST(id AS text), uri, title,
        (
            SELECT count(*) FROM chunks
            WHERE chunks.tenant_id = documents.tenant_id AND document_id = documents.id
        ),
        audience, fetched_at,
        CASE WHEN state = 'failed' AND text = '' AND content_hash <> '' THEN 'no text' ELSE state END AS shown_state,
        CASE WHEN gone_readings >= 2
            THEN 'gone since ' || to_char(gone_since AT TIME ZONE 'UTC', 'YYYY-MM-DD') || ': ' || error ELSE error END,
        CASE WHEN EXISTS (
            SELECT FROM documents other
            WHERE other.tenant_id = documents.tenant_id AND other.id <> documents.id
                AND other.id BETWEEN CAST(left(CAST(documents.id AS text), 8) || '-0000-0000-0000-000000000000' AS uuid)
                    AND CAST(left(CAST(documents.id AS text), 8) || '-ffff-ffff-ffff-ffffffffffff' AS uuid)
        ) THEN CAST(id AS text) ELSE left(CAST(id AS text), 8) END,
        warnings
    FROM documents
    WHERE tenant_id = :tenant
"""

# Audiences that are NULL match every document.
_MATCHING = """
        AND (CAST(:audiences AS text[]) IS NULL OR audience = ANY(:audiences))
        AND (strpos(lower(uri), lower(:matching)) > 0 OR strpos(lower(title), lower(:matching)) > 0)
"""
_ORDER_BY: Mapping[Order, str] = {
    "source": "uri, id",
    "title": "lower(title), uri, id",
    "age": "fetched_at DESC, uri, id",
    "state": "shown_state, uri, id",
    "size": "length(text) DESC, uri, id",
}
_LIST_DOCUMENTS = {
    order: text(f"{_DOCUMENT_ROWS} {_MATCHING} ORDER BY {by} LIMIT :limit OFFSET :offset")
    for order, by in _ORDER_BY.items()
}
_COUNT_DOCUMENTS = text(f"SELECT count(*) FROM documents WHERE tenant_id = :tenant {_MATCHING}")  # noqa: S608

# One document by id.
_SHOW_DOCUMENT = text(f"{_DOCUMENT_ROWS} AND id = :id")


async def list_documents(
    session: AsyncSession,
    tenant_id: str,
    *,
    audiences: Sequence[str] | None = None,
    matching: str = "",
    order: Order = "source",
    limit: int | None = None,
    offset: int = 0,
) -> list[DocumentRow]:
    """Return the tenant's documents, failed ones included; at most ``limit`` of them after the first ``offset``.

    ``matching`` is a part of the source or title. ``audiences`` limits the list to documents that these audiences may
    read; None lists all. The ``source`` of a row has parent folders where documents of two folders have one name.
    """
    values = {**_filter(tenant_id, audiences, matching), "limit": limit, "offset": offset}
    rows = [DocumentRow(*row) for row in await session.execute(_LIST_DOCUMENTS[order], values)]
    return await distinct_document_names.told_apart(session, tenant_id, rows)


async def count_documents(
    session: AsyncSession, tenant_id: str, *, audiences: Sequence[str] | None = None, matching: str = ""
) -> int:
    """Return how many documents ``list_documents`` lists without a limit."""
    return int(await session.scalar(_COUNT_DOCUMENTS, _filter(tenant_id, audiences, matching)) or 0)


def _filter(tenant_id: str, audiences: Sequence[str] | None, matching: str) -> dict[str, object]:
    return {
        "tenant": tenant_id,
        "audiences": None if audiences is None else list(audiences),
        "matching": matching,
    }


async def show(session: AsyncSession, tenant_id: str, document_id: str, *, max_chars: int = 2**31 - 2) -> DocumentText:
    """Return one document with its text, or with the first ``max_chars`` characters of it."""
    values = {"tenant": tenant_id, "id": _uuid(document_id), "chars": max_chars}
    row = (await session.execute(_SHOW_DOCUMENT, values)).one_or_none()
    if row is None:
        raise _unknown(document_id)
    found = (await session.execute(_BEGINNING, values)).one()
    return DocumentText(DocumentRow(*row), str(found.beginning), bool(found.complete))


_BEGINNING = text("""
    SELECT substr(text, 1, :chars) AS beginning, length(text) <= :chars AS complete
    FROM documents
    WHERE tenant_id = :tenant AND id = :id
""")

# The quote is looked for at its offset first. ``place`` counts from 1; 0 means that the quote is gone.
_AROUND = text("""
    SELECT audience, place, substr(text, greatest(1, place - :chars), length(:quote) + 2 * :chars) AS around
    FROM (
        SELECT
            audience, text,
            CASE WHEN substr(text, :start, length(:quote)) = :quote THEN :start ELSE strpos(text, :quote) END AS place
        FROM documents
        WHERE tenant_id = :tenant AND id = :id
    ) AS found
""")


async def around(
    session: AsyncSession, tenant_id: str, document_id: str, *, quote: str, start: int, chars: int
) -> Surroundings:
    """Return a quote of a document with at most ``chars`` characters before and after it. It was at ``start``."""
    values = {"tenant": tenant_id, "id": _uuid(document_id), "quote": quote, "start": start + 1, "chars": chars}
    row = (await session.execute(_AROUND, values)).one_or_none()
    if row is None:
        raise _unknown(document_id)
    return Surroundings(row.audience, str(row.around), min(row.place - 1, chars) if row.place else None)


async def delete(session: AsyncSession, tenant_id: str, document_id: str) -> None:
    """Delete one document with its chunks, vectors and postings."""
    # They load NumPy, which lists of documents do not need.
    from knowledge.store import document_writes, upload_records

    source_id = await session.scalar(
        text("SELECT source_id FROM documents WHERE tenant_id = :tenant AND id = :id"),
        {"tenant": tenant_id, "id": _uuid(document_id)},
    )
    if not await document_writes.delete_documents(session, tenant_id, [_uuid(document_id)]):
        raise _unknown(document_id)
    await upload_records.delete_if_empty(session, tenant_id=tenant_id, source_id=source_id)


# A document or audiences that are NULL match every source.
_LIST_SOURCES = text("""
    SELECT CAST(id AS text), uri, kind, audience, refresh_seconds, added_by
    FROM sources
    WHERE tenant_id = :tenant
        AND (
            CAST(:document AS uuid) IS NULL
            OR id = (SELECT source_id FROM documents WHERE tenant_id = :tenant AND id = :document)
        )
        AND (CAST(:audiences AS text[]) IS NULL OR audience = ANY(:audiences))
    ORDER BY uri, id
""")


async def sources(
    session: AsyncSession,
    tenant_id: str,
    *,
    document_id: str | None = None,
    audiences: Sequence[str] | None = None,
) -> list[SourceRow]:
    """Return all sources, or the one of a document; only those of ``audiences`` if these are given."""
    wanted = _uuid(document_id) if document_id else None
    rows = await session.execute(
        _LIST_SOURCES,
        {
            "tenant": tenant_id,
            "document": wanted,
            "audiences": None if audiences is None else list(audiences),
        },
    )
    found = [SourceRow(*row) for row in rows]
    if wanted and not found:
        raise _unknown(str(document_id))
    return found


def _uuid(document_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(document_id)
    except ValueError:
        raise _unknown(document_id) from None


def _unknown(document_id: str) -> KnowledgeError:
    return KnowledgeError(f"There is no document {document_id}. `docs list` shows all documents with their IDs.")
