"""Processes the documents of one source, from fetched bytes to stored chunks: parse, chunk, embed, store.

While some documents are parsed and chunked, the chunks of others are encoded, and others are stored, many documents per
transaction. The model runs outside of transactions. A large document is chunked and encoded a batch at a time, and its
chunks wait in a file until all of them are stored in one transaction, so that no search finds half of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime

from sqlalchemy.exc import DataError

from knowledge.chunking.chunk_headers import header, with_header
from knowledge.chunking.chunker import chunk_batches
from knowledge.embedders.micro_batching import MicroBatcher
from knowledge.errors import NoTextError, ParseError, PrivateChatError, ReplacedError, SourceError
from knowledge.ingest import removals
from knowledge.ingest.chunk_embedding import ChunkBatch, embed_missing_chunks
from knowledge.ingest.in_flight_limit import InFlightLimit
from knowledge.ingest.limited_sessions import limited
from knowledge.ingest.read_document import ReadDocument
from knowledge.ingest.soft_error_detection import WEB_KINDS, ChangedPages, suspicion
from knowledge.ingest.source_run import SourceRun
from knowledge.ingest.staged_chunks import StagedChunks
from knowledge.ingest.storable_items import storable_item
from knowledge.off_loop_work import in_thread_if_large
from knowledge.ports import Embedder, Parses, Sessions
from knowledge.store import document_removals, document_writes
from knowledge.store.chunk_writes import NewChunk
from knowledge.store.document_files import kept_file
from knowledge.store.document_rows import EmbeddedChunk, NewDocument
from knowledge.store.document_writes import OutdatedError
from knowledge.store.embedding_models import Models
from knowledge.store.knowledge_version import lock_unless_erased
from knowledge.text import search_terms
from knowledge.types import Chunk, Document, Failure, Fetched, Mark, Unchanged

log = logging.getLogger(__name__)

BATCH_CHUNKS = 256
"""Maximum number of chunks that are encoded together, or stored in one transaction.

