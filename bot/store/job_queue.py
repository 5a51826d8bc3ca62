"""The queue of background jobs: procrastinate on the same database. A job's payload is ids, never text or secrets."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Literal

from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Status
from sqlalchemy.engine import make_url

from bot.errors import ConfigError

Lane = Literal["documents", "chores"]
"""Reading sources takes long and has workers of its own, so that it delays nothing else."""
LONG: frozenset[str] = frozenset(("ingest", "reembed"))
STALLED_SECONDS = 20.0
"""A worker is dead after so long without a heartbeat. Each sends one every ``HEARTBEAT`` seconds."""
HEARTBEAT = 5.0


class Queue:
    """Submits background jobs. Opens nothing until its first use."""

    def __init__(self, url: str, *, connections: int = 6) -> None:
        address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self.connector = PsycopgConnector(
            conninfo=address, min_size=0, max_size=connections, kwargs={"connect_timeout": 5}
        )
        self._app = App(connector=self.connector)
        self._opening = asyncio.Lock()

    async def opened(self) -> App:
        """Return the connected queue. It knows no tasks: those are the worker's. Raises ConfigError."""
        async with self._opening:
            try:
                await self.connector.open_async()
            except ConnectorException as error:
                raise ConfigError(f"The queue in the database cannot be reached ({error}).") from error
        return self._app

    async def defer(
        self,
        task: str,
        *,
        tenant_id: str,
        lock: str | None = None,
        once: str | None = None,
        after: timedelta | None = None,
        **ids: str,
    ) -> int | None:
        """Submit a job and return its number, or None if a job with the same ``once`` waits already.

        Jobs with one ``lock`` run one after the other. ``after`` is the minimum delay. Locks of different tenants
        never collide.
        """
        app = await self.opened()
        job = app.configure_task(
            task,
            queue=lane(task),
            lock=lock and f"{tenant_id} {lock}",
            queueing_lock=once and f"{tenant_id} {once}",
            schedule_in={"seconds": after.total_seconds()} if after else None,
        )
        try:
            return await job.defer_async(tenant_id=tenant_id, **ids)
        except AlreadyEnqueued:
            return None

    async def waits_or_runs(self, job_id: int) -> bool:
        """Return whether the job waits, runs, or will be found again once its worker is known to be dead."""
        app = await self.opened()
        jobs = await app.job_manager.list_jobs_async(id=job_id)
        return any(Status(job.status) in (Status.TODO, Status.DOING) for job in jobs)

    async def has_worker(self) -> bool:
        """Return whether any worker that takes jobs sent a heartbeat recently."""
        await self.opened()
        row = await self.connector.execute_query_one_async(
            "SELECT EXISTS (SELECT FROM procrastinate_workers "
            "WHERE last_heartbeat > now() - make_interval(secs => %(seconds)s)) AS alive",
            seconds=STALLED_SECONDS,
        )
        return bool(row["alive"])

    async def aclose(self) -> None:
        """Close every connection."""
        await self.connector.close_async()


def lane(task: str) -> Lane:
    """Return the queue name whose workers run a task."""
    return "documents" if task in LONG else "chores"
