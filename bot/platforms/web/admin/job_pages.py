"""The admin page of background work: readings of sources with their progress, jobs, and buttons that retry or stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.commands.services import Services
from bot.errors import UsageError
from bot.platforms.web.admin import user_messages
from bot.platforms.web.admin.forms import posted
from bot.platforms.web.admin.page_model import Cell, Page, Table, link
from bot.platforms.web.admin.rendering import respond
from bot.platforms.web.http_messages import identity_of
from bot.store import admin_changes
from bot.store.admin_changes import AdminAction
from knowledge.sources.source_factory import reads_local_files
from knowledge.store import ingest_runs
from knowledge.store.ingest_runs import Run
from knowledge.whole_numbers import whole_number

INGEST = "ingest"
"""The task of a reading, which is retried and stopped as a reading."""


class JobPages:
    """The background work of one tenant."""

    def __init__(self, services: Services, tenant_id: str) -> None:
        self._services = services
        self._tenant = tenant_id

    def routes(self) -> list[Route]:
        """Return the routes of the page and of its buttons."""
        return [
            Route("/admin/jobs", self._shown),
            Route("/admin/jobs/{job_id}/retry", posted(self._retry, self._page), methods=["POST"]),
            Route("/admin/jobs/{job_id}/stop", posted(self._stop, self._page), methods=["POST"]),
            Route("/admin/runs/{run_id}/retry", posted(self._read_again, self._page), methods=["POST"]),
            Route("/admin/runs/{run_id}/stop", posted(self._stop_reading, self._page), methods=["POST"]),
        ]

    async def _shown(self, request: Request) -> Response:
        return respond(request, await self._page(request))

    async def _page(self, request: Request) -> Page:
        async with self._services.database.tenant(self._tenant) as session:
            runs = await ingest_runs.newest(session, self._tenant)
        jobs = await self._services.queue.recent(self._tenant)
        return Page("jobs", "Background jobs", [_readings(runs), _jobs(jobs)])

    async def _retry(self, request: Request, given: Mapping[str, str]) -> str:
        job = _job_number(request)
        if not await self._services.queue.retry_failed(self._tenant, job):
            raise UsageError(user_messages.JOB_GONE)
        return await self._recorded(request, "retry a job", f"job {job}")

    async def _stop(self, request: Request, given: Mapping[str, str]) -> str:
        job = _job_number(request)
        if not await self._services.queue.cancel_waiting(self._tenant, job):
            raise UsageError(user_messages.JOB_GONE)
        return await self._recorded(request, "stop a job", f"job {job}")

    async def _read_again(self, request: Request, given: Mapping[str, str]) -> str:
        run = await self._run(request)
        if not _can_be_read_again(run):
            raise UsageError(user_messages.JOB_GONE)
        await self._services.ingestion.refresh(self._tenant, run.source_id, asked_by=identity_of(request).id)
        return await self._recorded(request, "retry a job", run.uri)

    async def _stop_reading(self, request: Request, given: Mapping[str, str]) -> str:
        run = await self._run(request)
        if not await self._services.ingestion.stop(self._tenant, asked_by=None, named=[run.id]):
            raise UsageError(user_messages.JOB_GONE)
        return await self._recorded(request, "stop a job", run.uri)

    async def _run(self, request: Request) -> Run:
        async with self._services.database.tenant(self._tenant) as session:
            runs = await ingest_runs.newest(session, self._tenant)
        found = [run for run in runs if run.id == request.path_params["run_id"]]
        if not found:
            raise HTTPException(404, user_messages.JOB_GONE)
        return found[0]

    async def _recorded(self, request: Request, action: AdminAction, subject: str) -> str:
        async def store(session: AsyncSession) -> None:
            await admin_changes.record(
                session, tenant_id=self._tenant, admin_id=identity_of(request).id, action=action, subject=subject
            )

        await self._services.database.run(self._tenant, store)
        return link("jobs")


def _job_number(request: Request) -> int:
    job = whole_number(request.path_params["job_id"])
    if job is None:
        raise UsageError(user_messages.JOB_GONE)
    return job


def _can_be_read_again(run: Run) -> bool:
    """Return whether a reading that ended badly can be repeated; uploads and files of the server cannot."""
    return run.state in ("failed", "stopped") and run.kind != "upload" and not reads_local_files(run.kind, run.uri)


def _readings(runs: Sequence[Run]) -> Table:
    """Return the readings of sources with how far they are, and a button for those that can be stopped or repeated."""
    columns = (
        "Source",
        "State",
        "Documents read",
        "Of",
        "Failed",
        "Asked by",
        "Changed at",
        "Reason",
        user_messages.ACTION,
    )
    rows = [
        [
            Cell(run.uri, link("documents", source=run.uri)),
            Cell("stopping" if run.stop_asked and run.active else run.state, is_good=_goes_well(run.state)),
            Cell(run.done),
            Cell(run.total),
            Cell(run.failed),
            Cell(run.asked_by),
            Cell(run.updated_at),
            Cell(run.error),
            _button_of_run(run),
        ]
        for run in runs
    ]
    return Table("readings", "Sources that are read", columns, rows, user_messages.NO_RUNS)


def _button_of_run(run: Run) -> Cell:
    if run.active and not run.stop_asked:
        return Cell(user_messages.STOP, posts=link(f"runs/{run.id}/stop"))
    return Cell(user_messages.RETRY, posts=link(f"runs/{run.id}/retry")) if _can_be_read_again(run) else Cell(None)


def _jobs(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = ("No.", "Task", "Status", "Attempts", "Planned for", user_messages.ACTION)
    found = [
        [
            Cell(row["id"]),
            Cell(row["task_name"]),
            Cell(user_messages.JOB_STATES.get(row["status"], row["status"]), is_good=_goes_well(row["status"])),
            Cell(row["attempts"]),
            Cell(row["scheduled_at"]),
            _button_of_job(row),
        ]
        for row in rows
    ]
    return Table("jobs", "Newest jobs", columns, found, user_messages.NO_JOBS)


def _goes_well(state: str) -> bool | None:
    """Return whether a state is good or bad; None if it is neither."""
    return False if state in ("failed", "aborted") else True if state in ("done", "succeeded") else None


def _button_of_job(row: Mapping[str, Any]) -> Cell:
    if row["task_name"] == INGEST:
        return Cell(None)
    if row["status"] == "failed":
        return Cell(user_messages.RETRY, posts=link(f"jobs/{row['id']}/retry"))
    return Cell(user_messages.STOP, posts=link(f"jobs/{row['id']}/stop")) if row["status"] == "todo" else Cell(None)
