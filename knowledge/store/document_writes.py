"""Writes documents: stores new versions with their chunks and vectors, records failures, deletes documents.

Every function runs inside its caller's transaction and tenant.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge import bm25
from knowledge.bm25 import IndexedChunk
from knowledge.errors import ErasedError
from knowledge.metadata import dated_at
from knowledge.store import document_files, mail_attachments, serving_model
from knowledge.store.chunk_vectors import add_embeddings
from knowledge.store.chunk_writes import (
    chunks_without_vector,
    compare_chunks,
    delete_chunks,
    insert_chunks,
    move_chunks,
    stored_chunks,
)
from knowledge.store.document_rows import EmbeddedChunk, NewDocument, upsert_documents
from knowledge.store.knowledge_version import lock_and_increment, lock_unless_erased
from knowledge.store.serving_model import Serving

BATCH_CHUNKS = 128
"""Chunks that one statement stores. The driver prepares a statement on the event loop's thread."""
GONE_READINGS = 2
"""Readings that must find that a document no longer exists before it is marked as gone."""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """The state of a stored document; ``missing_vectors`` counts the vectors that its chunks still need."""

    content_hash: str
    recipe: str
    state: str
    missing_vectors: int
    is_without_text: bool = False


class OutdatedError(Exception):
    """Another writer changed the document after its chunks were compared; compare them again."""


# The document's hash, recipe and state, its number of chunks, and how many vectors of the models they have.
_DOCUMENT_STATE = text("""
    SELECT content_hash, recipe, state, state = 'failed' AND text = '' AS is_without_text,
        (
            SELECT count(*) FROM chunks
            WHERE chunks.tenant_id = :tenant AND document_id = documents.id
        ) AS chunks,
        (
            SELECT count(*) FROM chunks JOIN embeddings USING (tenant_id, chunk_id)
            WHERE chunks.tenant_id = :tenant AND document_id = documents.id AND model = ANY(:models)
        ) AS vectors
    FROM documents
    WHERE tenant_id = :tenant AND source_id = :source AND uri = :uri
""")


async def read_document_state(
    session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, uri: str, models: Sequence[str]
) -> StoredDocument | None:
    """Return the state of the stored document; None if it does not exist. Each chunk needs a vector of each model."""
    rows = await session.execute(
        _DOCUMENT_STATE, {"tenant": tenant_id, "source": source_id, "uri": uri, "models": list(models)}
    )
    row = rows.one_or_none()
    if row is None:
        return None
    missing = row.chunks * len(models) - row.vectors
    return StoredDocument(row.content_hash, row.recipe, row.state, missing, row.is_without_text)


# A parameter that is NULL keeps the stored value. Returns the number of the document's chunks.
_MARK_UNCHANGED = text("""
    WITH marked AS (
        UPDATE documents SET
            fetched_at = :now,
            error = '',
            gone_readings = 0,
            gone_since = NULL,
            metadata = metadata || coalesce(CAST(:metadata AS jsonb), '{}'),
            memo = coalesce(CAST(:memo AS text), memo),
            dated_at = coalesce(:dated, dated_at)
        WHERE tenant_id = :tenant AND source_id = :source AND uri = :uri
        RETURNING id
    )
    SELECT count(*) FROM chunks JOIN marked ON document_id = marked.id WHERE chunks.tenant_id = :tenant
""")


async def mark_unchanged(
    session: AsyncSession,
    *,
    tenant_id: str,
    source_id: uuid.UUID,
    uri: str,
    now: datetime,
    metadata: Mapping[str, str] | None = None,
    memo: str | None = None,
) -> int:
    """Record that the document was read again and had not changed; return the number of its chunks.

    If given, ``metadata`` is merged into the stored metadata, and ``memo`` replaces the stored memo. Before a memo is
    written, call ``lock_unless_erased``: an erasure removes messages from it.
    """
    chunks = await session.scalar(
        _MARK_UNCHANGED,
        {
            "tenant": tenant_id,
            "source": source_id,
            "uri": uri,
            "now": now,
            "metadata": None if metadata is None else json.dumps(dict(metadata)),
            "dated": None if metadata is None else dated_at(metadata),
            "memo": memo,
        },
    )
    return int(chunks or 0)


async def replace_documents(
    session: AsyncSession,
    *,
    tenant_id: str,
    source_id: uuid.UUID,
    audience: str,
    recipe: str,
    documents: Sequence[NewDocument],
    serving: Serving,
    models: Sequence[str],
    now: datetime,
    read_at: int | None = None,
    keep_vectors: bool = False,
) -> None:
    """Store documents of one source, or replace their stored versions. Their names must differ.

    Chunks that did not change keep their vectors and postings. Afterwards, every chunk has a vector of each of
    ``models``. Raises OutdatedError if a vector is missing because another writer was faster, or if ``serving`` no
    longer names the tenant's serving models. ``keep_vectors``: the vectors of replaced texts are kept for a while.
    Raises ErasedError if the source was deleted, or if a person's data was
    erased after the knowledge version ``read_at``, at which the documents were read.
    """
    if read_at is not None:
        await lock_unless_erased(session, tenant_id, read_at)
    next_number = await lock_and_increment(session, tenant_id)
    if not await _source_exists(session, tenant_id, source_id):
        raise ErasedError("This source was deleted while it was read.")
    if await serving_model.read(session, tenant_id) != serving:
        raise OutdatedError
    ids = await upsert_documents(session, tenant_id, source_id, audience, recipe, documents, now)
    await document_files.replace_files(session, tenant_id, {ids[new.document.uri]: new.file for new in documents})
    stored = await stored_chunks(session, tenant_id, list(ids.values()))
    async for batch in _batches(documents, ids):
        changes = compare_chunks(stored, batch)
        await move_chunks(session, tenant_id, {number: one.chunk for number, one in changes.kept.items()})
        added = {next_number + index: chunk for index, chunk in enumerate(changes.added)}
        next_number += len(added)
        rows = {number: (document, one.chunk) for number, (document, one) in added.items()}
        await insert_chunks(session, tenant_id, audience, rows)
        new = {number: one for number, (_, one) in added.items()}
        for model in models:
            await _add_vectors(session, tenant_id, model, changes.kept, new)
        indexed = [IndexedChunk(number, audience, one.chunk.terms) for number, one in new.items()]
        await bm25.index(session, tenant_id, indexed)
    await delete_chunks(session, tenant_id, stored.left(), keep_vectors=keep_vectors)


