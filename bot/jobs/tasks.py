"""Tasks of the job queue. To add one, write a coroutine function here and add a line to TASKS.

A task gets the services and the ids in its payload. It may run twice: a worker can die after the work is done and
before the job is marked as done.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bot.commands.services import Services
from bot.ingestion import IngestRunner, SourceBusy
from bot.jobs import maintenance
from bot.jobs.retries import retry_delay
from knowledge.errors import KnowledgeError
from knowledge.ingest.reembed import reembed as reembed_passages
from knowledge.ingest.reindex import reindex as reindex_passages

log = logging.getLogger(__name__)


class Task(Protocol):
    """Runs one job. ``attempts`` earlier attempts failed. A transient error that it raises is retried."""

    def __call__(self, services: Services, attempts: int, **ids: str) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """A task that runs on a schedule."""

    cron: str
    task: Task


async def ingest(services: Services, attempts: int, *, tenant_id: str, run_id: str) -> None:
    """Ingest one source. The run's row tells the user why it is retried or that it failed."""
    runner = IngestRunner(services.database, services.ingestor, services.open_source, services.daily_limit)
    try:
        await runner.work(tenant_id, run_id)
    except SourceBusy:
        raise
    except Exception as error:
        message = str(error) if isinstance(error, KnowledgeError) else f"unexpected error ({type(error).__name__})"
        delay = retry_delay(error, attempts)
        if delay is not None:
            log.warning("ingestion is retried in %d s: %s", delay, message)
            await runner.postpone(tenant_id, run_id, message)
            raise
        log.error("ingestion failed: %s", message, exc_info=not isinstance(error, KnowledgeError))
        await runner.fail(tenant_id, run_id, message)


async def reembed(services: Services, attempts: int, *, tenant_id: str) -> None:
    """Embed the passages that have no vector of the configured model, and delete the vectors of other models."""
    await reembed_passages(services.database.tenant, services.models, tenant_id)


async def reindex(services: Services, attempts: int, *, tenant_id: str) -> None:
    """Make the search terms of the passages again, because Parley's rules for them changed."""
    if done := await reindex_passages(services.database.tenant, tenant_id):
        log.info("made the search terms of %d passages of %s again", done, tenant_id)


_regular_maintenance = maintenance.RegularMaintenance()


async def run_maintenance(services: Services, attempts: int) -> None:
    """Run maintenance for the tenants that need it, and regularly for all."""
    await _regular_maintenance(services)


async def refresh_due(services: Services, attempts: int) -> None:
    """Start a refresh of every source that is due."""
    await maintenance.refresh_due(services)


TASKS: Mapping[str, Task] = {"ingest": ingest, "reembed": reembed, "reindex": reindex}  # type: ignore[dict-item]
"""Tasks that can be enqueued, by name."""

PERIODIC: Mapping[str, PeriodicTask] = {
    # This name is stored in the queue. If it changes, the tasks of both names run during a rolling upgrade.
    "keep_house": PeriodicTask("* * * * *", run_maintenance),  # type: ignore[arg-type]
    "refresh_due": PeriodicTask("* * * * *", refresh_due),  # type: ignore[arg-type]
}
"""Tasks that run on a schedule, once for all workers together."""