A process that dies loses about two batches of small documents. Larger batches would hardly be encoded faster.
"""
FAULTS_OF_A_DOCUMENT = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError, DataError)
"""Errors that one document can cause in any step. They fail that document. Others, as of the database, end the run."""
DOCUMENT_SESSIONS = 4
"""Transactions about single documents at the same time. Each takes a connection of the pool that everything uses."""
STORE_ATTEMPTS = 5
"""How often a document is stored again after another writer changed it."""


class DocumentPipeline:
    """Ingests the documents of one source run. ``embedder`` counts tokens; ``run.embedders`` compute the vectors."""

    def __init__(
        self,
        run: SourceRun,
        *,
        sessions: Sessions,
        embedder: Embedder,
        models: Models,
        parser: Parses,
        clock: Callable[[], datetime],
        in_flight: InFlightLimit,
    ) -> None:
        self._run = run
        self._sessions = sessions
        self._document_sessions = limited(sessions, DOCUMENT_SESSIONS)
        self._embedder = embedder
        self._models = models
        self._parser = parser
        self._clock = clock
        self._in_flight = in_flight
        self._changed_pages = ChangedPages()
        self._encoding = MicroBatcher(self._encode, max_weight=BATCH_CHUNKS, concurrency=2)
        self._storing = MicroBatcher(self._store, max_weight=BATCH_CHUNKS)

    async def ingest_all(self) -> SourceError | None:
        """Ingest every document that the source yields. Return the error that ended the source early, if any."""
        try:
            error = await self._fetch_all()
            await self._store_changed_pages(is_complete=error is None)
            return error
        finally:
            self._changed_pages.close()
            await self._encoding.aclose()
            await self._storing.aclose()

    async def _store_changed_pages(self, *, is_complete: bool) -> None:
        """Store the pages that changed, unless many of them have become the same page or lost their site."""
        run, names = self._run, self._changed_pages.names
        is_site_lost = is_complete and await removals.is_site_lost(run, names, self._document_sessions, self._clock)
        for page in self._changed_pages.decided(run.stored, is_site_lost=is_site_lost):
            if isinstance(page, Failure):
                await self.record_failure(page)
                continue
            try:
                chunks = await self._chunk_and_store(page)
            except ParseError as error:
                await self.record_failure(Failure(page.document.uri, f"{error}."))
            else:
                run.count_stored(page.document.uri, chunks, page.document.warnings)

    async def _wait_if_replaced(self, page: ReadDocument, fetched: Fetched) -> bool:
        """Return True if a changed page waits for the rest of its site. Raises ReplacedError."""
        run = self._run
        if run.accept_removals or run.source.kind not in WEB_KINDS or not run.stored:
            return False
        async with self._document_sessions(run.tenant_id) as session:
            stored = await document_removals.stored_characters(
                session, tenant_id=run.tenant_id, source_id=run.source_id, uri=fetched.uri
            )
        if not stored:
            return False
        if reason := suspicion(fetched.data, len(page.document.text), stored):
            raise ReplacedError(reason.removesuffix("."))
        if run.source.kind == "url":
            return False
        await asyncio.to_thread(self._changed_pages.add, page)
        return True

    async def record_failure(self, failure: Failure) -> None:
        """Store why a document, or the source itself, could not be read, and count it."""
        run = self._run
        run.seen.append(failure.source)
        run.kept_pages += failure.replaced
        async with self._document_sessions(run.tenant_id) as session:
            await document_writes.record_failure(
                session,
                tenant_id=run.tenant_id,
                source_id=run.source_id,
                audience=run.audience,
                uri=failure.source,
                error=failure.error,
                now=self._clock(),
                gone=failure.gone,
            )
        run.count_failed(failure)

    async def _forget(self, uri: str) -> None:
        """Delete what an earlier reading stored of a document that must not be read."""
        run = self._run
        async with self._document_sessions(run.tenant_id) as session:
            run.totals.deleted += await document_removals.delete_named(
                session, tenant_id=run.tenant_id, source_id=run.source_id, uri=uri
            )

    async def _fetch_all(self) -> SourceError | None:
        run = self._run
        async with asyncio.TaskGroup() as group:
            try:
                async for item in run.source.fetch(run.known):
                    match storable_item(item):
                        case Failure() as failure:
                            if failure.private:
                                await self._forget(failure.source)
                            await self.record_failure(failure)
                        case Unchanged() as unchanged:
                            await self._record_unchanged(unchanged)
                        case Mark() as mark:
                            run.mark = mark.memo
                        case Fetched() as fetched:
                            await self._in_flight.acquire(fetched.size)
                            group.create_task(self._ingest(fetched))
            except SourceError as error:
                return error
            except FAULTS_OF_A_DOCUMENT as error:
                log.exception("%s cannot be read to its end", run.source.uri)
                return SourceError(f"it cannot be read to its end ({type(error).__name__}). Check the source.")
        return None

    async def _record_unchanged(self, item: Unchanged) -> None:
        run = self._run
        async with self._document_sessions(run.tenant_id) as session:
            chunks = await document_writes.mark_unchanged(
                session,
                tenant_id=run.tenant_id,
                source_id=run.source_id,
                uri=item.uri,
                now=self._clock(),
                metadata=item.metadata,
            )
        run.count_unchanged(item.uri, chunks)

    async def _ingest(self, fetched: Fetched) -> None:
        try:
            await self._ingest_document(fetched)
        finally:
            self._in_flight.release(fetched.size)

    async def _ingest_document(self, fetched: Fetched) -> None:
        content_hash = await in_thread_if_large(fetched.size, _sha256, fetched)
        unchanged = await self._mark_if_unchanged(fetched, content_hash)
        if unchanged is not None:
            self._run.count_unchanged(fetched.uri, unchanged)
            return
        try:
            readable = replace(fetched, private_chats=fetched.private_chats or self._run.private_chats)
            document = await self._parser.parse(readable, include_hidden=self._run.include_hidden)
            read = ReadDocument(document, fetched.memo, content_hash, kept_file(document, fetched.data))
            if await self._wait_if_replaced(read, fetched):
                return
            chunks = await self._chunk_and_store(read)
        except PrivateChatError as error:
            await self._forget(fetched.uri)
            await self.record_failure(Failure(fetched.uri, f"{error}."))
            return
        except ParseError as error:
            gone, replaced = isinstance(error, NoTextError), isinstance(error, ReplacedError)
            await self.record_failure(Failure(fetched.uri, f"{error}.", gone=gone, replaced=replaced))
            return
        except FAULTS_OF_A_DOCUMENT as error:
            log.exception("%s cannot be added", fetched.uri)
            await self.record_failure(Failure(fetched.uri, f"{_unexpected(error)}."))
            return
        for warning in document.warnings:
            log.warning("%s: %s", fetched.uri, warning)
        self._run.count_stored(fetched.uri, chunks, document.warnings)

    async def _mark_if_unchanged(self, fetched: Fetched, content_hash: str) -> int | None:
        """If the same content is already stored, record that and return the number of its chunks; else return None."""
        run, uri = self._run, fetched.uri
        if uri not in run.known.documents:
            return None
        async with self._document_sessions(run.tenant_id) as session:
            if run.read_at is not None:
                await lock_unless_erased(session, run.tenant_id, run.read_at)
            stored = await document_writes.read_document_state(
                session, tenant_id=run.tenant_id, source_id=run.source_id, uri=uri, models=run.models
            )
            if stored is None or stored.missing_vectors or stored.state != "ready":
                return None
            if (stored.content_hash, stored.recipe) != (content_hash, run.recipe):
                return None
            return await document_writes.mark_unchanged(
                session,
                tenant_id=run.tenant_id,
                source_id=run.source_id,
                uri=uri,
                now=self._clock(),
                metadata=fetched.metadata,
                memo=fetched.memo,
            )

    async def _chunk_and_store(self, read: ReadDocument) -> int:
        """Return the number of chunks. Raises ParseError if other writers keep changing the document."""
        run, document = self._run, read.document
        with closing(StagedChunks()) as staged:
            async for chunks, tokens in chunk_batches(document, self._embedder, run.chunking):
                run.totals.tokens += tokens
                await self._embed(document, await asyncio.to_thread(_new_chunks, document, chunks), staged)
            return await self._store_staged(read, staged)

    async def _store_staged(self, read: ReadDocument, staged: StagedChunks) -> int:
        run = self._run
        for _ in range(STORE_ATTEMPTS):
            new = NewDocument(read.document, read.memo, read.content_hash, staged, read.file)
            stored = await self._storing.put(new, staged.chunks + 1)
            if isinstance(stored, Exception):
                raise stored
            if stored:
                return staged.chunks
            run.serving = await self._models.announce(self._sessions, run.tenant_id)
            run.embedders = await self._models.for_passages(run.serving)
            # In a second pass, every chunk gets its vectors, whatever was stored before.
            complete = StagedChunks()
            async for batch in staged.batches():
                await self._embed(read.document, batch, complete, every_chunk=True)
            staged.replace(complete)
        raise ParseError("another process keeps changing it at the same time. Add it again")

    async def _embed(
        self, document: Document, chunks: Sequence[EmbeddedChunk], staged: StagedChunks, *, every_chunk: bool = False
    ) -> None:
        """Compute the missing vectors of a batch, and stage it. The next batch waits for this one."""
        await self._encoding.put(ChunkBatch(document.uri, chunks, every_chunk), len(chunks))
        await staged.add(chunks)

    async def _encode(self, batches: Sequence[ChunkBatch]) -> Sequence[None]:
        await embed_missing_chunks(self._sessions, self._run, batches)
        return [None] * len(batches)

    async def _store(self, documents: Sequence[NewDocument]) -> Sequence[bool | Exception]:
        """Return, for each document, whether it was stored. The others must be compared again.

        A document that cannot be stored gets its error, and keeps no other one from being stored.
        """
        names = {new.document.uri for new in documents}
        with suppress(*FAULTS_OF_A_DOCUMENT):
            if len(names) == len(documents) and await self._store_together(documents):
                return [True] * len(documents)
        return [await self._store_alone(new) for new in documents]

    async def _store_alone(self, document: NewDocument) -> bool | Exception:
        try:
            return await self._store_together([document])
        except FAULTS_OF_A_DOCUMENT as error:
            return error

    async def _store_together(self, documents: Sequence[NewDocument]) -> bool:
        """Store the documents in one transaction. Return False if another writer was faster."""
        run = self._run
        try:
            async with self._sessions(run.tenant_id) as session:
                await document_writes.replace_documents(
                    session,
                    tenant_id=run.tenant_id,
                    source_id=run.source_id,
                    audience=run.audience,
                    recipe=run.recipe,
                    documents=documents,
                    serving=run.serving,
                    models=run.models,
                    now=self._clock(),
                    read_at=run.read_at,
                    keep_vectors=run.keep_vectors,
                )
        except OutdatedError:
            return False
        return True


def _unexpected(error: Exception) -> str:
    return f"it cannot be added ({type(error).__name__}). Save it again or in another format"


def _sha256(fetched: Fetched) -> str:
    digest = hashlib.sha256(fetched.data)
    for mail in fetched.earlier_mails:
        digest.update(hashlib.sha256(mail).digest())
    return digest.hexdigest()


def _new_chunks(document: Document, chunks: Sequence[Chunk]) -> list[EmbeddedChunk]:
    """Return each chunk with its header, digest and terms, without vectors."""
    new_chunks = []
    for chunk in chunks:
        chunk_header = header(document.title, chunk.heading)
        text = with_header(chunk_header, chunk.text)
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        new_chunks.append(EmbeddedChunk(NewChunk(chunk, chunk_header, digest, search_terms.document_terms(text)), {}))
    return new_chunks
