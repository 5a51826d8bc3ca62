"""Ingests sources one after the other: opens a run for each, passes its documents to the pipeline, and cleans up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from knowledge.chunking import METHODS, Chunking, Method
from knowledge.errors import EmptySourceError, ErasedError
from knowledge.ingest import removals
from knowledge.ingest.document_pipeline import DocumentPipeline
from knowledge.ingest.in_flight_limit import InFlightLimit
from knowledge.ingest.reembed import switch_if_complete
from knowledge.ingest.source_run import IngestTotals, SourceRun
from knowledge.parsing.isolation.parser_pool import ParserPool
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.parsing.mail_attachments import NO_LIMITS, AttachmentLimits, parse_all
from knowledge.ports import Embedder, OnProgress, Parses, Sessions, Source
from knowledge.source_options import UNCHANGED, SourceOptions
from knowledge.store import document_removals, mail_attachments, source_records
from knowledge.store.embedding_models import Models
from knowledge.store.knowledge_version import read_version
from knowledge.store.message_erasure import CHAT_KINDS
from knowledge.types.documents import Document
from knowledge.types.ingest_reports import IngestReport
from knowledge.types.scope import TENANT_AUDIENCE
from knowledge.types.source_items import Failure, Fetched, Known

Result = TypeVar("Result")

log = logging.getLogger(__name__)

READ_ATTEMPTS = 3
"""How often a channel is read if people's data is erased meanwhile."""

MAX_IN_FLIGHT = 256
"""Most documents of all sources processed at the same time: while some are parsed, others are embedded and stored.

The more small documents there are, the more of them are encoded together and stored in one transaction.
"""
MAX_BYTES_IN_FLIGHT = 64 * 2**20
"""Most bytes of these documents together. A single larger document is allowed."""
PARSING = "5"
"""The version of the parsers. Increment it when the output of a parser changes, so that documents are parsed again."""


