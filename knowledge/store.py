"""What ingestion writes: SQL and nothing else. Every function runs inside its caller's transaction and tenant."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge import bm25
from knowledge import serving_model as models
from knowledge.chunk_vectors import Embedded, add_embeddings
from knowledge.metadata import dated_at
from knowledge.posting_codec import IndexedChunk
from knowledge.serving_model import Serving
from knowledge.types import Chunk, Document, Earlier, Known


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chunk on its way in: ``digest`` names its header and text, ``terms`` are what BM25 counts."""

    chunk: Chunk
    header: str
    digest: str
    terms: Sequence[str]


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it is stored: is it the same, and how many chunks has it."""

    content_hash: str
    recipe: str
    state: str
    chunks: int
    unembedded: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A document on its way in. ``vectors`` by model and digest, of the models that serve."""

    document: Document
    memo: str
    content_hash: str
    prepared: Sequence[Prepared]
    vectors: Mapping[str, Mapping[str, Embedded]]


class OutdatedError(Exception):
    """Another writer changed the document since its chunks were compared: compare again."""


async def bump(session: AsyncSession, tenant_id: str) -> int:
    """Take the tenant's write lock, raise its version, and return the number of the next chunk."""
    return int(
        await session.scalar(
            text(
                "INSERT INTO knowledge_state (tenant_id, version) VALUES (:tenant, 1) ON CONFLICT (tenant_id) "
                "DO UPDATE SET version = knowledge_state.version + 1 RETURNING next_chunk"
            ),
            {"tenant": tenant_id},
        )
        or 0
    )


async def upsert_source(
    session: AsyncSession,
    *,
    tenant_id: str,
    uri: str,
    kind: str,
    audience: str,
    now: datetime,
    chunking: str | None = None,
) -> tuple[uuid.UUID, str | None]:
    """The id of the source, known or not, and the chunking it remembers: the one given, else the one given before."""
    found = await session.execute(
        text(
            "INSERT INTO sources (tenant_id, id, uri, kind, audience, fetched_at, chunking) "
            "VALUES (:tenant, :id, :uri, :kind, :audience, :now, :chunking) "
            "ON CONFLICT (tenant_id, audience, uri) DO UPDATE SET fetched_at = excluded.fetched_at, "
            "chunking = coalesce(excluded.chunking, sources.chunking) RETURNING id, chunking"
        ),
        {
            "tenant": tenant_id,
            "id": uuid.uuid4(),
            "uri": uri,
            "kind": kind,
            "audience": audience,
            "now": now,
            "chunking": chunking,
        },
    )
    source_id, remembered = found.one()
    assert isinstance(source_id, uuid.UUID)
    return source_id, remembered


async def stored(
    session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, uri: str, models: Sequence[str]
) -> Stored | None:
    """The document as it is; ``unembedded`` counts the vectors that its chunks lack of the models."""
    row = (
        await session.execute(
            text(
                "SELECT content_hash, recipe, state, (SELECT count(*) FROM chunks WHERE chunks.tenant_id = :tenant "
                "AND document_id = documents.id) AS chunks, (SELECT count(*) FROM chunks JOIN embeddings USING "
                "(tenant_id, chunk_id) WHERE chunks.tenant_id = :tenant AND document_id = documents.id "
                "AND model = ANY(:models)) AS vectors FROM documents "
                "WHERE tenant_id = :tenant AND source_id = :source AND uri = :uri"
            ),
            {"tenant": tenant_id, "source": source_id, "uri": uri, "models": list(models)},
        )
    ).one_or_none()
    if row is None:
        return None
    lacking = row.chunks * len(models) - row.vectors
    return Stored(row.content_hash, row.recipe, row.state, row.chunks, lacking)


