"""Processes the documents of one source, from fetched bytes to stored chunks.

Those that changed are parsed and stored. While some are parsed, others are chunked, encoded and stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.errors import NoTextError, ParseError, PrivateChatError, ReplacedError, SourceError
from knowledge.ingest import removals
from knowledge.ingest.document_writer import FAULTS_OF_A_DOCUMENT, DocumentWriter, unexpected
from knowledge.ingest.in_flight_limit import InFlightLimit
from knowledge.ingest.limited_sessions import limited
from knowledge.ingest.read_document import ReadDocument, hash_of, read_document
from knowledge.ingest.soft_error_detection import WEB_KINDS, ChangedPages, suspicion
from knowledge.ingest.source_run import SourceRun
from knowledge.ingest.storable_items import storable_item
from knowledge.ports import Embedder, Parses, Sessions
from knowledge.store import document_removals, document_writes
from knowledge.store.embedding_models import Models
from knowledge.store.knowledge_version import lock_unless_erased
from knowledge.types.source_items import Failure, Fetched, Mark, SourceWarning, Unchanged

log = logging.getLogger(__name__)

DOCUMENT_SESSIONS = 4
"""Transactions about single documents at the same time. Each takes a connection of the pool that everything uses."""


class DocumentPipeline:
    """Ingests the documents of one source run. ``embedder`` and ``models`` are as for ``DocumentWriter``."""

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
        self._document_sessions = limited(sessions, DOCUMENT_SESSIONS)
        self._parser = parser
        self._clock = clock
        self._in_flight = in_flight
        self._changed_pages = ChangedPages()
        self._writer = DocumentWriter(
            run,
            sessions=sessions,
            document_sessions=self._document_sessions,
            embedder=embedder,
            models=models,
            clock=clock,
        )

    async def ingest_all(self) -> SourceError | None:
        """Ingest every document that the source yields. Return the error that ended the source early, if any."""
        try:
            error = await self._fetch_all()
            self._run.warn_about_pictures()
            await self._store_changed_pages(is_complete=error is None)
            return error
        finally:
            self._changed_pages.close()
            await self._writer.aclose()

    async def _store_changed_pages(self, *, is_complete: bool) -> None:
        """Store the pages that changed, unless many of them have become the same page or lost their site."""
        run, names = self._run, self._changed_pages.names
        is_site_lost = is_complete and await removals.is_site_lost(run, names, self._document_sessions, self._clock)
        for page in self._changed_pages.decided(run.stored, is_site_lost=is_site_lost):
            if isinstance(page, Failure):
                await self.record_failure(page)
                continue
            try:
                await self._writer.store(page)
            except ParseError as error:
                await self.record_failure(Failure(page.document.uri, f"{error}."))
            except FAULTS_OF_A_DOCUMENT as error:
                await self._record_fault(page.document.uri, error)

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

    async def record_failure(self, failure: Failure, *, refused_hash: str = "") -> None:
        """Store why a document, or the source itself, could not be read, and count it.

        ``refused_hash`` is the hash of a picture without text, which is no failure, and is not read again as it is.
        """
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
                content_hash=refused_hash,
                recipe=run.recipe if refused_hash else "",
            )
        if refused_hash:
            run.pictures_without_text += 1
        else:
            run.count_failed(failure)

    async def _record_fault(self, uri: str, error: Exception) -> None:
        """Record an error that no parser raises on purpose, with its trace in the log."""
        log.error("%s cannot be added", uri, exc_info=error)
        await self.record_failure(Failure(uri, f"{unexpected(error)}."))

    async def _forget(self, uri: str) -> None:
        """Delete what an earlier reading stored of a document that must not be read."""
        run = self._run
        async with self._document_sessions(run.tenant_id) as session:
            run.totals.deleted += await document_removals.delete_named(
                session, tenant_id=run.tenant_id, source_id=run.source_id, names=[uri]
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
                        case SourceWarning() as warning:
                            run.warn(warning.text)
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
        if item.uri in self._run.known.pictures_without_text:
            self._run.count_picture_without_text(item.uri)
            return
        async with self._document_sessions(self._run.tenant_id) as session:
            await self._mark_unchanged(session, item.uri, item.metadata)

    async def _mark_unchanged(
        self, session: AsyncSession, uri: str, metadata: Mapping[str, str] | None, memo: str | None = None
    ) -> None:
        """Record that a document, and so what is attached to it, has not changed, and count them."""
        run = self._run
        mark = partial(
            document_writes.mark_unchanged,
            session,
            tenant_id=run.tenant_id,
            source_id=run.source_id,
            now=self._clock(),
        )
        run.count_unchanged(uri, await mark(uri=uri, metadata=metadata, memo=memo))
        for name in run.attached.get(uri, ()):
            run.count_unchanged(name, await mark(uri=name))

    async def _ingest(self, fetched: Fetched) -> None:
        try:
            await self._ingest_document(fetched)
        finally:
            self._in_flight.release(fetched.size)

    async def _ingest_document(self, fetched: Fetched) -> None:
        content_hash = await hash_of(fetched)
        if await self._is_unchanged(fetched, content_hash):
            return
        try:
            readable = replace(fetched, private_chats=fetched.private_chats or self._run.private_chats)
            hidden = self._run.include_hidden
            read = await read_document(self._parser, readable, content_hash, include_hidden=hidden)
            if not await self._wait_if_replaced(read, fetched):
                await self._writer.store(read)
        except PrivateChatError as error:
            await self._forget(fetched.uri)
            await self.record_failure(Failure(fetched.uri, f"{error}."))
        except NoTextError as error:
            failure = Failure(fetched.uri, f"{error}.", gone=not fetched.picture)
            await self.record_failure(failure, refused_hash=content_hash if fetched.picture else "")
        except ParseError as error:
            replaced = isinstance(error, ReplacedError)
            await self.record_failure(Failure(fetched.uri, f"{error}.", replaced=replaced))
        except FAULTS_OF_A_DOCUMENT as error:
            await self._record_fault(fetched.uri, error)

    async def _is_unchanged(self, fetched: Fetched, content_hash: str) -> bool:
        """Return whether the same content is already stored. If so, record and count that."""
        run, uri = self._run, fetched.uri
        if uri not in run.known.documents and not fetched.picture:
            return False
        async with self._document_sessions(run.tenant_id) as session:
            if run.read_at is not None:
                await lock_unless_erased(session, run.tenant_id, run.read_at)
            stored = await document_writes.read_document_state(
                session, tenant_id=run.tenant_id, source_id=run.source_id, uri=uri, models=run.models
            )
            if stored is None or (stored.content_hash, stored.recipe) != (content_hash, run.recipe):
                return False
            if fetched.picture and stored.is_without_text:
                run.count_picture_without_text(uri)
                return True
            if stored.missing_vectors or stored.state != "ready" or uri not in run.known.documents:
                return False
            await self._mark_unchanged(session, uri, fetched.metadata, fetched.memo)
            return True
