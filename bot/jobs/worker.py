"""The worker: takes jobs from the queue until it is cancelled, and finds those that a dead worker left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from procrastinate import App, JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.worker import Worker
from sqlalchemy.exc import DBAPIError

from bot.commands.services import Services
from bot.errors import ParleyError
from bot.ingestion import Worker as AttachmentReader
from bot.jobs.retries import Patience
from bot.jobs.tasks import PERIODIC, TASKS, Task
from bot.store.job_queue import HEARTBEAT, STALLED_SECONDS, Lane, lane

log = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds that jobs have to end at a shutdown; the rest is handed back."""
AT_ONCE: dict[Lane, int] = {"documents": 2, "chores": 4}
LOOK_FOR_DEAD = 5.0
MOST_DEATHS = 5
"""A job that took so many workers with it is given up."""
AFTER_A_FAULT = 5.0


async def work(services: Services, *, grace: float = GRACE, ready: asyncio.Event | None = None) -> None:
    """Work until cancelled; what does not end within ``grace`` seconds then is handed back. Raises ConfigError."""
    await services.queue.opened()
    app = _app(services)
    async with asyncio.TaskGroup() as group:
        for name in AT_ONCE:
            group.create_task(_serve(app, name, grace))
        group.create_task(_find_dead(services, app))
        if ready is not None:
            ready.set()


@asynccontextmanager
async def working(services: Services, *, grace: float = GRACE) -> AsyncIterator[None]:
    """A worker in this process for the length of the body."""
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


def _app(services: Services) -> App:
    """The queue with every task, over the connections of the services' queue."""
    app = App(connector=services.queue.connector)
    for name, task in TASKS.items():
        _register(app, services, name, task)
    for name, every in PERIODIC.items():
        _register(app, services, name, every.task, cron=every.cron)
    return app


def _register(app: App, services: Services, name: str, task: Task, *, cron: str | None = None) -> None:
    async def carry_out(context: JobContext, /, **ids: Any) -> None:
        ids.pop("timestamp", None)
        await task(services, context.job.attempts, **ids)

    once = f"periodic {name}" if cron else None
    made = app.task(name=name, queue=lane(name), retry=Patience(), pass_context=True, lock=once, queueing_lock=once)
    task_of_queue = made(carry_out)
    if cron:
        app.periodic(cron=cron)(task_of_queue)  # type: ignore[arg-type]


async def _serve(app: App, name: Lane, grace: float) -> None:
    """One lane, taken up again after a fault of the database."""
    while True:
        worker = Worker(
            app,
            queues=[name],
            name=name,
            concurrency=AT_ONCE[name],
            install_signal_handlers=False,
            shutdown_graceful_timeout=grace,
            delete_jobs="successful",
            update_heartbeat_interval=HEARTBEAT,
            stalled_worker_timeout=STALLED_SECONDS,
        )
        try:
            await _until_cancelled(worker)
        except ConnectorException as error:
            log.warning("the queue cannot be reached (%s); trying again in %.0f s", error, AFTER_A_FAULT)
        await asyncio.sleep(AFTER_A_FAULT)


async def _until_cancelled(worker: Worker) -> None:
    """Run it; a cancellation stops it in good order. It is told to stop, and not cancelled: while it connects, the pool
    may swallow a cancellation, and it forgets a wish to stop that comes before it runs."""
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


async def _find_dead(services: Services, app: App) -> None:
    # The pool may swallow a cancellation while it connects; the task remembers that there was one.
    me = asyncio.current_task()
    while True:
        try:
            await take_up_stalled(services, app)
        except (ConnectorException, DBAPIError, ParleyError) as error:
            log.warning("jobs of dead workers could not be looked for: %s", error)
        if me is not None and me.cancelling():
            return
        await asyncio.sleep(LOOK_FOR_DEAD)


async def take_up_stalled(services: Services, app: App, *, seconds: float = STALLED_SECONDS) -> int:
    """Give jobs whose worker gave no sign of life for ``seconds`` to another worker; returns how many."""
    stalled = list(await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=seconds))
    for job in stalled:
        log.warning("job %s (%s) lost its worker", job.id, job.task_name)
        try:
            if job.attempts >= MOST_DEATHS:
                await _give_up(services, app, job)
            else:
                await app.job_manager.retry_job(job)
        except ConnectorException as error:
            log.info("another worker was faster with job %s: %s", job.id, error)
    return len(stalled)


async def _give_up(services: Services, app: App, job: Job) -> None:
    await app.job_manager.finish_job(job, status=Status.FAILED, delete_job=False)
    run_id, tenant_id = job.task_kwargs.get("run_id"), job.task_kwargs.get("tenant_id")
    if isinstance(run_id, str) and isinstance(tenant_id, str):
        reader = AttachmentReader(services.database, services.ingestor, services.open_source)
        await reader.fail(tenant_id, run_id, f"its process died {job.attempts} times; take something out of it")
