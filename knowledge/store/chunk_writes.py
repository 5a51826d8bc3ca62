"""Writes the chunks of documents: compares new chunks with the stored ones, then inserts, moves and deletes rows.

Every function runs inside its caller's transaction and tenant.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge import bm25
from knowledge.store import kept_vectors
from knowledge.text import search_terms
from knowledge.types.documents import Chunk

ROWS_PER_READ = 2000
"""Rows that one statement reads or deletes: a large document has tens of thousands of chunks."""


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A chunk to store. ``digest`` is the hash of its header and text; ``terms`` are what BM25 counts."""

    chunk: Chunk
    header: str
    digest: str
    terms: Sequence[str]


ChunkOfDocument = tuple[uuid.UUID, NewChunk]
"""The id of a document, and one of its chunks."""


class HasChunk(Protocol):
    """A new chunk, with whatever belongs to it."""

    @property
    def chunk(self) -> NewChunk: ...


New = TypeVar("New", bound=HasChunk)


@dataclass(slots=True)
class StoredChunks:
    """The stored chunks of documents that no new chunk has matched so far."""

    numbers: dict[tuple[uuid.UUID, str], deque[int]] = field(default_factory=lambda: defaultdict(deque))
    terms: dict[int, int] = field(default_factory=dict)

    def take(self, document: uuid.UUID, digest: str) -> int | None:
        """Return the number of the first remaining chunk with this digest, and match it; None if there is none."""
        same = self.numbers.get((document, digest))
        if not same:
            return None
        number = same.popleft()
        del self.terms[number]
        return number

    def left(self) -> Mapping[int, int]:
        """Return the number of terms of each chunk that was not matched, by number."""
        return self.terms


@dataclass(frozen=True, slots=True)
class ChunkChanges(Generic[New]):
    """The difference between stored chunks and new ones.

    ``kept`` are stored chunks, by number, with the new chunk of the same digest. ``added`` are new chunks without a
    stored counterpart, with the id of their document.
    """

    kept: Mapping[int, New]
    added: Sequence[tuple[uuid.UUID, New]]


# In reading order, so that equal chunks of one document are matched in this order.
_STORED_CHUNKS = text("""
    SELECT document_id, position, chunk_id, digest, terms
    FROM chunks
    WHERE tenant_id = :tenant AND document_id = ANY(:documents)
        AND (document_id, position) > (CAST(:document AS uuid), CAST(:position AS int))
    ORDER BY document_id, position
    LIMIT :limit
""")


async def stored_chunks(session: AsyncSession, tenant_id: str, documents: Sequence[uuid.UUID]) -> StoredChunks:
    """Return the stored chunks of the documents."""
    found = StoredChunks()
    after: tuple[uuid.UUID, int] | None = (uuid.UUID(int=0), -1)
    while after is not None and documents:
        values = {"tenant": tenant_id, "documents": list(documents), "limit": ROWS_PER_READ}
        rows = (await session.execute(_STORED_CHUNKS, {**values, "document": after[0], "position": after[1]})).all()
        for document, _, number, digest, terms in rows:
            found.numbers[document, digest].append(number)
            found.terms[number] = terms
        after = (rows[-1].document_id, rows[-1].position) if len(rows) == ROWS_PER_READ else None
    return found


def compare_chunks(stored: StoredChunks, chunks: Sequence[tuple[uuid.UUID, New]]) -> ChunkChanges[New]:
    """Match new chunks, each with the id of its document, with stored ones by their digests."""
    kept: dict[int, New] = {}
    added: list[tuple[uuid.UUID, New]] = []
    for document, new in chunks:
        number = stored.take(document, new.chunk.digest)
        if number is None:
            added.append((document, new))
        else:
            kept[number] = new
    return ChunkChanges(kept, added)


async def delete_chunks(
    session: AsyncSession, tenant_id: str, deleted: Mapping[int, int], *, keep_vectors: bool = False
) -> None:
    """Delete chunks with their vectors and postings. ``deleted`` has each chunk's number of terms, by number.

    ``keep_vectors``: their texts may come back, so their vectors are kept for a while.
    """
    if not deleted:
        return
    await bm25.remove(session, tenant_id, deleted)
    numbers = list(deleted)
    for start in range(0, len(numbers), ROWS_PER_READ):
        batch = numbers[start : start + ROWS_PER_READ]
        if keep_vectors:
            await kept_vectors.keep(session, tenant_id, batch)
        await session.execute(
            text("DELETE FROM chunks WHERE tenant_id = :tenant AND chunk_id = ANY(:numbers)"),
            {"tenant": tenant_id, "numbers": batch},
        )


# Rows whose position did not change are not updated, because an update always writes a new row version.
_MOVE_CHUNKS = text("""
    UPDATE chunks SET
        position = new.position,
        start_char = new.start,
        end_char = new.stop,
        page = new.page,
        window_start = new.opens,
        window_end = new.closes
    FROM unnest(
        CAST(:numbers AS bigint[]), CAST(:positions AS int[]), CAST(:starts AS int[]), CAST(:stops AS int[]),
        CAST(:pages AS int[]), CAST(:opens AS int[]), CAST(:closes AS int[])
    ) AS new (number, position, start, stop, page, opens, closes)
    WHERE tenant_id = :tenant
        AND chunk_id = new.number
        AND (chunks.position, start_char, end_char, chunks.page, window_start, window_end)
            IS DISTINCT FROM (new.position, new.start, new.stop, new.page, new.opens, new.closes)
""")


