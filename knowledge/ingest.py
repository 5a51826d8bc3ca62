"""Documents in: fetch, parse, chunk, embed, store. Idempotent: what did not change costs nothing."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from knowledge import store, tokens
from knowledge.chunking import METHODS, Chunking, Method, header, indexed_text
from knowledge.chunking.cut import cut
from knowledge.errors import ParseError, SourceError
from knowledge.models import Models
from knowledge.parsing.sandbox import Parser
from knowledge.ports import Embedder, OnProgress, Parses, Sessions, Source
from knowledge.reembed import settle
from knowledge.serving import Serving
from knowledge.store import OutdatedError, Prepared
from knowledge.types import (
    NOTHING_KNOWN,
    TENANT_AUDIENCE,
    Chunk,
    Document,
    Failure,
    Fetched,
    IngestReport,
    Known,
    Mark,
    Progress,
    Unchanged,
)
from knowledge.vectors import Embedded, encode_passages

Result = TypeVar("Result")

PARSING = "2"
"""Names how bytes become text: raise it where a parser's output changes, so that documents are read again."""
AT_ONCE = 16
"""Documents on their way at once: while one is parsed, others are embedded and stored."""
EMBEDDED_AT_ONCE = 128
"""Chunks of one document that are handed to the model in one go."""
ATTEMPTS = 5


@dataclass(slots=True)
class _Tally:
    """What happened so far, and to whom it is told."""

    on_progress: OnProgress | None
    documents: int = 0
    chunks: int = 0
    unchanged: int = 0
    deleted: int = 0
    tokens: int = 0
    failed: list[Failure] = field(default_factory=list)


@dataclass(slots=True)
class _Run:
    """One source being read."""

    source: Source
    source_id: uuid.UUID
    tenant_id: str
    audience: str
    tally: _Tally
    chunking: Chunking
    serving: Serving
    embedders: Sequence[Embedder]
    known: Known = NOTHING_KNOWN
    mark: str = ""
    done: int = 0
    failed: int = 0
    seen: list[str] = field(default_factory=list)


