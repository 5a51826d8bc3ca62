"""Starts, follows and stops ingestion runs in the background worker, from any process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import NotAllowed
from bot.ingestion.daily_limit import DailyLimit
from bot.ingestion.runner import lock_name
from bot.store.database.advisory_locks import is_free
from bot.store.database.job_queue import Queue
from bot.store.database.session import Database
from knowledge.ports import Source
from knowledge.store import ingest_runs, pending_uploads, source_records, upload_records
from knowledge.store.ingest_runs import Run
from knowledge.types.source_items import Fetched

FIRST_POLL_SECONDS = 0.1
POLL_SECONDS = 1.0
"""Interval between two polls of a run's progress. It starts short because most uploads take less than a second."""

NOT_YOURS = "Only the person who started this ingestion, or an admin, can stop it."


@dataclass(frozen=True, slots=True)
class RequestedRun:
    """An ingestion run that was requested. It is not ``new`` if an earlier request for the source is still running.

    An upload is always new: if an earlier file of its name is being read, the run reads this one after it.
    """

    run: Run
    new: bool


class Ingestion:
    """Queues ingestion runs for the worker. A source has one active run at a time."""

    def __init__(
        self,
        database: Database,
        queue: Queue,
        *,
        clock: Callable[[], datetime],
        limit: DailyLimit,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._queue = queue
        self._clock = clock
        self._limit = limit
        self._sleep = sleep

    async def begin(
        self,
        tenant_id: str,
        source: Source,
        *,
        audience: str,
        asked_by: str,
        replaces_others: bool = False,
        files: bool = False,
        limited: bool = False,
    ) -> RequestedRun:
        """Ingest a source in the background.

        ``limited`` counts the documents toward the daily limit of ``asked_by``; admins have none.

        ``replaces_others`` lets an upload replace one of the same name that somebody else added; it is for admins.
        ``files`` lets the worker open paths on its machine; allow it only for requests from the terminal.
        Raises ConfigError, OverDailyLimit.
        """
        upload = await _uploaded(source)

        async def begin(session: AsyncSession) -> tuple[Run, bool]:
            if upload:
                source_id = await upload_records.find_or_add(
                    session,
                    tenant_id=tenant_id,
                    uri=source.uri,
                    audience=audience,
                    added_by=asked_by,
                    replaces_others=replaces_others,
                    now=self._clock(),
                )
            else:
                source_id = await source_records.find_or_add_source(
                    session,
                    tenant_id=tenant_id,
                    uri=source.uri,
                    kind=source.kind,
                    audience=audience,
                    now=self._clock(),
                    added_by=asked_by,
                )
            if upload and limited:
                await self._limit.count(session, tenant_id=tenant_id, user_id=asked_by, size=len(upload.data))
            while True:
                run, new = await ingest_runs.begin(
                    session,
                    tenant_id=tenant_id,
                    source_id=source_id,
                    asked_by=asked_by,
                    files=files,
                    content_type=upload.content_type if upload else "",
                    limited=limited,
                )
                # An active run may have ended meanwhile. Then the file gets a run of its own.
                if upload is None or await pending_uploads.store(
                    session, tenant_id=tenant_id, run_id=run.id, file=upload
                ):
                    return run, new

        run, new = await self._database.run(tenant_id, begin)
        requested = await self._enqueued(tenant_id, run, new)
        return replace(requested, new=True) if upload else requested

    async def refresh(
        self,
        tenant_id: str,
        source_id: str,
        *,
        asked_by: str,
        files: bool = False,
        accept_removals: bool = False,
        limited: bool = False,
    ) -> RequestedRun:
        """Ingest a stored source again in the background. ``accept_removals`` lets it remove many documents."""

        async def begin(session: AsyncSession) -> tuple[Run, bool]:
            return await ingest_runs.begin(
                session,
                tenant_id=tenant_id,
                source_id=source_id,
                asked_by=asked_by,
                files=files,
                accept_removals=accept_removals,
                limited=limited,
            )

        run, new = await self._database.run(tenant_id, begin)
        return await self._enqueued(tenant_id, run, new)

    async def follow(self, tenant_id: str, ids: Sequence[str]) -> AsyncIterator[list[Run]]:
        """Yield the current state of the runs repeatedly, until all have ended."""
        wait = FIRST_POLL_SECONDS
        while True:
            async with self._database.tenant(tenant_id) as session:
                found = await ingest_runs.get(session, tenant_id, ids)
            yield found
            if not any(run.active for run in found):
                return
            await self._sleep(wait)
            wait = min(2 * wait, POLL_SECONDS)

    async def stop(self, tenant_id: str, *, asked_by: str | None, named: Sequence[str] = ()) -> list[Run]:
        """Ask the runs of one user, or with None all runs, to stop; return them. Documents added so far stay.

        With ``named``, only runs whose ids have one of these prefixes stop. Raises NotAllowed if one of them belongs to
        another user.
        """

        async def stop(session: AsyncSession) -> list[Run]:
            if named:
                found = [run for run in await ingest_runs.active(session, tenant_id) if run.id.startswith(tuple(named))]
            else:
                found = await ingest_runs.active(session, tenant_id, asked_by=asked_by)
            if asked_by is not None and any(run.asked_by != asked_by for run in found):
                raise NotAllowed(NOT_YOURS)
            await ingest_runs.request_stop(session, tenant_id, [run.id for run in found])
            return found

        return await self._database.run(tenant_id, stop)

    async def has_worker(self) -> bool:
        """Return whether a worker is running in any process."""
        return await self._queue.has_worker()

    async def revive(self, tenant_id: str) -> int:
        """Enqueue every active run that has neither a job nor a running process again; return how many there were."""
        async with self._database.tenant(tenant_id) as session:
            found = await ingest_runs.active(session, tenant_id)
        return sum([(await self._enqueued(tenant_id, run, False)).new for run in found])

    async def _enqueued(self, tenant_id: str, run: Run, new: bool) -> RequestedRun:
        if not new and await self._is_in_progress(tenant_id, run):
            return RequestedRun(run, False)
        job_id = await self._queue.defer(
            "ingest",
            tenant_id=tenant_id,
            lock=f"source {run.source_id}",
            once=f"ingest {run.id}",
            run_id=run.id,
        )
        if job_id is not None:

            async def set_job(session: AsyncSession) -> None:
                await ingest_runs.set_job(session, tenant_id=tenant_id, run_id=run.id, job_id=job_id)

            await self._database.run(tenant_id, set_job)
        return RequestedRun(run, True)

    async def _is_in_progress(self, tenant_id: str, run: Run) -> bool:
        """Return whether the run has a job or a running process. A process killed in the terminal leaves neither."""
        if run.job_id is not None and await self._queue.waits_or_runs(run.job_id):
            return True
        return not await is_free(self._database, lock_name(tenant_id, run.source_id))


async def _uploaded(source: Source) -> Fetched | None:
    """Return an uploaded file, which only this process holds; None for other sources."""
    if source.kind != "upload":
        return None
    async for item in source.fetch():
        if isinstance(item, Fetched):
            return item
    return None
