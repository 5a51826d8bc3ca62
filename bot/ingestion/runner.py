"""Ingests one source, in the worker or in the terminal.

Only one process at a time ingests a source. It stores its progress, so that every process can show it or stop the run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import ParleyError, for_operator
from bot.ingestion.daily_limit import DailyLimit, LimitedSource
from bot.store.database.advisory_locks import only_one
from bot.store.database.session import Database
from knowledge.errors import KnowledgeError
from knowledge.ingest import Ingestor
from knowledge.ports import OnProgress, Source
from knowledge.source_options import UNCHANGED, SourceOptions
from knowledge.sources.files import UploadSource
from knowledge.store import held_back_sources, ingest_runs, pending_uploads, source_records
from knowledge.store.ingest_runs import Run
from knowledge.types.ingest_reports import IngestReport, Progress

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 1.0
"""Interval between two updates of the stored progress. A request to stop is noticed at the next update."""
LARGE_UPLOAD_BYTES = 8 * 2**20
TERMINAL = "terminal"
EMPTY_REPORT = IngestReport(0, 0, 0, (), 0.0)

OpenSource = Callable[..., Source]
"""``open_source(spec, files=..., tenant_id=...)`` returns the source that ``spec`` names. Raises KnowledgeError."""


class SourceBusy(ParleyError):
    """Another process is ingesting this source."""


def lock_name(tenant_id: str, source_id: str) -> str:
    """Return the name of the lock that a process holds while it ingests the source."""
    return f"parley ingest {tenant_id} {source_id}"


@dataclass(frozen=True, slots=True)
class IngestRunner:
    """Ingests the source of a requested run and stores how the run ends."""

    database: Database
    ingestor: Ingestor
    open_source: OpenSource
    limit: DailyLimit
    progress_seconds: float = PROGRESS_SECONDS

    async def work(self, tenant_id: str, run_id: str) -> None:
        """Ingest the source of a run; do nothing if the run has ended.

        Raises SourceBusy if another process is ingesting the source, and transient errors. The run then stays open.
        """
        async with self.database.tenant(tenant_id) as session:
            found = await ingest_runs.get(session, tenant_id, [run_id])
        for run in found:
            if run.active:
                await self._run_exclusively(tenant_id, run)

    async def _run_exclusively(self, tenant_id: str, run: Run) -> None:
        async with only_one(self.database, lock_name(tenant_id, run.source_id)) as acquired:
            if not acquired:
                raise SourceBusy(f"{run.uri} is already being added.")
            async with self._memory(tenant_id, run):
                report = None
                while report is None:
                    run = await self.latest(tenant_id, run)
                    try:
                        source, digest = await self._source(tenant_id, run)
                    except KnowledgeError as error:
                        await self.fail(tenant_id, run.id, str(error))
                        return
                    report = await _ingest_with_progress(
                        self, tenant_id, run, source, None, asyncio.Event(), digest=digest
                    )

    async def latest(self, tenant_id: str, run: Run) -> Run:
        """Return the run with what was asked for since it was read."""
        async with self.database.tenant(tenant_id) as session:
            (latest,) = await ingest_runs.get(session, tenant_id, [run.id]) or [run]
        return replace(latest, accept_removals=latest.accept_removals or run.accept_removals)

    @asynccontextmanager
    async def _memory(self, tenant_id: str, run: Run) -> AsyncIterator[None]:
        """Wait until no other large upload is in this process's memory; a small one does not wait."""
        async with self.database.tenant(tenant_id) as session:
            size = await pending_uploads.size(session, tenant_id=tenant_id, run_id=run.id)
        async with self.ingestor.large_upload if size > LARGE_UPLOAD_BYTES else nullcontext():
            yield

    async def _source(self, tenant_id: str, run: Run) -> tuple[Source, str]:
        """Return the source of a run, and the digest of the uploaded file if it is one."""
        if run.kind != "upload":
            source = await asyncio.to_thread(self.open_source, run.uri, files=run.files, tenant_id=tenant_id)
            return LimitedSource(source, self.limit, self.database, tenant_id, run) if run.limited else source, ""
        async with self.database.tenant(tenant_id) as session:
            digest = await pending_uploads.digest(session, tenant_id=tenant_id, run_id=run.id)
            data = await pending_uploads.load(session, tenant_id=tenant_id, run_id=run.id)
            latest = await ingest_runs.get(session, tenant_id, [run.id])
        if not data:
            return self.open_source(run.uri, files=False, tenant_id=tenant_id), digest
        content_type = latest[0].content_type if latest else run.content_type
        return UploadSource(run.uri.removeprefix("upload:"), data, content_type=content_type), digest

    async def fail(self, tenant_id: str, run_id: str, error: str) -> None:
        """End the run with this error."""

        async def end(session: AsyncSession) -> None:
            await ingest_runs.end(
                session, tenant_id=tenant_id, run_id=run_id, state="failed", report=EMPTY_REPORT, error=error
            )

        await self.database.run(tenant_id, end)

    async def postpone(self, tenant_id: str, run_id: str, error: str) -> None:
        """Make the run wait for its next attempt; ``error`` is the reason."""

        async def give_back(session: AsyncSession) -> None:
            await ingest_runs.return_to_queue(session, tenant_id=tenant_id, run_id=run_id, error=error)

        await self.database.run(tenant_id, give_back)


