"""Chunks, embeds and stores documents that were read, with what is attached to them.

While some documents are chunked, the chunks of others are encoded, and others are stored, many documents per
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
from knowledge.errors import ParseError
from knowledge.ingest.chunk_embedding import ChunkBatch, embed_missing_chunks
from knowledge.ingest.read_document import ReadDocument
from knowledge.ingest.source_run import SourceRun
from knowledge.ingest.staged_chunks import StagedChunks
from knowledge.parsing.mail_attachments import left_out, with_left_out
from knowledge.ports import Embedder, Sessions
from knowledge.store import document_removals, document_writes
from knowledge.store.chunk_writes import NewChunk
from knowledge.store.document_rows import EmbeddedChunk, NewDocument
from knowledge.store.document_writes import OutdatedError
from knowledge.store.embedding_models import Models
from knowledge.text import search_terms
from knowledge.types.documents import Chunk, Document

log = logging.getLogger(__name__)

BATCH_CHUNKS = 256
"""Maximum number of chunks that are encoded together, or stored in one transaction.

A process that dies loses about two batches of small documents. Larger batches would hardly be encoded faster.
"""
FAULTS_OF_A_DOCUMENT = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError, DataError)
"""Errors that one document can cause in any step. They fail that document. Others, as of the database, end the run."""
ATTACHED_AT_ONCE = 32
"""Documents attached to a mail that are chunked, encoded and stored at the same time."""
STORE_ATTEMPTS = 5
"""How often a document is stored again after another writer changed it."""


class DocumentWriter:
    """Stores the documents of one source run. ``embedder`` counts tokens; ``run.embedders`` compute the vectors.

    Few ``document_sessions`` are open at the same time. Close the writer to stop its batches.
    """

    def __init__(
        self,
        run: SourceRun,
        *,
        sessions: Sessions,
        document_sessions: Sessions,
        embedder: Embedder,
        models: Models,
        clock: Callable[[], datetime],
    ) -> None:
        self._run = run
        self._sessions = sessions
        self._document_sessions = document_sessions
        self._embedder = embedder
        self._models = models
        self._clock = clock
        self._attached_places = asyncio.Semaphore(ATTACHED_AT_ONCE)
        self._encoding = MicroBatcher(self._encode, max_weight=BATCH_CHUNKS, concurrency=2)
        self._storing = MicroBatcher(self._store, max_weight=BATCH_CHUNKS)

    async def aclose(self) -> None:
        """Stop the batches."""
        await self._encoding.aclose()
        await self._storing.aclose()

    async def store(self, read: ReadDocument) -> None:
        """Store and count a document after its attachments, so that all are stored when it counts as unchanged.

        What is no longer attached is deleted. Raises ParseError if other writers keep changing the document.
        """
        run, uri = self._run, read.document.uri
        async with asyncio.TaskGroup() as group:
            stored = [
                group.create_task(self._store_attached(one, one.document.uri[len(uri) + 1 :])) for one in read.attached
            ]
        refused = [warning for task in stored if (warning := task.result())]
        read = replace(read, document=with_left_out(read.document, refused))
        run.count_stored(uri, await self._chunk_and_store(read), read.document.warnings)
        names = {one.document.uri for one, task in zip(read.attached, stored, strict=True) if not task.result()}
        if gone := sorted(set(run.attached.get(uri, ())) - names):
            async with self._document_sessions(run.tenant_id) as session:
                run.totals.deleted += await document_removals.delete_named(
                    session,
                    tenant_id=run.tenant_id,
                    source_id=run.source_id,
                    names=gone,
                    keep_vectors=run.keep_vectors,
                )

    async def _store_attached(self, read: ReadDocument, name: str) -> str:
        """Store an attached document. Return the warning for what it is attached to if it cannot be stored."""
        async with self._attached_places:
            try:
                chunks = await self._chunk_and_store(read)
            except ParseError as error:
                return left_out(name, str(error))
            except FAULTS_OF_A_DOCUMENT as error:
                log.exception("%s cannot be added", read.document.uri)
                return left_out(name, unexpected(error))
        self._run.count_stored(read.document.uri, chunks, read.document.warnings)
        return ""

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


def unexpected(error: Exception) -> str:
    """Return what users read about a document that failed with an error that no parser raises."""
    return f"it cannot be added ({type(error).__name__}). Save it again or in another format"


def _new_chunks(document: Document, chunks: Sequence[Chunk]) -> list[EmbeddedChunk]:
    """Return each chunk with its header, digest and terms, without vectors."""
    new_chunks = []
    for chunk in chunks:
        chunk_header = header(document.title, chunk.heading)
        text = with_header(chunk_header, chunk.text)
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        new_chunks.append(EmbeddedChunk(NewChunk(chunk, chunk_header, digest, search_terms.document_terms(text)), {}))
    return new_chunks
