"""Writes the rows of documents, and defines a document as it is stored: the row with its chunks and their vectors.

Every function runs inside its caller's transaction and tenant.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge import text_locations
from knowledge.metadata import ATTACHED_TO, dated_at
from knowledge.store.chunk_vectors import Embedded
from knowledge.store.chunk_writes import NewChunk
from knowledge.types.documents import Document

PIECE_CHARS = 2_000_000
"""Characters of a text that one statement writes. The driver copies them on the event loop's thread."""


@dataclass(frozen=True, slots=True)
class EmbeddedChunk:
    """A chunk to store, and its vectors by model. A vector that is stored already may be missing."""

    chunk: NewChunk
    vectors: dict[str, Embedded]


class Batches(Protocol):
    """The chunks of a document in order. ``chunks`` is their number."""

    chunks: int

    def batches(self) -> AsyncIterator[list[EmbeddedChunk]]:
        """Yield the chunks, a few at a time."""


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to store. Its chunks are read once more for every attempt to store it."""

    document: Document
    memo: str
    content_hash: str
    chunks: Batches
    file: bytes = b""
    """Its file, if the pages are shown as pictures."""


# A document without a date gets the time when its present content was first seen.
_UPSERT_DOCUMENTS = text("""
    INSERT INTO documents (
        tenant_id, id, source_id, uri, title, text, blocks, metadata,
        content_hash, recipe, audience, state, fetched_at, memo, dated_at, warnings, attached_to
    )
    SELECT
        :tenant, new.id, :source, new.uri, new.title, new.body, CAST(new.places AS jsonb), CAST(new.metadata AS jsonb),
        new.hash, :recipe, :audience, 'ready', :now, new.memo, coalesce(new.dated, same.dated_at, :now),
        CAST(new.warnings AS jsonb), new.attached_to
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:uris AS text[]), CAST(:titles AS text[]), CAST(:texts AS text[]),
        CAST(:metadata AS text[]), CAST(:hashes AS text[]), CAST(:memos AS text[]),
        CAST(:dates AS timestamptz[]), CAST(:places AS text[]), CAST(:warnings AS text[]),
        CAST(:attached AS text[])
    ) AS new (id, uri, title, body, metadata, hash, memo, dated, places, warnings, attached_to)
    LEFT JOIN documents AS same
        ON same.tenant_id = :tenant AND same.source_id = :source AND same.uri = new.uri AND same.content_hash = new.hash
    ON CONFLICT (tenant_id, source_id, uri) DO UPDATE SET
        title = excluded.title,
        text = excluded.text,
        blocks = excluded.blocks,
        metadata = excluded.metadata,
        content_hash = excluded.content_hash,
        recipe = excluded.recipe,
        state = 'ready',
        error = '',
        gone_readings = 0,
        gone_since = NULL,
        fetched_at = excluded.fetched_at,
        memo = excluded.memo,
        warnings = excluded.warnings,
        attached_to = excluded.attached_to,
        changed_at = CASE
            WHEN documents.content_hash IN (excluded.content_hash, '') THEN documents.changed_at
            ELSE excluded.fetched_at
        END,
        dated_at = excluded.dated_at
    RETURNING uri, id
""")


async def upsert_documents(
    session: AsyncSession,
    tenant_id: str,
    source_id: uuid.UUID,
    audience: str,
    recipe: str,
    new_documents: Sequence[NewDocument],
    now: datetime,
) -> dict[str, uuid.UUID]:
    """Write the rows of the documents and return the id of each by name."""
    documents = [new.document for new in new_documents]
    large = [new for new in new_documents if len(new.document.text) + len(new.memo) > PIECE_CHARS]
    rows = await session.execute(
        _UPSERT_DOCUMENTS,
        {
            "tenant": tenant_id,
            "source": source_id,
            "recipe": recipe,
            "audience": audience,
            "now": now,
            "ids": [uuid.uuid4() for _ in documents],
            "uris": [document.uri for document in documents],
            "titles": [document.title for document in documents],
            "texts": ["" if new in large else new.document.text for new in new_documents],
            "metadata": [json.dumps(dict(document.metadata)) for document in documents],
            "hashes": [new.content_hash for new in new_documents],
            "memos": ["" if new in large else new.memo for new in new_documents],
            "dates": [dated_at(document.metadata) for document in documents],
            "places": [text_locations.to_json(document) for document in documents],
            "warnings": [json.dumps(document.warnings) for document in documents],
            "attached": [document.metadata.get(ATTACHED_TO, "") for document in documents],
        },
    )
    ids = {row.uri: row.id for row in rows}
    for new in large:
        named = {"tenant": tenant_id, "id": ids[new.document.uri]}
        await _append(session, _APPEND_TEXT, new.document.text, named)
        await _append(session, _APPEND_MEMO, new.memo, named)
    return ids


_APPEND_TEXT = text("UPDATE documents SET text = text || :piece WHERE tenant_id = :tenant AND id = :id")
_APPEND_MEMO = text("UPDATE documents SET memo = memo || :piece WHERE tenant_id = :tenant AND id = :id")


async def _append(session: AsyncSession, statement: TextClause, content: str, named: Mapping[str, object]) -> None:
    """Write a long text in pieces, because the driver copies a parameter several times on the event loop's thread."""
    for start in range(0, len(content), PIECE_CHARS):
        await session.execute(statement, {**named, "piece": content[start : start + PIECE_CHARS]})