async def _batches(
    documents: Sequence[NewDocument], ids: Mapping[str, uuid.UUID]
) -> AsyncIterator[list[tuple[uuid.UUID, EmbeddedChunk]]]:
    """Yield the chunks of all documents with the ID of their document, ``BATCH_CHUNKS`` or fewer at a time."""
    batch: list[tuple[uuid.UUID, EmbeddedChunk]] = []
    for new in documents:
        async for chunks in new.chunks.batches():
            for chunk in chunks:
                batch.append((ids[new.document.uri], chunk))
                if len(batch) == BATCH_CHUNKS:
                    yield batch
                    batch = []
    if batch:
        yield batch


async def _add_vectors(
    session: AsyncSession,
    tenant_id: str,
    model: str,
    kept: Mapping[int, EmbeddedChunk],
    added: Mapping[int, EmbeddedChunk],
) -> None:
    """Store the vectors of the added chunks, and those that the kept ones lack. Raises OutdatedError."""
    unembedded = await chunks_without_vector(session, tenant_id, list(kept), model)
    needed = {**added, **{number: kept[number] for number in unembedded}}
    embedded = {number: one.vectors[model] for number, one in needed.items() if model in one.vectors}
    if len(embedded) < len(needed):
        raise OutdatedError
    await add_embeddings(session, tenant_id, model, embedded)


async def _source_exists(session: AsyncSession, tenant_id: str, source_id: uuid.UUID) -> bool:
    found = await session.scalar(
        text("SELECT 1 FROM sources WHERE tenant_id = :tenant AND id = :source FOR KEY SHARE"),
        {"tenant": tenant_id, "source": source_id},
    )
    return found is not None


# An existing document keeps its text, chunks and vectors, and the time when it was last read.
_RECORD_FAILURE = text("""
    INSERT INTO documents (
        tenant_id, id, source_id, uri, title, text, blocks, metadata,
        content_hash, recipe, audience, state, error, fetched_at
    )
    VALUES (:tenant, :id, :source, :uri, :uri, '', '[]', '{}', :hash, :recipe, :audience, 'failed', :error, :now)
    ON CONFLICT (tenant_id, source_id, uri) DO UPDATE SET
        content_hash = CASE WHEN documents.text = '' THEN excluded.content_hash ELSE documents.content_hash END,
        recipe = CASE WHEN documents.text = '' THEN excluded.recipe ELSE documents.recipe END,
        state = 'failed',
        error = excluded.error,
        fetched_at = CASE WHEN documents.text = '' THEN excluded.fetched_at ELSE documents.fetched_at END,
        gone_readings = CASE WHEN :gone THEN documents.gone_readings + 1 ELSE documents.gone_readings END,
        gone_since = CASE WHEN :gone THEN coalesce(documents.gone_since, :now) ELSE documents.gone_since END
    RETURNING gone_readings, text <> ''
""")


async def record_failure(
    session: AsyncSession,
    *,
    tenant_id: str,
    source_id: uuid.UUID,
    audience: str,
    uri: str,
    error: str,
    now: datetime,
    gone: bool = False,
    content_hash: str = "",
    recipe: str = "",
) -> None:
    """Record why a document could not be ingested. A version stored earlier stays searchable.

    ``gone``: it no longer exists. After the second such reading, citations of the earlier version say so.
    ``content_hash`` and ``recipe`` are those of a file that need not be read again as long as it stays as it is.
    """
    rows = await session.execute(
        _RECORD_FAILURE,
        {
            "tenant": tenant_id,
            "id": uuid.uuid4(),
            "source": source_id,
            "uri": uri,
            "audience": audience,
            "error": error,
            "now": now,
            "gone": gone,
            "hash": content_hash,
            "recipe": recipe,
        },
    )
    readings, has_text = rows.one()
    if gone and has_text and readings == GONE_READINGS:
        await lock_and_increment(session, tenant_id)  # Answers that cite it as current are not given again.


async def delete_documents(
    session: AsyncSession, tenant_id: str, ids: Sequence[uuid.UUID], *, keep_vectors: bool = False
) -> int:
    """Delete documents and what is attached to them, with chunks, vectors and postings; return how many existed.

    ``keep_vectors``: the documents may come back, so the vectors of their texts are kept for a while.
    """
    if not ids:
        return 0
    await lock_and_increment(session, tenant_id)
    ids = await mail_attachments.with_attached(session, tenant_id, ids)
    stored = await stored_chunks(session, tenant_id, ids)
    await delete_chunks(session, tenant_id, stored.left(), keep_vectors=keep_vectors)
    deleted = await session.scalars(
        text("DELETE FROM documents WHERE tenant_id = :tenant AND id = ANY(:ids) RETURNING id"),
        {"tenant": tenant_id, "ids": list(ids)},
    )
    return len(deleted.all())
