"""Documents in: fetch, parse, chunk, embed, store. Idempotent: what did not change costs nothing."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from knowledge import search_terms, store
from knowledge.chunk_vectors import Embedded, encode_passages
from knowledge.chunking import METHODS, Chunking, Method, header, indexed_text
from knowledge.chunking.chunker import chunk_with_embedder
from knowledge.embedding_models import Models
from knowledge.errors import ParseError, SourceError
from knowledge.parsing.sandbox import Parser
from knowledge.ports import Embedder, OnProgress, Parses, Sessions, Source
from knowledge.reembed import settle
from knowledge.request_coalescing import Gatherer
from knowledge.serving_model import Serving
from knowledge.store import Arrival, OutdatedError, Prepared
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

Result = TypeVar("Result")

PARSING = "2"
"""Names how bytes become text: raise it where a parser's output changes, so that documents are read again."""
AT_ONCE = 64
"""Documents on their way at once: while some are parsed, others are embedded and stored."""
BYTES_AT_ONCE = 64 * 2**20
"""What they have together at most, where it is more than one."""
WAVE = 256
"""Chunks that are encoded, or stored in one transaction, together: two waves or so are what a process that dies may
lose of its work, and more would hardly be encoded faster."""
ENCODED_AT_ONCE = 128
"""Chunks that are handed to the model in one go."""
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
    encoding: Gatherer[Arrival, None] = field(init=False)
    storing: Gatherer[Arrival, bool] = field(init=False)
    mark: str = ""
    done: int = 0
    failed: int = 0
    seen: list[str] = field(default_factory=list)


class _Room:
    """Lets so many documents in at a time, and so many bytes; a document that is larger goes alone."""

    def __init__(self, documents: int, most_bytes: int) -> None:
        self._documents = documents
        self._bytes = most_bytes
        self._inside = 0
        self._left = asyncio.Event()

    async def take(self, size: int) -> None:
        while self._inside and (self._documents == 0 or self._bytes < size):
            self._left.clear()
            await self._left.wait()
        self._inside += 1
        self._documents -= 1
        self._bytes -= size

    def give_back(self, size: int) -> None:
        self._inside -= 1
        self._documents += 1
        self._bytes += size
        self._left.set()


class Ingestor:
    """Takes documents in. While some are read and cut, the chunks of others are encoded, and those of others stored,
    many documents a transaction; the model works outside of transactions.

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
        room = _Room(AT_ONCE, BYTES_AT_ONCE)

        async def one(fetched: Fetched) -> None:
            try:
                await self._document(run, fetched)
            finally:
                room.give_back(len(fetched.data))

        run.encoding = Gatherer(lambda batch: self._encode(run, batch), most=WAVE, at_once=2)
        run.storing = Gatherer(lambda batch: self._store(run, batch), most=WAVE)
        try:
            return await self._brought(run, room, one)
        finally:
            await run.encoding.aclose()
            await run.storing.aclose()

    async def _brought(
        self, run: _Run, room: _Room, one: Callable[[Fetched], Coroutine[Any, Any, None]]
    ) -> SourceError | None:
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
                            await room.take(len(item.data))
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
        return f"parse {PARSING}, terms {search_terms.VERSION}, chunks {run.chunking.recipe(self._embedder.model)}"

    async def _known(self, run: _Run, fetched: Fetched, content_hash: str) -> int | None:
        """The number of chunks of a document that is here already, the same; else None."""
        uri = fetched.uri
        if uri not in run.known.documents:
            return None
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
        pieces, used = await chunk_with_embedder(document, self._embedder, run.chunking)
        run.tally.tokens += used
        prepared = await asyncio.to_thread(_prepared, document, pieces)
        arrival = Arrival(document, memo, content_hash, prepared, defaultdict(dict))
        for _ in range(ATTEMPTS):
            await run.encoding.put(arrival, len(prepared))
            if await run.storing.put(arrival, len(prepared) + 1):
                return len(prepared)
            run.serving = await self._models.announce(self._sessions, run.tenant_id)
            run.embedders = await self._models.for_passages(run.serving)
        raise ParseError("others keep changing it at the same time; try again")

    async def _encode(self, run: _Run, arrivals: Sequence[Arrival]) -> Sequence[None]:
        """Add the vectors of chunks that have none, neither stored nor computed before. The chunks of all documents are
        encoded in order of their length: a batch is padded to its longest."""
        for embedder in run.embedders:
            async with self._sessions(run.tenant_id) as session:
                known = await store.embedded_digests(
                    session,
                    tenant_id=run.tenant_id,
                    source_id=run.source_id,
                    uris=[arrival.document.uri for arrival in arrivals],
                    model=embedder.model,
                )
            wanted: dict[str, list[dict[str, Embedded]]] = defaultdict(list)
            texts: dict[str, str] = {}
            for arrival in arrivals:
                vectors, stored = _of(arrival, embedder.model), known.get(arrival.document.uri, ())
                for new in arrival.prepared:
                    if new.digest not in stored and new.digest not in vectors:
                        wanted[new.digest].append(vectors)
                        texts[new.digest] = f"{new.header}\n{new.chunk.text}" if new.header else new.chunk.text
            order = sorted(wanted, key=lambda digest: len(texts[digest]))
            for start in range(0, len(order), ENCODED_AT_ONCE):
                digests = order[start : start + ENCODED_AT_ONCE]
                made, used = await encode_passages(embedder, [texts[digest] for digest in digests])
                run.tally.tokens += used
                for digest, one in zip(digests, made, strict=True):
                    for vectors in wanted[digest]:
                        vectors[digest] = one
        return [None] * len(arrivals)

    async def _store(self, run: _Run, arrivals: Sequence[Arrival]) -> Sequence[bool]:
        """Which of the documents are stored; the others are to be compared again."""
        if len({arrival.document.uri for arrival in arrivals}) == len(arrivals) and await self._stores(run, arrivals):
            return [True] * len(arrivals)
        return [await self._stores(run, [arrival]) for arrival in arrivals]

    async def _stores(self, run: _Run, arrivals: Sequence[Arrival]) -> bool:
        try:
            async with self._sessions(run.tenant_id) as session:
                await store.replace_documents(
                    session,
                    tenant_id=run.tenant_id,
                    source_id=run.source_id,
                    audience=run.audience,
                    recipe=self._recipe(run),
                    arrivals=arrivals,
                    serving=run.serving,
                    needed=[embedder.model for embedder in run.embedders],
                    now=self._clock(),
                )
        except OutdatedError:
            return False
        return True

    async def _failed(self, run: _Run, failure: Failure) -> None:
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
        run.tally.failed.append(failure)
        run.failed += 1
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


def _of(arrival: Arrival, model: str) -> dict[str, Embedded]:
    """The vectors of the arrival of one model, to be added to."""
    vectors = arrival.vectors[model]
    assert isinstance(vectors, dict)
    return vectors


def _prepared(document: Document, pieces: Sequence[Chunk]) -> list[Prepared]:
    prepared = []
    for piece in pieces:
        whole = indexed_text(document.title, piece.heading, piece.text)
        digest = hashlib.sha256(whole.encode()).hexdigest()[:32]
        front = header(document.title, piece.heading)
        prepared.append(Prepared(piece, front, digest, search_terms.document_terms(whole)))
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