class Ingestor:
    """Takes documents in. One transaction a document; the model works outside of transactions.

    ``chunking`` is for sources that remember none. While the embedding model is being changed, ``models`` opens the one
    that serves, and passages get vectors of both.
    ``clock`` tells the time that is stored. Close it to end the parser's process.
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
    ) -> None:
        self._sessions = sessions
        self._embedder = embedder
        self._models = models or Models(embedder)
        self._chunking = Chunking(chunking, chunk_tokens, chunk_overlap)
        self._parser = parser or Parser()
        self._clock = clock

    async def ingest(
        self,
        sources: Sequence[Source],
        *,
        tenant_id: str,
        audience: str = TENANT_AUDIENCE,
        chunking: Method | None = None,
        on_progress: OnProgress | None = None,
        stop: asyncio.Event | None = None,
    ) -> IngestReport:
        """Read the sources one after the other; a failure of one document or source leaves the others be.

        ``chunking`` is what the sources remember from here on; None leaves each what it remembers.
        ``stop`` ends it early: what is stored stays, nothing is held to have vanished, and the report says so.
        Raises EmbeddingError where nothing can be embedded at all; what was stored before stays.
        """
        began = time.perf_counter()
        tally = _Tally(on_progress)
        stop = stop or asyncio.Event()
        for source in sources:
            if not stop.is_set():
                await self._source(source, tenant_id, audience, chunking, tally, stop)
        return IngestReport(
            documents=tally.documents,
            chunks=tally.chunks,
            unchanged=tally.unchanged,
            failed=tuple(sorted(tally.failed, key=lambda failure: failure.source)),
            seconds=time.perf_counter() - began,
            deleted=tally.deleted,
            embedding_model=self._embedder.model,
            embedding_tokens=tally.tokens,
            stopped=stop.is_set(),
        )

    async def aclose(self) -> None:
        """End the parser's process."""
        await self._parser.aclose()

    async def _source(
        self,
        source: Source,
        tenant_id: str,
        audience: str,
        chunking: Method | None,
        tally: _Tally,
        stop: asyncio.Event,
    ) -> None:
        run = await self._begin(source, tenant_id, audience, chunking, tally)
        try:
            broken = await _unless(stop, self._documents(run))
        except ExceptionGroup as group:
            raise _first(group) from None
        if stop.is_set():
            return
        if broken is None:
            await self._sweep(run)
        else:
            await self._failed(run, Failure(source.uri, str(broken)))
        if run.serving.next_model is not None:
            await settle(self._sessions, tenant_id, self._embedder.model)

    async def _begin(
        self, source: Source, tenant_id: str, audience: str, chunking: Method | None, tally: _Tally
    ) -> _Run:
        serving = await self._models.announce(self._sessions, tenant_id)
        async with self._sessions(tenant_id) as session:
            source_id, remembered = await store.upsert_source(
                session,
                tenant_id=tenant_id,
                uri=source.uri,
                kind=source.kind,
                audience=audience,
                now=self._clock(),
                chunking=chunking,
            )
        await asyncio.to_thread(source.count)
        cutting = replace(self._chunking, method=remembered) if remembered in METHODS else self._chunking
        embedders = await self._models.for_passages(serving)
        run = _Run(source, source_id, tenant_id, audience, tally, cutting, serving, embedders)
        run.known = await self._stored(run)
        return run

    async def _documents(self, run: _Run) -> SourceError | None:
        """Take in what the source brings; returns what broke it off, where something did."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(fetched: Fetched) -> None:
            try:
                await self._document(run, fetched)
            finally:
                room.release()

        async with asyncio.TaskGroup() as group:
            try:
                async for item in run.source.fetch(run.known):
                    match item:
                        case Failure():
                            await self._failed(run, item)
                        case Unchanged():
                            await self._unchanged(run, item)
                        case Mark():
                            run.mark = item.memo
                        case Fetched():
                            await room.acquire()
                            group.create_task(one(item))
            except SourceError as error:
                return error
        return None

    async def _stored(self, run: _Run) -> Known:
        """What the source may tell to be unchanged."""

        async def memo(uri: str) -> str:
            async with self._sessions(run.tenant_id) as session:
                return await store.memo(session, tenant_id=run.tenant_id, source_id=run.source_id, uri=uri)

        async with self._sessions(run.tenant_id) as session:
            found = await store.known(
                session,
                tenant_id=run.tenant_id,
                source_id=run.source_id,
                recipe=self._recipe(run),
                models=[embedder.model for embedder in run.embedders],
            )
        return replace(found, memo=memo)

    async def _unchanged(self, run: _Run, item: Unchanged) -> None:
        async with self._sessions(run.tenant_id) as session:
            chunks = await store.touch(
                session,
                tenant_id=run.tenant_id,
                source_id=run.source_id,
                uri=item.uri,
                now=self._clock(),
                metadata=item.metadata,
            )
        self._same(run, item.uri, chunks)

    def _same(self, run: _Run, uri: str, chunks: int) -> None:
        run.tally.unchanged += 1
        self._taken(run, uri, chunks)

    def _taken(self, run: _Run, uri: str, chunks: int) -> None:
        run.tally.documents += 1
        run.tally.chunks += chunks
        run.seen.append(uri)
        self._progress(run, uri)

    async def _document(self, run: _Run, fetched: Fetched) -> None:
        content_hash = hashlib.sha256(fetched.data).hexdigest()
        known = await self._known(run, fetched, content_hash)
        if known is not None:
            self._same(run, fetched.uri, known)
            return
        try:
            document = await self._parser.parse(fetched)
            chunks = await self._take_in(run, document, fetched.memo, content_hash)
        except ParseError as error:
            await self._failed(run, Failure(fetched.uri, f"{error}."))
            return
        self._taken(run, fetched.uri, chunks)

    def _recipe(self, run: _Run) -> str:
        return f"parse {PARSING}, terms {tokens.VERSION}, chunks {run.chunking.recipe(self._embedder.model)}"

    async def _known(self, run: _Run, fetched: Fetched, content_hash: str) -> int | None:
        """The number of chunks of a document that is here already, the same; else None."""
        uri = fetched.uri
        async with self._sessions(run.tenant_id) as session:
            here = await store.stored(
                session,
                tenant_id=run.tenant_id,
                source_id=run.source_id,
                uri=uri,
                models=[embedder.model for embedder in run.embedders],
            )
            if here is None or here.unembedded or here.state != "ready":
                return None
            if (here.content_hash, here.recipe) != (content_hash, self._recipe(run)):
                return None
            return await store.touch(
                session,
                tenant_id=run.tenant_id,
                source_id=run.source_id,
                uri=uri,
                now=self._clock(),
                metadata=fetched.metadata,
                memo=fetched.memo,
            )

    async def _take_in(self, run: _Run, document: Document, memo: str, content_hash: str) -> int:
        pieces, used = await cut(document, self._embedder, run.chunking)
        run.tally.tokens += used
        prepared = await asyncio.to_thread(_prepared, document, pieces)
        vectors: dict[str, dict[str, Embedded]] = {}
        for _ in range(ATTEMPTS):
            serving, embedders = run.serving, run.embedders
            for embedder in embedders:
                await self._embed(run, document, prepared, embedder, vectors.setdefault(embedder.model, {}))
            try:
                async with self._sessions(run.tenant_id) as session:
                    await store.replace_document(
                        session,
                        tenant_id=run.tenant_id,
                        source_id=run.source_id,
                        audience=run.audience,
                        document=document,
                        memo=memo,
                        content_hash=content_hash,
                        recipe=self._recipe(run),
                        prepared=prepared,
                        vectors={embedder.model: vectors[embedder.model] for embedder in embedders},
                        serving=serving,
                        now=self._clock(),
                    )
            except OutdatedError:
                run.serving = await self._models.announce(self._sessions, run.tenant_id)
                run.embedders = await self._models.for_passages(run.serving)
                continue
            return len(prepared)
        raise ParseError("others keep changing it at the same time; try again")

    async def _embed(
        self,
        run: _Run,
        document: Document,
        prepared: Sequence[Prepared],
        embedder: Embedder,
        vectors: dict[str, Embedded],
    ) -> None:
        """Add the vectors of chunks that have none, neither stored nor computed before."""
        async with self._sessions(run.tenant_id) as session:
            known = await store.embedded_digests(
                session, tenant_id=run.tenant_id, source_id=run.source_id, uri=document.uri, model=embedder.model
            )
        wanted = {new.digest: new for new in prepared if new.digest not in known and new.digest not in vectors}
        texts = [f"{new.header}\n{new.chunk.text}" if new.header else new.chunk.text for new in wanted.values()]
        for start in range(0, len(texts), EMBEDDED_AT_ONCE):
            made, used = await encode_passages(embedder, texts[start : start + EMBEDDED_AT_ONCE])
            run.tally.tokens += used
            vectors.update(zip(list(wanted)[start : start + EMBEDDED_AT_ONCE], made, strict=True))

    async def _failed(self, run: _Run, failure: Failure) -> None:
        run.tally.failed.append(failure)
        run.failed += 1
        run.seen.append(failure.source)
        async with self._sessions(run.tenant_id) as session:
            await store.record_failure(
                session,
                tenant_id=run.tenant_id,
                source_id=run.source_id,
                audience=run.audience,
                uri=failure.source,
                error=failure.error,
                now=self._clock(),
            )
        self._progress(run, failure.source)

    async def _sweep(self, run: _Run) -> None:
        """Documents that the source no longer has go."""
        async with self._sessions(run.tenant_id) as session:
            ids = await store.vanished(session, tenant_id=run.tenant_id, source_id=run.source_id, seen=run.seen)
            run.tally.deleted += await store.delete_documents(session, run.tenant_id, ids)
            mark = "" if run.failed else run.mark
            await store.set_mark(session, tenant_id=run.tenant_id, source_id=run.source_id, mark=mark)

    def _progress(self, run: _Run, current: str) -> None:
        run.done += 1
        if run.tally.on_progress is not None:
            source = run.source
            run.tally.on_progress(Progress(source.uri, run.done, source.count(), run.failed, current, source.kind))


def _prepared(document: Document, pieces: Sequence[Chunk]) -> list[Prepared]:
    prepared = []
    for piece in pieces:
        whole = indexed_text(document.title, piece.heading, piece.text)
        digest = hashlib.sha256(whole.encode()).hexdigest()[:32]
        front = header(document.title, piece.heading)
        prepared.append(Prepared(piece, front, digest, tokens.document_terms(whole)))
    return prepared


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result | None:
    """What the work comes to; None where ``stop`` is set before its end, which breaks it off."""
    task = asyncio.create_task(work)
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        for one in (task, waiting):
            one.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """The first single error of a group."""
    error: Exception | BaseExceptionGroup[Exception] = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
