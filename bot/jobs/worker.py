"""The background worker: runs jobs from the queue until it is cancelled, and recovers jobs of dead workers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from procrastinate import App, JobContext
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.worker import Worker
from sqlalchemy.exc import DBAPIError

from bot.commands.services import Services
from bot.errors import ParleyError, for_operator
from bot.ingestion import IngestRunner
from bot.jobs.retries import ExponentialBackoff
from bot.jobs.tasks import PERIODIC, TASKS, Task
from bot.store.database.job_queue import HEARTBEAT, STALLED_SECONDS, Lane, lane

log = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds that running jobs have to end at a shutdown. Jobs that take longer return to the queue."""
CONCURRENCY: dict[Lane, int] = {"documents": 2, "chores": 4}
STALLED_CHECK_SECONDS = 5.0
MAX_ATTEMPTS_OF_STALLED = 5
"""A job whose workers died this many times fails for good."""
RECONNECT_SECONDS = 5.0


async def work(services: Services, *, grace: float = GRACE, ready: asyncio.Event | None = None) -> None:
    """Run jobs until cancelled; jobs that do not end within ``grace`` seconds return to the queue.

    Raises ConfigError.
    """
    await services.queue.opened()
    app = _app(services)
    async with asyncio.TaskGroup() as group:
        for name in CONCURRENCY:
            group.create_task(_serve(app, name, grace))
        group.create_task(_recover_stalled_jobs(services, app))
        if ready is not None:
            ready.set()


@asynccontextmanager
async def working(services: Services, *, grace: float = GRACE) -> AsyncIterator[None]:
    """Run a worker in this process while the body runs."""
    ready = asyncio.Event()
    task = asyncio.create_task(work(services, grace=grace, ready=ready))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield
    finally:
        waiting.cancel()
        task.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)


class RetryOrSuccessor(JobManager):
    """Retries a job, or ends it if a job for the same work already waits.

    Without this, the failed retry would leave the job running for ever, and its successor would wait for its lock.
    """

    async def retry_job_by_id_async(self, job_id: int, *args: Any, **kwargs: Any) -> None:
        try:
            await super().retry_job_by_id_async(job_id, *args, **kwargs)
        except UniqueViolation as error:
            log.info("job %s is left to the job that waits with the lock %s", job_id, error.queueing_lock)
            await self.finish_job_by_id_async(job_id, Status.SUCCEEDED, delete_job=True)


def _app(services: Services) -> App:
    """Return the queue's application with all tasks registered."""
    app = App(connector=services.queue.connector)
    app.job_manager = RetryOrSuccessor(app.connector)
    for name, task in TASKS.items():
        _register(app, services, name, task)
    for name, periodic in PERIODIC.items():
        _register(app, services, name, periodic.task, cron=periodic.cron)
    return app


def _register(app: App, services: Services, name: str, task: Task, *, cron: str | None = None) -> None:
    async def run_task(context: JobContext, /, **ids: Any) -> None:
        ids.pop("timestamp", None)
        await task(services, context.job.attempts, **ids)

    lock = f"periodic {name}" if cron else None
    registered = app.task(
        name=name, queue=lane(name), retry=ExponentialBackoff(), pass_context=True, lock=lock, queueing_lock=lock
    )(run_task)
    if cron:
        app.periodic(cron=cron)(registered)  # type: ignore[arg-type]


async def _serve(app: App, name: Lane, grace: float) -> None:
    """Run the jobs of one lane; reconnect after a database error."""
    while True:
        worker = Worker(
            app,
            queues=[name],
            name=name,
            concurrency=CONCURRENCY[name],
            install_signal_handlers=False,
            shutdown_graceful_timeout=grace,
            delete_jobs="successful",
            update_heartbeat_interval=HEARTBEAT,
            stalled_worker_timeout=STALLED_SECONDS,
        )
        try:
            await _until_cancelled(worker)
        except ConnectorException as error:
            log.warning("the queue cannot be reached (%s); retrying in %.0f s", for_operator(error), RECONNECT_SECONDS)
        await asyncio.sleep(RECONNECT_SECONDS)


async def _until_cancelled(worker: Worker) -> None:
    """Run the worker; on cancellation, stop it gracefully.

    The worker is stopped, not cancelled, because its connection pool may swallow a cancellation while it connects. The
    stop is repeated, because the worker ignores one that comes before it runs.
    """
    running: asyncio.Task[None] = asyncio.create_task(worker.run())  # type: ignore[no-untyped-call]
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            worker.stop()  # type: ignore[no-untyped-call]
            await asyncio.wait({running}, timeout=0.1)
        raise
    finally:
        running.cancel()


async def _recover_stalled_jobs(services: Services, app: App) -> None:
    # The connection pool may swallow a cancellation while it connects, so check for one explicitly.
    task = asyncio.current_task()
    while True:
        try:
            await retry_stalled_jobs(services, app)
        except (ConnectorException, DBAPIError, ParleyError) as error:
            log.warning("jobs of dead workers could not be queried: %s", for_operator(error))
        if task is not None and task.cancelling():
            return
        await asyncio.sleep(STALLED_CHECK_SECONDS)


async def retry_stalled_jobs(services: Services, app: App, *, seconds: float = STALLED_SECONDS) -> int:
    """Return jobs to the queue whose worker sent no heartbeat for ``seconds``; return how many."""
    stalled = list(await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=seconds))
    for job in stalled:
        log.warning("job %s (%s) lost its worker", job.id, job.task_name)
        try:
            if job.attempts >= MAX_ATTEMPTS_OF_STALLED:
                await _fail_job(services, app, job)
            else:
                await app.job_manager.retry_job(job)
        except ConnectorException as error:
            log.info("another worker has recovered job %s already: %s", job.id, for_operator(error))
    return len(stalled)


async def _fail_job(services: Services, app: App, job: Job) -> None:
    await app.job_manager.finish_job(job, status=Status.FAILED, delete_job=False)
    run_id, tenant_id = job.task_kwargs.get("run_id"), job.task_kwargs.get("tenant_id")
    if isinstance(run_id, str) and isinstance(tenant_id, str):
        runner = IngestRunner(services.database, services.ingestor, services.open_source, services.daily_limit)
        message = f"the worker crashed {job.attempts} times on this source; remove large or damaged files and try again"
        await runner.fail(tenant_id, run_id, message)
