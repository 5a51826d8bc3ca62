"""The queue of background jobs: procrastinate on the same database. A job's payload is ids, never text or secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Status
from psycopg import AsyncConnection

from bot.errors import Unreachable
from bot.store.database.connections import BoundedConnection, parameters

Lane = Literal["documents", "chores"]
"""The queue for reading sources. It has its own workers, because reading takes long and must not delay other jobs."""
LONG: frozenset[str] = frozenset(("ingest", "reembed"))
STALLED_SECONDS = 20.0
"""Seconds without a heartbeat after which a worker counts as dead. Workers send one every ``HEARTBEAT`` seconds."""
HEARTBEAT = 5.0
POOL_SECONDS = 10.0
"""Seconds that a statement of the queue waits for a connection."""


class QueueConnection(BoundedConnection):
    """A connection of the queue. Its bound is longer than procrastinate listens without a statement, which is 30 s."""

    round_trip_seconds = 60.0


async def _commit_each_statement(connection: AsyncConnection[Any]) -> None:
    """Leave no transaction open between two round trips: where a pooler stands between, nothing limits its time."""
    await connection.set_autocommit(True)


class Queue:
    """Submits background jobs. Opens nothing until its first use.

    ``url`` must not lead through a pooler in transaction mode, because the worker listens for notifications.
    """

    def __init__(self, url: str, *, connections: int = 6, seconds: float = POOL_SECONDS) -> None:
        self.connector = PsycopgConnector(
            min_size=0,
            max_size=connections,
            timeout=seconds,
            kwargs=parameters(url),
            configure=_commit_each_statement,
            connection_class=QueueConnection,
        )
        self._app = App(connector=self.connector)
        self._opening = asyncio.Lock()

    async def opened(self) -> App:
        """Return the connected queue. It can only submit jobs; the worker registers the tasks. Raises Unreachable."""
        async with self._opening:
            try:
                await self.connector.open_async()
            except ConnectorException as error:
                raise Unreachable(f"The queue in the database cannot be reached ({error}).") from error
        return self._app

    async def defer(
        self,
        task: str,
        *,
        tenant_id: str,
        lock: str | None = None,
        once: str | None = None,
        after: timedelta | None = None,
        across_tenants: bool = False,
        **ids: str,
    ) -> int | None:
        """Submit a job and return its number, or None if a job with the same ``once`` is already waiting.

        Jobs with one ``lock`` run one after the other. ``after`` is the minimum delay. Locks of different tenants never
        collide, unless the lock is meant ``across_tenants``.
        """
        app = await self.opened()
        job = app.configure_task(
            task,
            queue=lane(task),
            lock=lock and (lock if across_tenants else f"{tenant_id} {lock}"),
            queueing_lock=once and f"{tenant_id} {once}",
            schedule_in={"seconds": after.total_seconds()} if after else None,
        )
        try:
            return await job.defer_async(tenant_id=tenant_id, **ids)
        except AlreadyEnqueued:
            return None

    async def waits_or_runs(self, job_id: int) -> bool:
        """Return whether the job is waiting, running, or will be retried once its worker counts as dead."""
        app = await self.opened()
        jobs = await app.job_manager.list_jobs_async(id=job_id)
        return any(Status(job.status) in (Status.TODO, Status.DOING) for job in jobs)

    async def recent(self, tenant_id: str, *, most: int = 200) -> Sequence[Mapping[str, Any]]:
        """Return ``id``, ``task_name``, ``status``, ``attempts`` and ``scheduled_at`` of a tenant's newest jobs."""
        await self.opened()
        rows: Sequence[Mapping[str, Any]] = await self.connector.execute_query_all_async(
            "SELECT id, task_name, CAST(status AS text) AS status, attempts, scheduled_at FROM procrastinate_jobs "
            "WHERE args ->> 'tenant_id' = %(tenant)s ORDER BY id DESC LIMIT %(most)s",
            tenant=tenant_id,
            most=most,
        )
        return rows

    async def retry_failed(self, tenant_id: str, job_id: int) -> bool:
        """Run a failed job of the tenant again; return False if there is none."""
        if not await self._is(tenant_id, job_id, Status.FAILED):
            return False
        app = await self.opened()
        try:
            await app.job_manager.retry_job_by_id_async(job_id, datetime.now(UTC))
        except ConnectorException:
            # Somebody else retried it, or a job for the same work already waits.
            return False
        return True

    async def cancel_waiting(self, tenant_id: str, job_id: int) -> bool:
        """Cancel a job of the tenant that no worker has begun; return False if there is none."""
        app = await self.opened()
        return await self._is(tenant_id, job_id, Status.TODO) and await app.job_manager.cancel_job_by_id_async(job_id)

    async def _is(self, tenant_id: str, job_id: int, status: Status) -> bool:
        """Return whether the tenant has a job with this number and status."""
        await self.opened()
        row = await self.connector.execute_query_one_async(
            "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE id = %(id)s "
            "AND args ->> 'tenant_id' = %(tenant)s AND CAST(status AS text) = %(status)s) AS found",
            id=job_id,
            tenant=tenant_id,
            status=status.value,
        )
        return bool(row["found"])

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
