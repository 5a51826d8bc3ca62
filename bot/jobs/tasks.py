"""What the queue can be asked to do. To add a task: a coroutine function here, and a line in TASKS.

A task gets the services and the ids of its payload, and may run twice: a worker can die after the work and before it
is noted as done.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bot.commands.services import Services
from bot.ingestion import Busy, Worker
from bot.jobs import maintenance
from bot.jobs.retries import wait_after
from knowledge.errors import KnowledgeError
from knowledge.reembed import reembed as give_vectors

log = logging.getLogger(__name__)


class Task(Protocol):
    """Carries one job out. ``attempts`` earlier tries failed. Raises what may pass, and it is tried again."""

    def __call__(self, services: Services, attempts: int, **ids: str) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Every:
    """A task that comes by itself: ``cron`` says when."""

    cron: str
    task: Task


async def ingest(services: Services, attempts: int, *, tenant_id: str, run_id: str) -> None:
    """Read one source. Whoever asked is told in the run's row why it is tried again, or that it failed for good."""
    reader = Worker(services.database, services.ingestor, services.open_source)
    try:
        await reader.work(tenant_id, run_id)
    except Busy:
        raise
    except Exception as error:
        words = str(error) if isinstance(error, KnowledgeError) else f"it broke off ({type(error).__name__})"
        wait = wait_after(error, attempts)
        if wait is not None:
            log.warning("a reading is tried again in %d s: %s", wait, words)
            await reader.put_off(tenant_id, run_id, words)
            raise
        log.error("a reading failed: %s", words, exc_info=not isinstance(error, KnowledgeError))
        await reader.fail(tenant_id, run_id, words)


async def reembed(services: Services, attempts: int, *, tenant_id: str) -> None:
    """Vectors of the model in use for what was stored under another one."""
    await give_vectors(services.database.tenant, services.models, tenant_id)


async def keep_house(services: Services, attempts: int) -> None:
    """One round through every tenant: what is old goes, what was left behind is taken up."""
    await maintenance.keep_house(services)


async def refresh_due(services: Services, attempts: int) -> None:
    """Ask for every source whose time has come."""
    await maintenance.refresh_due(services)


TASKS: Mapping[str, Task] = {"ingest": ingest, "reembed": reembed}  # type: ignore[dict-item]
"""What can be deferred, by name."""

PERIODIC: Mapping[str, Every] = {
    "keep_house": Every("* * * * *", keep_house),  # type: ignore[arg-type]
    "refresh_due": Every("* * * * *", refresh_due),  # type: ignore[arg-type]
}
"""What comes by itself, once for all workers together."""
