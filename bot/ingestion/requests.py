"""Asking for a source to be read: the job is handed in, followed and stopped from any process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.errors import NotAllowed
from bot.ingestion.runner import lock_name
from bot.store.advisory_locks import is_free
from bot.store.job_queue import Queue
from bot.store.session import Database
from knowledge import ingest_runs, source_records
from knowledge.ingest_runs import Run
from knowledge.ports import Source
from knowledge.types import Fetched

FIRST_LOOK = 0.1
LOOK_EVERY = 1.0
"""Seconds between two looks at how far a reading is: short at first, as most uploads take less than one."""

NOT_YOURS = "Only the person who asked for this to be read, or an admin, can stop it."


@dataclass(frozen=True, slots=True)
class Begun:
    """A reading that was asked for; ``fresh`` is False where somebody else had asked before and it still goes on."""

    run: Run
    fresh: bool


class Ingestion:
    """Hands readings of sources to the worker. One reading of a source at a time."""

    def __init__(
        self,
        database: Database,
        queue: Queue,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._queue = queue
        self._clock = clock
        self._sleep = sleep

    async def begin(
        self, tenant_id: str, source: Source, *, audience: str, asked_by: str, files: bool = False
    ) -> Begun:
        """Have a source read in the background. ``files`` lets the worker open paths of its machine: only for what the
        terminal asked for. Raises ConfigError."""
        upload = await _uploaded(source)
        async with self._database.tenant(tenant_id) as session:
            source_id = await source_records.find_or_add_source(
                session, tenant_id=tenant_id, uri=source.uri, kind=source.kind, audience=audience, now=self._clock()
            )
            kind = upload.content_type if upload else ""
            run, fresh = await ingest_runs.begin(
                session, tenant_id=tenant_id, source_id=source_id, asked_by=asked_by, files=files, content_type=kind
            )
            if fresh and upload:
                await ingest_runs.store_upload(session, tenant_id=tenant_id, run_id=run.id, data=upload.data)
        return await self._handed_in(tenant_id, run, fresh)

    async def begin_again(self, tenant_id: str, source_id: str, *, asked_by: str, files: bool = False) -> Begun:
        """Have a known source read again."""
        async with self._database.tenant(tenant_id) as session:
            run, fresh = await ingest_runs.begin(
                session, tenant_id=tenant_id, source_id=source_id, asked_by=asked_by, files=files
            )
        return await self._handed_in(tenant_id, run, fresh)

    async def follow(self, tenant_id: str, ids: Sequence[str]) -> AsyncIterator[list[Run]]:
        """How far the readings are, again and again until all have ended."""
        wait = FIRST_LOOK
        while True:
            async with self._database.tenant(tenant_id) as session:
                found = await ingest_runs.get(session, tenant_id, ids)
            yield found
            if not any(run.active for run in found):
                return
            await self._sleep(wait)
            wait = min(2 * wait, LOOK_EVERY)

    async def stop(self, tenant_id: str, *, asked_by: str | None, named: Sequence[str] = ()) -> list[Run]:
        """Ask the readings of one person, or with None all, to stop; what they took in stays. Returns which they are.

        ``named`` are beginnings of ids: then these alone, and NotAllowed where one of them is somebody else's.
        """
        async with self._database.tenant(tenant_id) as session:
            if named:
                found = [run for run in await ingest_runs.active(session, tenant_id) if run.id.startswith(tuple(named))]
            else:
                found = await ingest_runs.active(session, tenant_id, asked_by=asked_by)
            if asked_by is not None and any(run.asked_by != asked_by for run in found):
                raise NotAllowed(NOT_YOURS)
            await ingest_runs.request_stop(session, tenant_id, [run.id for run in found])
        return found

    async def has_worker(self) -> bool:
        """Whether any process works on what was asked for."""
        return await self._queue.has_worker()

    async def revive(self, tenant_id: str) -> int:
        """Hand in again what no process works on any more and no job stands for; returns how many."""
        async with self._database.tenant(tenant_id) as session:
            found = await ingest_runs.active(session, tenant_id)
        return sum([(await self._handed_in(tenant_id, run, False)).fresh for run in found])

    async def _handed_in(self, tenant_id: str, run: Run, fresh: bool) -> Begun:
        if not fresh and await self._is_worked_on(tenant_id, run):
            return Begun(run, False)
        job_id = await self._queue.defer(
            "ingest",
            tenant_id=tenant_id,
            lock=f"source {run.source_id}",
            once=f"ingest {run.id}",
            run_id=run.id,
        )
        if job_id is not None:
            async with self._database.tenant(tenant_id) as session:
                await ingest_runs.set_job(session, tenant_id=tenant_id, run_id=run.id, job_id=job_id)
        return Begun(run, True)

    async def _is_worked_on(self, tenant_id: str, run: Run) -> bool:
        """Whether a job or a living process stands behind it; a process killed in the terminal leaves neither."""
        if run.job_id is not None and await self._queue.waits_or_runs(run.job_id):
            return True
        return not await is_free(self._database, lock_name(tenant_id, run.source_id))


async def _uploaded(source: Source) -> Fetched | None:
    """The bytes of an uploaded file, which only this process has."""
    if source.kind != "upload":
        return None
    async for item in source.fetch():
        if isinstance(item, Fetched):
            return item
    return None