async def move_chunks(session: AsyncSession, tenant_id: str, kept: Mapping[int, NewChunk]) -> None:
    """Update the positions and offsets of unchanged chunks in their documents."""
    if not kept:
        return
    chunks = [new.chunk for new in kept.values()]
    await session.execute(
        _MOVE_CHUNKS,
        {
            "tenant": tenant_id,
            "numbers": list(kept),
            "positions": [chunk.position for chunk in chunks],
            "starts": [chunk.start for chunk in chunks],
            "stops": [chunk.end for chunk in chunks],
            "pages": [chunk.page for chunk in chunks],
            "opens": [chunk.window[0] if chunk.window else None for chunk in chunks],
            "closes": [chunk.window[1] if chunk.window else None for chunk in chunks],
        },
    )


# Arrays of arrays cannot have rows of different lengths, so each heading path travels as JSON.
_INSERT_CHUNKS = text("""
    INSERT INTO chunks (
        tenant_id, chunk_id, document_id, position, audience, header, text, start_char, end_char, page,
        heading, digest, terms, terms_version, window_start, window_end
    )
    SELECT
        :tenant, number, document, position, :audience, header, body, opens, closes, page,
        ARRAY(SELECT jsonb_array_elements_text(CAST(heading AS jsonb))), digest, terms, :version, window_start,
        window_end
    FROM unnest(
        CAST(:numbers AS bigint[]), CAST(:documents AS uuid[]), CAST(:positions AS int[]), CAST(:headers AS text[]),
        CAST(:texts AS text[]), CAST(:starts AS int[]), CAST(:ends AS int[]), CAST(:pages AS int[]),
        CAST(:headings AS text[]), CAST(:digests AS text[]), CAST(:terms AS int[]), CAST(:opens AS int[]),
        CAST(:closes AS int[])
    ) AS new (
        number, document, position, header, body, opens, closes, page, heading, digest, terms, window_start, window_end
    )
    RETURNING 1
""")


async def insert_chunks(
    session: AsyncSession, tenant_id: str, audience: str, added: Mapping[int, ChunkOfDocument]
) -> None:
    """Insert chunks by number, and move the tenant's next chunk number past them."""
    if not added:
        return
    new_chunks = [new for _, new in added.values()]
    chunks = [new.chunk for new in new_chunks]
    await session.execute(
        _INSERT_CHUNKS,
        {
            "tenant": tenant_id,
            "audience": audience,
            "version": search_terms.VERSION,
            "numbers": list(added),
            "documents": [document for document, _ in added.values()],
            "positions": [chunk.position for chunk in chunks],
            "headers": [new.header for new in new_chunks],
            "texts": [chunk.text for chunk in chunks],
            "starts": [chunk.start for chunk in chunks],
            "ends": [chunk.end for chunk in chunks],
            "pages": [chunk.page for chunk in chunks],
            "headings": [json.dumps(list(chunk.heading)) for chunk in chunks],
            "digests": [new.digest for new in new_chunks],
            "terms": [len(new.terms) for new in new_chunks],
            "opens": [chunk.window[0] if chunk.window else None for chunk in chunks],
            "closes": [chunk.window[1] if chunk.window else None for chunk in chunks],
        },
    )
    await session.execute(
        text("UPDATE knowledge_state SET next_chunk = next_chunk + :added WHERE tenant_id = :tenant"),
        {"tenant": tenant_id, "added": len(added)},
    )


# The digests of chunks, by document, that already have a vector of the model, and how many chunks have each. A vector
# is looked up by its key: before the tables have statistics, Postgres would read all vectors for each chunk.
_EMBEDDED_DIGESTS = text("""
    SELECT uri, digest, count(*)
    FROM documents
    JOIN chunks ON chunks.tenant_id = documents.tenant_id AND chunks.document_id = documents.id
    CROSS JOIN LATERAL (
        SELECT 1 FROM embeddings
        WHERE tenant_id = :tenant AND chunk_id = chunks.chunk_id AND model = :model
        LIMIT 1
    ) AS embedded
    WHERE documents.tenant_id = :tenant AND source_id = :source AND uri = ANY(:uris) AND digest = ANY(:digests)
    GROUP BY uri, digest
""")


async def embedded_digests(
    session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, digests: Mapping[str, Sequence[str]], model: str
) -> dict[str, Counter[str]]:
    """Return for each document how many of its stored chunks with each digest have a vector of the model."""
    rows = await session.execute(
        _EMBEDDED_DIGESTS,
        {
            "tenant": tenant_id,
            "source": source_id,
            "uris": list(digests),
            "digests": list({digest for of_document in digests.values() for digest in of_document}),
            "model": model,
        },
    )
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for uri, digest, count in rows:
        found[uri][digest] = count
    return found


async def chunks_without_vector(session: AsyncSession, tenant_id: str, numbers: Sequence[int], model: str) -> list[int]:
    """Return those of the chunks, in ascending order, that have no vector of the model."""
    if not numbers:
        return []
    embedded = await session.scalars(
        text(
            "SELECT chunk_id FROM embeddings WHERE tenant_id = :tenant AND model = :model AND chunk_id = ANY(:numbers)"
        ),
        {"tenant": tenant_id, "model": model, "numbers": list(numbers)},
    )
    return sorted(set(numbers) - set(embedded))