class Ingestor:
    """Ingests documents from sources.

    ``chunking`` applies to sources without a method of their own. While the embedding model is being changed,
    ``models`` opens the serving model, and chunks get vectors of both models. ``clock`` returns the time that is stored
    with documents. ``keep_gone`` is the time after which a document that no longer exists is removed. Close the
    ingestor to end the parser's processes.
    """

    def __init__(
        self,
        sessions: Sessions,
        embedder: Embedder,
        *,
        chunk_tokens: int = 256,
        chunking: Method = "packed",
        chunk_overlap: int = 0,
        models: Models | None = None,
        parser: Parses | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        keep_gone: timedelta = timedelta(days=7),
    ) -> None:
        self._sessions = sessions
        self._embedder = embedder
        self._models = models or Models(embedder)
        self._chunking = Chunking(chunking, chunk_tokens, chunk_overlap)
        self._parser = parser or ParserPool(Parser)
        self._clock = clock
        self._keep_gone = keep_gone
        self._in_flight = InFlightLimit(MAX_IN_FLIGHT, MAX_BYTES_IN_FLIGHT)
        self.large_upload = asyncio.Lock()
        """Whoever loads a large upload holds this until it is ingested, so that only one is in memory."""

    async def ingest(
        self,
        sources: Sequence[Source],
        *,
        tenant_id: str,
        audience: str = TENANT_AUDIENCE,
        options: SourceOptions = UNCHANGED,
        on_progress: OnProgress | None = None,
        stop: asyncio.Event | None = None,
        accept_removals: bool = False,
    ) -> IngestReport:
        """Read the sources one after the other; a failed document or source does not stop the others.

        ``options`` are stored with the sources.

        ``accept_removals`` removes and replaces documents also if so many are gone, or so little is left of a page,
        that the reading looks like an accident of the source. Without it, such a reading is held back.

        ``stop`` ends the run early: stored documents stay, no document is deleted, and the report says so.
        Raises EmbeddingError if nothing can be embedded at all; documents stored before stay.
        """
        began = time.perf_counter()
        totals = IngestTotals()
        stop = stop or asyncio.Event()
        for source in sources:
            for attempt in range(READ_ATTEMPTS):
                if stop.is_set():
                    break
                run = await self._begin(source, tenant_id, audience, options, on_progress)
                run.accept_removals, run.keep_gone = accept_removals, self._keep_gone
                try:
                    await self._ingest_source(run, stop)
                except ErasedError as error:
                    if run.read_at is None or attempt == READ_ATTEMPTS - 1:
                        run.totals.failed.append(Failure(source.uri, str(error)))
                    else:
                        log.info("%s is read again: %s", source.uri, error)
                        continue
                totals.add(run.totals)
                break
        return IngestReport(
            documents=totals.documents,
            chunks=totals.chunks,
            unchanged=totals.unchanged,
            failed=tuple(sorted(totals.failed, key=lambda failure: failure.source)),
            seconds=time.perf_counter() - began,
            deleted=totals.deleted,
            embedding_model=self._embedder.model,
            embedding_tokens=totals.tokens,
            stopped=stop.is_set(),
            warnings=tuple(sorted(totals.warnings, key=lambda one: one.source)),
        )

    async def read(self, fetched: Fetched, limits: AttachmentLimits = NO_LIMITS) -> list[Document]:
        """Parse a file and what is attached to it, as ingestion does, until ``limits``. Raises ParseError."""
        return await parse_all(self._parser.parse, fetched, limits)

    async def aclose(self) -> None:
        """End the parser's processes."""
        await self._parser.aclose()

    async def _begin(
        self,
        source: Source,
        tenant_id: str,
        audience: str,
        options: SourceOptions,
        on_progress: OnProgress | None,
    ) -> SourceRun:
        """Register the source and load its stored documents."""
        serving = await self._models.announce(self._sessions, tenant_id)
        async with self._sessions(tenant_id) as session:
            read_at = await read_version(session, tenant_id) if source.kind in CHAT_KINDS else None
            source_id, method, hidden = await source_records.upsert_source(
                session,
                tenant_id=tenant_id,
                uri=source.uri,
                kind=source.kind,
                audience=audience,
                now=self._clock(),
                options=options,
            )
        await asyncio.to_thread(source.count)
        effective = replace(self._chunking, method=method) if method in METHODS else self._chunking
        run = SourceRun(
            source=source,
            source_id=source_id,
            tenant_id=tenant_id,
            audience=audience,
            chunking=effective,
            include_hidden=hidden,
            recipe=self._recipe(effective) + (", with hidden parts" if hidden else ""),
            serving=serving,
            embedders=await self._models.for_passages(serving),
            totals=IngestTotals(),
            on_progress=on_progress,
            read_at=read_at,
        )
        run.known = await self._load_known(run)
        return run

    def _recipe(self, chunking: Chunking) -> str:
        """Return a text that names how documents are parsed and chunked; documents with another recipe are redone."""
        return f"parse {PARSING}, chunks {chunking.recipe(self._embedder.model)}"

    async def _load_known(self, run: SourceRun) -> Known:
        """Load the documents that the source may report as unchanged."""

        async def read_memo(uri: str) -> str:
            async with self._sessions(run.tenant_id) as session:
                return await source_records.read_memo(
                    session, tenant_id=run.tenant_id, source_id=run.source_id, uri=uri
                )

        async with self._sessions(run.tenant_id) as session:
            known = await source_records.read_known_documents(
                session, tenant_id=run.tenant_id, source_id=run.source_id, recipe=run.recipe, models=run.models
            )
            run.attached = await mail_attachments.read_attached(
                session, tenant_id=run.tenant_id, source_id=run.source_id
            )
            run.stored = await document_removals.count_stored(session, tenant_id=run.tenant_id, source_id=run.source_id)
        own = _without_attached(known, run.attached)
        return replace(own, memo=read_memo, private_chats=run.private_chats)

    async def _ingest_source(self, run: SourceRun, stop: asyncio.Event) -> None:
        pipeline = DocumentPipeline(
            run,
            sessions=self._sessions,
            embedder=self._embedder,
            models=self._models,
            parser=self._parser,
            clock=self._clock,
            in_flight=self._in_flight,
        )
        try:
            source_error = await _run_unless_stopped(pipeline.ingest_all(), stop)
        except ExceptionGroup as group:
            raise _first_error(group) from None
        if stop.is_set():
            return
        if source_error is None or (isinstance(source_error, EmptySourceError) and run.accept_removals):
            await removals.delete_vanished(run, self._sessions, self._clock)
        else:
            await pipeline.record_failure(removals.source_failure(run, source_error))
            await removals.keep_unread(run, source_error, self._sessions, self._clock)
        if run.serving.next_model is not None:
            await switch_if_complete(self._sessions, run.tenant_id, self._embedder.model)


async def _run_unless_stopped(work: Coroutine[Any, Any, Result], stop: asyncio.Event) -> Result | None:
    """Return the result of ``work``; cancel it and return None if ``stop`` is set before it ends."""
    task = asyncio.create_task(work)
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        for pending in (task, waiting):
            pending.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)


def _without_attached(known: Known, attached: Mapping[str, Sequence[str]]) -> Known:
    """Leave only the documents that a source has itself: a mail is complete with what is attached to it."""
    names = {name for below in attached.values() for name in below}
    own = {uri: earlier for uri, earlier in {**known.documents, **known.outdated}.items() if uri not in names}
    complete = {
        uri for uri in own if uri in known.documents and all(name in known.documents for name in attached.get(uri, ()))
    }
    return replace(
        known,
        documents={uri: earlier for uri, earlier in own.items() if uri in complete},
        outdated={uri: earlier for uri, earlier in own.items() if uri not in complete},
    )


def _first_error(group: BaseExceptionGroup[Exception]) -> Exception:
    """Return the first single error of a group."""
    error: Exception | BaseExceptionGroup[Exception] = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