async def touch(
    session: AsyncSession,
    *,
    tenant_id: str,
    source_id: uuid.UUID,
    uri: str,
    now: datetime,
    metadata: Mapping[str, str] | None = None,
    memo: str | None = None,
) -> int:
    """Note that the document was looked at and had not changed; what is given is kept with it.

    Returns the number of its chunks.
    """
    chunks = await session.scalar(
        text(
            "UPDATE documents SET fetched_at = :now, metadata = metadata || coalesce(CAST(:metadata AS jsonb), '{}'), "
            "memo = coalesce(CAST(:memo AS text), memo), dated_at = coalesce(:dated, dated_at) "
            "WHERE tenant_id = :tenant AND source_id = :source AND uri = :uri RETURNING (SELECT count(*) FROM chunks "
            "WHERE chunks.tenant_id = documents.tenant_id AND document_id = documents.id)"
        ),
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


async def known(
    session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, recipe: str, models: Sequence[str]
) -> Known:
    """The source's documents that are whole: read in full, cut by this recipe, with vectors of the models a chunk.

    ``Known.memo`` is left for the caller to wire.
    """
    rows = await session.execute(
        text(
            "SELECT uri, fetched_at, metadata, state = 'ready' AND recipe = :recipe AND NOT EXISTS ("
            "SELECT FROM chunks CROSS JOIN unnest(CAST(:models AS text[])) AS wanted (model) LEFT JOIN embeddings "
            "ON embeddings.tenant_id = chunks.tenant_id AND embeddings.chunk_id = chunks.chunk_id "
            "AND embeddings.model = wanted.model WHERE chunks.tenant_id = documents.tenant_id "
            "AND document_id = documents.id AND embeddings.chunk_id IS NULL) "
            "FROM documents WHERE tenant_id = :tenant AND source_id = :source"
        ),
        {"tenant": tenant_id, "source": source_id, "recipe": recipe, "models": list(models)},
    )
    found = [(uri, Earlier(at, metadata), whole) for uri, at, metadata, whole in rows]
    mark = ""
    if found and all(whole for _, _, whole in found):
        mark = await session.scalar(
            text("SELECT memo FROM sources WHERE tenant_id = :tenant AND id = :source"),
            {"tenant": tenant_id, "source": source_id},
        )
    return Known({uri: earlier for uri, earlier, whole in found if whole}, mark=mark or "")


async def memo(session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, uri: str) -> str:
    """What the source gave to be handed back with the document."""
    found = await session.scalar(
        text("SELECT memo FROM documents WHERE tenant_id = :tenant AND source_id = :source AND uri = :uri"),
        {"tenant": tenant_id, "source": source_id, "uri": uri},
    )
    return str(found or "")


async def set_mark(session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, mark: str) -> None:
    """Keep what the source wants to know of this reading at the next one."""
    await session.execute(
        text("UPDATE sources SET memo = :mark WHERE tenant_id = :tenant AND id = :source"),
        {"tenant": tenant_id, "source": source_id, "mark": mark},
    )


async def embedded_digests(
    session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, uris: Sequence[str], model: str
) -> dict[str, set[str]]:
    """By document: the digests of its chunks that have a vector of the model."""
    rows = await session.execute(
        text(
            "SELECT uri, digest FROM documents "
            "JOIN chunks ON chunks.tenant_id = documents.tenant_id AND chunks.document_id = documents.id "
            "JOIN embeddings ON embeddings.tenant_id = chunks.tenant_id AND embeddings.chunk_id = chunks.chunk_id "
            "WHERE documents.tenant_id = :tenant AND source_id = :source AND uri = ANY(:uris) AND model = :model"
        ),
        {"tenant": tenant_id, "source": source_id, "uris": list(uris), "model": model},
    )
    found: dict[str, set[str]] = defaultdict(set)
    for uri, digest in rows:
        found[uri].add(digest)
    return found


async def replace_documents(
    session: AsyncSession,
    *,
    tenant_id: str,
    source_id: uuid.UUID,
    audience: str,
    recipe: str,
    arrivals: Sequence[Arrival],
    serving: Serving,
    needed: Sequence[str],
    now: datetime,
) -> None:
    """Make documents of one source, no two of one name, read as given: chunks that stayed the same stay, with vectors
    and postings. ``needed`` are the models that every chunk has vectors of.

    Raises OutdatedError where a vector is missing because another writer was faster, or other models serve by now.
    """
    following = await bump(session, tenant_id)
    if await models.read(session, tenant_id) != serving:
        raise OutdatedError
    ids = await _upsert_documents(session, tenant_id, source_id, audience, recipe, arrivals, now)
    by_document = {ids[arrival.document.uri]: arrival for arrival in arrivals}
    kept, fresh, gone = await _compare(session, tenant_id, by_document)
    await _delete_chunks(session, tenant_id, gone)
    await _move(session, tenant_id, {number: new for number, (_, new) in kept.items()})
    added = {following + place: one for place, one in enumerate(fresh)}
    await _insert_chunks(session, tenant_id, audience, added)
    for model in needed:
        bare = await _without_vector(session, tenant_id, list(kept), model)
        embedded: dict[int, Embedded] = {}
        for number, (document, new) in (added | {number: kept[number] for number in bare}).items():
            made = by_document[document].vectors.get(model, {}).get(new.digest)
            if made is None:
                raise OutdatedError
            embedded[number] = made
        await add_embeddings(session, tenant_id, model, embedded)
    indexed = [IndexedChunk(number, audience, new.terms) for number, (_, new) in added.items()]
    await bm25.index(session, tenant_id, indexed)


async def record_failure(
    session: AsyncSession,
    *,
    tenant_id: str,
    source_id: uuid.UUID,
    audience: str,
    uri: str,
    error: str,
    now: datetime,
) -> None:
    """Note why a document could not be taken in. What was known of it before stays and serves."""
    await session.execute(
        text(
            "INSERT INTO documents (tenant_id, id, source_id, uri, title, text, blocks, metadata, content_hash, "
            "recipe, audience, state, error, fetched_at) VALUES (:tenant, :id, :source, :uri, :uri, '', '[]', '{}', "
            "'', '', :audience, 'failed', :error, :now) ON CONFLICT (tenant_id, source_id, uri) "
            "DO UPDATE SET state = 'failed', error = excluded.error, fetched_at = excluded.fetched_at"
        ),
        {
            "tenant": tenant_id,
            "id": uuid.uuid4(),
            "source": source_id,
            "uri": uri,
            "audience": audience,
            "error": error,
            "now": now,
        },
    )


async def vanished(
    session: AsyncSession, *, tenant_id: str, source_id: uuid.UUID, seen: Sequence[str]
) -> list[uuid.UUID]:
    """The source's documents that are not among those seen."""
    rows = await session.scalars(
        text(
            "SELECT id FROM documents WHERE tenant_id = :tenant AND source_id = :source "
            "AND NOT uri = ANY(CAST(:seen AS text[]))"
        ),
        {"tenant": tenant_id, "source": source_id, "seen": list(seen)},
    )
    return list(rows)


async def delete_documents(session: AsyncSession, tenant_id: str, ids: Sequence[uuid.UUID]) -> int:
    """Take documents out with their chunks, vectors and postings; returns how many there were."""
    if not ids:
        return 0
    await bump(session, tenant_id)
    rows = await session.execute(
        text("SELECT chunk_id, terms FROM chunks WHERE tenant_id = :tenant AND document_id = ANY(:ids)"),
        {"tenant": tenant_id, "ids": list(ids)},
    )
    await _delete_chunks(session, tenant_id, dict(iter(rows)))
    deleted = await session.scalars(
        text("DELETE FROM documents WHERE tenant_id = :tenant AND id = ANY(:ids) RETURNING id"),
        {"tenant": tenant_id, "ids": list(ids)},
    )
    return len(deleted.all())


async def _upsert_documents(
    session: AsyncSession,
    tenant_id: str,
    source_id: uuid.UUID,
    audience: str,
    recipe: str,
    arrivals: Sequence[Arrival],
    now: datetime,
) -> dict[str, uuid.UUID]:
    """The id of each document by its name."""
    documents = [arrival.document for arrival in arrivals]
    rows = await session.execute(
        text(
            "INSERT INTO documents (tenant_id, id, source_id, uri, title, text, blocks, metadata, content_hash, "
            "recipe, audience, state, fetched_at, memo, dated_at) SELECT :tenant, new.id, :source, new.uri, new.title, "
            "new.body, CAST(new.blocks AS jsonb), CAST(new.metadata AS jsonb), new.hash, :recipe, :audience, 'ready', "
            ":now, new.memo, coalesce(new.dated, :now) FROM unnest(CAST(:ids AS uuid[]), CAST(:uris AS text[]), "
            "CAST(:titles AS text[]), CAST(:texts AS text[]), CAST(:blocks AS text[]), CAST(:metadata AS text[]), "
            "CAST(:hashes AS text[]), CAST(:memos AS text[]), CAST(:dates AS timestamptz[])) "
            "AS new (id, uri, title, body, blocks, metadata, hash, memo, dated) "
            "ON CONFLICT (tenant_id, source_id, uri) DO UPDATE SET title = excluded.title, text = excluded.text, "
            "blocks = excluded.blocks, metadata = excluded.metadata, content_hash = excluded.content_hash, "
            "recipe = excluded.recipe, state = 'ready', error = '', fetched_at = excluded.fetched_at, "
            "memo = excluded.memo, dated_at = CASE WHEN documents.uri = ANY(:undated) "
            "AND documents.content_hash = excluded.content_hash THEN documents.dated_at ELSE excluded.dated_at END "
            "RETURNING uri, id"
        ),
        {
            "tenant": tenant_id,
            "source": source_id,
            "recipe": recipe,
            "audience": audience,
            "now": now,
            "ids": [uuid.uuid4() for _ in arrivals],
            "uris": [document.uri for document in documents],
            "titles": [document.title for document in documents],
            "texts": [document.text for document in documents],
            "blocks": [_blocks(document) for document in documents],
            "metadata": [json.dumps(dict(document.metadata)) for document in documents],
            "hashes": [arrival.content_hash for arrival in arrivals],
            "memos": [arrival.memo for arrival in arrivals],
            "dates": [dated_at(document.metadata) for document in documents],
            "undated": [document.uri for document in documents if dated_at(document.metadata) is None],
        },
    )
    return {row.uri: row.id for row in rows}


def _blocks(document: Document) -> str:
    return json.dumps([[b.kind, b.start, b.end, list(b.heading), b.page] for b in document.blocks])


Placed = tuple[uuid.UUID, Prepared]
"""A chunk and the document that it belongs to."""


async def _compare(
    session: AsyncSession, tenant_id: str, arrivals: Mapping[uuid.UUID, Arrival]
) -> tuple[dict[int, Placed], list[Placed], dict[int, int]]:
    """Stored chunks that stay, chunks that are new, stored chunks that go (with their number of terms)."""
    rows = await session.execute(
        text(
            "SELECT document_id, chunk_id, digest, terms FROM chunks WHERE tenant_id = :tenant "
            "AND document_id = ANY(:documents) ORDER BY position DESC"
        ),
        {"tenant": tenant_id, "documents": list(arrivals)},
    )
    known: dict[tuple[uuid.UUID, str], list[int]] = defaultdict(list)
    gone: dict[int, int] = {}
    for document, number, digest, terms in rows:
        known[document, digest].append(number)
        gone[number] = terms
    kept: dict[int, Placed] = {}
    fresh: list[Placed] = []
    for document, arrival in arrivals.items():
        for new in arrival.prepared:
            if same := known[document, new.digest]:
                number = same.pop()
                kept[number] = (document, new)
                del gone[number]
            else:
                fresh.append((document, new))
    return kept, fresh, gone


async def _delete_chunks(session: AsyncSession, tenant_id: str, gone: Mapping[int, int]) -> None:
    if not gone:
        return
    await bm25.remove(session, tenant_id, gone)
    await session.execute(
        text("DELETE FROM chunks WHERE tenant_id = :tenant AND chunk_id = ANY(:numbers)"),
        {"tenant": tenant_id, "numbers": list(gone)},
    )


async def _move(session: AsyncSession, tenant_id: str, kept: Mapping[int, Prepared]) -> None:
    """A chunk that stayed the same may stand elsewhere in the document now."""
    if not kept:
        return
    await session.execute(
        text(
            "UPDATE chunks SET position = new.position, start_char = new.start, end_char = new.stop, page = new.page, "
            "window_start = new.opens, window_end = new.closes "
            "FROM unnest(CAST(:numbers AS bigint[]), CAST(:positions AS int[]), CAST(:starts AS int[]), "
            "CAST(:stops AS int[]), CAST(:pages AS int[]), CAST(:opens AS int[]), CAST(:closes AS int[])) "
            "AS new (number, position, start, stop, page, opens, closes) "
            "WHERE tenant_id = :tenant AND chunk_id = new.number AND (chunks.position, start_char, end_char, "
            "chunks.page, window_start, window_end) IS DISTINCT FROM "
            "(new.position, new.start, new.stop, new.page, new.opens, new.closes)"
        ),
        {
            "tenant": tenant_id,
            "numbers": list(kept),
            "positions": [new.chunk.position for new in kept.values()],
            "starts": [new.chunk.start for new in kept.values()],
            "stops": [new.chunk.end for new in kept.values()],
            "pages": [new.chunk.page for new in kept.values()],
            "opens": [new.chunk.window[0] if new.chunk.window else None for new in kept.values()],
            "closes": [new.chunk.window[1] if new.chunk.window else None for new in kept.values()],
        },
    )


async def _insert_chunks(session: AsyncSession, tenant_id: str, audience: str, added: Mapping[int, Placed]) -> None:
    if not added:
        return
    news = [new for _, new in added.values()]
    await session.execute(
        text(
            "INSERT INTO chunks (tenant_id, chunk_id, document_id, position, audience, header, text, start_char, "
            "end_char, page, heading, digest, terms, window_start, window_end) SELECT :tenant, number, document, "
            "position, :audience, header, body, opens, closes, page, ARRAY(SELECT jsonb_array_elements_text("
            "CAST(heading AS jsonb))), digest, terms, window_start, window_end FROM unnest(CAST(:numbers AS bigint[]), "
            "CAST(:documents AS uuid[]), CAST(:positions AS int[]), CAST(:headers AS text[]), CAST(:texts AS text[]), "
            "CAST(:starts AS int[]), CAST(:ends AS int[]), CAST(:pages AS int[]), CAST(:headings AS text[]), "
            "CAST(:digests AS text[]), CAST(:terms AS int[]), CAST(:opens AS int[]), CAST(:closes AS int[])) "
            "AS new (number, document, position, header, body, opens, closes, page, heading, digest, terms, "
            "window_start, window_end)"
        ),
        {
            "tenant": tenant_id,
            "audience": audience,
            "numbers": list(added),
            "documents": [document for document, _ in added.values()],
            "positions": [new.chunk.position for new in news],
            "headers": [new.header for new in news],
            "texts": [new.chunk.text for new in news],
            "starts": [new.chunk.start for new in news],
            "ends": [new.chunk.end for new in news],
            "pages": [new.chunk.page for new in news],
            "headings": [json.dumps(list(new.chunk.heading)) for new in news],
            "digests": [new.digest for new in news],
            "terms": [len(new.terms) for new in news],
            "opens": [new.chunk.window[0] if new.chunk.window else None for new in news],
            "closes": [new.chunk.window[1] if new.chunk.window else None for new in news],
        },
    )
    await session.execute(
        text("UPDATE knowledge_state SET next_chunk = next_chunk + :added WHERE tenant_id = :tenant"),
        {"tenant": tenant_id, "added": len(added)},
    )


async def _without_vector(session: AsyncSession, tenant_id: str, numbers: Sequence[int], model: str) -> list[int]:
    if not numbers:
        return []
    having = await session.scalars(
        text(
            "SELECT chunk_id FROM embeddings WHERE tenant_id = :tenant AND model = :model AND chunk_id = ANY(:numbers)"
        ),
        {"tenant": tenant_id, "model": model, "numbers": list(numbers)},
    )
    return sorted(set(numbers) - set(having))