async def ingest_in_process(
    runner: IngestRunner,
    tenant_id: str,
    source: Source,
    *,
    audience: str,
    now: datetime,
    options: SourceOptions = UNCHANGED,
    on_progress: OnProgress | None = None,
    stop: asyncio.Event | None = None,
    accept_removals: bool = False,
) -> IngestReport:
    """Ingest a source in this process, for the terminal.

    ``options`` are stored with the source. ``accept_removals`` lets the run remove many
    documents. ``stop`` ends the run early. A run that was requested for the source and has not started ends together
    with this one. Raises SourceBusy, EmbeddingError.
    """

    async def find_source(session: AsyncSession) -> str:
        return await source_records.find_or_add_source(
            session,
            tenant_id=tenant_id,
            uri=source.uri,
            kind=source.kind,
            audience=audience,
            now=now,
            added_by=TERMINAL,
        )

    source_id = await runner.database.run(tenant_id, find_source)
    async with only_one(runner.database, lock_name(tenant_id, source_id)) as acquired:
        if not acquired:
            raise SourceBusy(
                f"{source.uri} is being added by another process. Wait for it, or stop it with /ingest stop."
            )

        async def begin(session: AsyncSession) -> tuple[Run, bool]:
            return await ingest_runs.begin(
                session, tenant_id=tenant_id, source_id=source_id, asked_by=TERMINAL, files=True
            )

        run, _ = await runner.database.run(tenant_id, begin)
        run, report = replace(run, accept_removals=run.accept_removals or accept_removals), None
        while report is None:
            report = await _ingest_with_progress(
                runner, tenant_id, run, source, on_progress, stop or asyncio.Event(), options
            )
            run = await runner.latest(tenant_id, run)
        return report


async def _ingest_with_progress(
    runner: IngestRunner,
    tenant_id: str,
    run: Run,
    source: Source,
    on_progress: OnProgress | None,
    stop: asyncio.Event,
    options: SourceOptions = UNCHANGED,
    digest: str = "",
) -> IngestReport | None:
    """Ingest while the lock is held; store the progress, the end, and notice requests to stop.

    Return None, and do not end the run, if the source must be read again: the uploaded file with this ``digest`` was
    replaced meanwhile, or the source was held back while an admin accepted that many documents are removed.
    """
    progress = _StoredProgress(runner.database, tenant_id, run.id, on_progress, stop)
    await progress.store()
    try:
        async with progress.stored_every(runner.progress_seconds):
            report = await runner.ingestor.ingest(
                [source],
                tenant_id=tenant_id,
                audience=run.audience,
                options=options,
                on_progress=progress.keep,
                stop=stop,
                accept_removals=run.accept_removals,
            )
    except asyncio.CancelledError:
        # The process shuts down. The queue assigns the run to another process, which continues where this one stopped.
        with suppress(Exception):
            await runner.postpone(tenant_id, run.id, "")
        raise
    except KnowledgeError as error:
        if run.asked_by == TERMINAL:
            await runner.fail(tenant_id, run.id, str(error))
        raise
    end = partial(_end, tenant_id=tenant_id, run=run, report=report, latest=progress.latest, digest=digest)
    return report if await runner.database.run(tenant_id, end) else None


async def _end(
    session: AsyncSession, *, tenant_id: str, run: Run, report: IngestReport, latest: Progress | None, digest: str
) -> bool:
    """End the run. Return False, and leave it open, if its source must be read again."""
    state: ingest_runs.RunState = "stopped" if report.stopped else "done"
    if digest and state == "done":
        latest_digest = await pending_uploads.digest(session, tenant_id=tenant_id, run_id=run.id)
        if latest_digest not in ("", digest):
            return False
    if state == "done" and not run.accept_removals:
        accepted = await ingest_runs.accepts_removals(session, tenant_id=tenant_id, run_id=run.id)
        if accepted and await held_back_sources.is_held_back(session, tenant_id=tenant_id, source_id=run.source_id):
            return False
    if latest is not None:
        await ingest_runs.record_progress(session, tenant_id=tenant_id, run_id=run.id, at=latest)
    await ingest_runs.end(session, tenant_id=tenant_id, run_id=run.id, state=state, report=report)
    return True


@dataclass(slots=True)
class _StoredProgress:
    """The latest progress of a run, which other processes read. Sets ``stop`` when somebody asks to stop the run."""

    database: Database
    tenant_id: str
    run_id: str
    on_progress: OnProgress | None
    stop: asyncio.Event
    latest: Progress | None = None

    def keep(self, progress: Progress) -> None:
        """Keep the progress until it is stored, and pass it on."""
        self.latest = progress
        if self.on_progress is not None:
            self.on_progress(progress)

    async def store(self) -> None:
        """Store the latest progress, and notice a request to stop."""
        if await self.database.run(self.tenant_id, self._record):
            self.stop.set()

    @asynccontextmanager
    async def stored_every(self, seconds: float) -> AsyncIterator[None]:
        """Store the progress at this interval until the block has ended. No update is under way afterwards."""
        updates = asyncio.create_task(_repeat(self.store, seconds))
        try:
            yield
        finally:
            updates.cancel()
            await asyncio.gather(updates, return_exceptions=True)

    async def _record(self, session: AsyncSession) -> bool:
        return await ingest_runs.record_progress(session, tenant_id=self.tenant_id, run_id=self.run_id, at=self.latest)


async def _repeat(store_progress: Callable[[], Awaitable[None]], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await store_progress()
        except (DBAPIError, ParleyError) as error:
            log.warning("ingestion progress could not be stored: %s", for_operator(error))
