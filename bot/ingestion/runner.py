"""Reading one source, in the worker or in the terminal: alone, stoppable, with progress that every process can see."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import DBAPIError

from bot.errors import ParleyError
from bot.store.advisory_locks import only_one
from bot.store.session import Database
from knowledge import ingest_runs, source_records
from knowledge.errors import KnowledgeError
from knowledge.ingest import Ingestor
from knowledge.ingest_runs import Run
from knowledge.ports import OnProgress, Source
from knowledge.sources import UploadSource
from knowledge.types import ChunkingMethod, IngestReport, Progress

log = logging.getLogger(__name__)

NOTE_EVERY = 1.0
"""Seconds between two rows of progress, and so how soon a wish to stop is seen."""
TERMINAL = "terminal"
NOTHING = IngestReport(0, 0, 0, (), 0.0)

OpenSource = Callable[..., Source]
"""``open_source(spec, files=..., tenant_id=...)``: the source that a name stands for. Raises KnowledgeError."""


class Busy(ParleyError):
    """Another process reads this source."""


def lock_name(tenant_id: str, source_id: str) -> str:
    """What the process that reads a source holds."""
    return f"parley ingest {tenant_id} {source_id}"


@dataclass(frozen=True, slots=True)
class Worker:
    """What reading a source takes."""

    database: Database
    ingestor: Ingestor
    open_source: OpenSource
    note_every: float = NOTE_EVERY

    async def work(self, tenant_id: str, run_id: str) -> None:
        """Read what was asked for. Nothing to do where it has ended. Raises Busy where another process is at it, and
        whatever may pass; the reading then waits."""
        async with self.database.tenant(tenant_id) as session:
            found = await ingest_runs.get(session, tenant_id, [run_id])
        for run in found:
            if run.active:
                await self._alone(tenant_id, run)

    async def _alone(self, tenant_id: str, run: Run) -> None:
        async with only_one(self.database, lock_name(tenant_id, run.source_id)) as alone:
            if not alone:
                raise Busy(f"{run.uri} is being read already.")
            try:
                source = await self._source(tenant_id, run)
            except KnowledgeError as error:
                await self.fail(tenant_id, run.id, str(error))
                return
            await watched(self, tenant_id, run, source, None, asyncio.Event())

    async def _source(self, tenant_id: str, run: Run) -> Source:
        if run.kind != "upload":
            return await asyncio.to_thread(self.open_source, run.uri, files=run.files, tenant_id=tenant_id)
        async with self.database.tenant(tenant_id) as session:
            data = await ingest_runs.load_upload(session, tenant_id=tenant_id, run_id=run.id)
        if not data:
            return self.open_source(run.uri, files=False, tenant_id=tenant_id)
        return UploadSource(run.uri.removeprefix("upload:"), data, content_type=run.content_type)

    async def fail(self, tenant_id: str, run_id: str, error: str) -> None:
        """It ends with this failure."""
        async with self.database.tenant(tenant_id) as session:
            await ingest_runs.end(
                session, tenant_id=tenant_id, run_id=run_id, state="failed", report=NOTHING, error=error
            )

    async def put_off(self, tenant_id: str, run_id: str, error: str) -> None:
        """It waits for another try, and says why."""
        async with self.database.tenant(tenant_id) as session:
            await ingest_runs.return_to_queue(session, tenant_id=tenant_id, run_id=run_id, error=error)


async def here(
    worker: Worker,
    tenant_id: str,
    source: Source,
    *,
    audience: str,
    now: datetime,
    chunking: ChunkingMethod | None = None,
    on_progress: OnProgress | None = None,
    stop: asyncio.Event | None = None,
) -> IngestReport:
    """Read a source in this process, in the terminal. ``chunking`` is what it remembers. ``stop`` ends it early.

    A reading that somebody asked the worker for and that has not begun is done with it. Raises Busy, EmbeddingError.
    """
    async with worker.database.tenant(tenant_id) as session:
        source_id = await source_records.find_or_add_source(
            session, tenant_id=tenant_id, uri=source.uri, kind=source.kind, audience=audience, now=now
        )
    async with only_one(worker.database, lock_name(tenant_id, source_id)) as alone:
        if not alone:
            raise Busy(f"{source.uri} is being read by another process; wait for it, or stop it with /ingest stop.")
        async with worker.database.tenant(tenant_id) as session:
            run, _ = await ingest_runs.begin(
                session, tenant_id=tenant_id, source_id=source_id, asked_by=TERMINAL, files=True
            )
        return await watched(worker, tenant_id, run, source, on_progress, stop or asyncio.Event(), chunking)


async def watched(
    worker: Worker,
    tenant_id: str,
    run: Run,
    source: Source,
    on_progress: OnProgress | None,
    stop: asyncio.Event,
    chunking: ChunkingMethod | None = None,
) -> IngestReport:
    """Ingest with the lock held; the run is told how far it is, and how it ended."""
    latest: list[Progress] = []

    def note(at: Progress) -> None:
        latest[:] = [at]
        if on_progress is not None:
            on_progress(at)

    async def tell() -> None:
        async with worker.database.tenant(tenant_id) as session:
            if await ingest_runs.record_progress(
                session, tenant_id=tenant_id, run_id=run.id, at=latest[0] if latest else None
            ):
                stop.set()

    await tell()
    telling = asyncio.create_task(_again_and_again(tell, worker.note_every))
    try:
        report = await worker.ingestor.ingest(
            [source], tenant_id=tenant_id, audience=run.audience, chunking=chunking, on_progress=note, stop=stop
        )
    except asyncio.CancelledError:
        # The process shuts down: the queue gives the reading to another one, which goes on where this one stood.
        with suppress(Exception):
            await worker.put_off(tenant_id, run.id, "")
        raise
    except KnowledgeError as error:
        if run.asked_by == TERMINAL:
            await worker.fail(tenant_id, run.id, str(error))
        raise
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    state: ingest_runs.RunState = "stopped" if report.stopped else "done"
    async with worker.database.tenant(tenant_id) as session:
        if latest:
            await ingest_runs.record_progress(session, tenant_id=tenant_id, run_id=run.id, at=latest[0])
        await ingest_runs.end(session, tenant_id=tenant_id, run_id=run.id, state=state, report=report)
    return report


async def _again_and_again(tell: Callable[[], Awaitable[None]], every: float) -> None:
    while True:
        await asyncio.sleep(every)
        try:
            await tell()
        except (DBAPIError, ParleyError) as error:
            log.warning("progress could not be noted: %s", error)
