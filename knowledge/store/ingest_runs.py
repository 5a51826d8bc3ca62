"""Reads and writes ingestion runs: one row per run over one source, from the request to the report.

Every function runs inside its caller's transaction and tenant.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.types.ingest_reports import DocumentWarning, IngestReport, Progress
from knowledge.types.source_items import Failure

RunState = Literal["waiting", "running", "done", "stopped", "failed"]
ACTIVE: tuple[RunState, ...] = ("waiting", "running")
MAX_STORED_FAILURES = 50
"""Maximum number of failures, and of warnings, in a stored report. The rows of the documents have all of them."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run over one source. With ``limited``, its documents count toward the daily limit of ``asked_by``.

    ``files`` is true if the run was requested in the terminal, so that it may read paths of the server. ``total`` is
    the number of documents found so far, None if it is unknown. ``accept_removals``: many documents may be removed.
    ``error`` says why the run failed or, while it waits, why it is being retried.
    """

    id: str
    source_id: str
    uri: str
    kind: str
    audience: str
    state: RunState
    asked_by: str
    files: bool
    content_type: str
    limited: bool
    job_id: int | None
    done: int
    total: int | None
    failed: int
    stop_asked: bool
    error: str
    updated_at: datetime
    report: dict[str, Any] = field(default_factory=dict)
    accept_removals: bool = False

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def progress(self) -> Progress:
        return Progress(self.uri, self.done, self.total, self.failed, kind=self.kind)


# The unique index allows one active run per source.
_ADD_RUN = text("""
    INSERT INTO ingests (tenant_id, id, source_id, asked_by, files, content_type, accept_removals, limited)
    VALUES (:tenant, :id, :source, :by, :files, :type, :accept_removals, :limited)
    ON CONFLICT (tenant_id, source_id) WHERE state IN ('waiting', 'running') DO NOTHING
    RETURNING id
""")

_ACCEPT_REMOVALS = text("""
    UPDATE ingests SET accept_removals = true
    WHERE tenant_id = :tenant AND id = :id AND state IN ('waiting', 'running')
    RETURNING true
""")


async def begin(
    session: AsyncSession,
    *,
    tenant_id: str,
    source_id: str,
    asked_by: str,
    files: bool,
    content_type: str = "",
    accept_removals: bool = False,
    limited: bool = False,
) -> tuple[Run, bool]:
    """Add a waiting run of the source and return it with True; return an active run with False if there is one.

    ``accept_removals`` holds for the active run too, even if it has begun.
    """
    for _ in range(2):
        added = await session.scalar(
            _ADD_RUN,
            {
                "tenant": tenant_id,
                "id": uuid.uuid4(),
                "source": uuid.UUID(source_id),
                "by": asked_by,
                "files": files,
                "type": content_type,
                "accept_removals": accept_removals,
                "limited": limited,
            },
        )
        runs = await active(session, tenant_id, source_id=source_id)
        if runs and accept_removals and not runs[0].accept_removals:
            if not await session.scalar(_ACCEPT_REMOVALS, {"tenant": tenant_id, "id": uuid.UUID(runs[0].id)}):
                continue  # It has ended meanwhile.
            runs = [replace(runs[0], accept_removals=True)]
        if runs:
            return runs[0], added is not None
    raise RuntimeError(f"runs of source {source_id} end faster than they begin")


# The columns of Run, in its order.
_RUNS = """
    SELECT
        CAST(ingests.id AS text), CAST(source_id AS text), uri, kind, audience, state, asked_by, files, content_type,
        limited, job_id, done, total, failed, stop_asked, error, updated_at, report, accept_removals
    FROM ingests
    JOIN sources ON sources.tenant_id = ingests.tenant_id AND sources.id = source_id
    WHERE ingests.tenant_id = :tenant
"""


async def get(session: AsyncSession, tenant_id: str, ids: Sequence[str]) -> list[Run]:
    """Return the runs with these ids, oldest first; unknown ids are left out."""
    rows = await session.execute(
        text(_RUNS + " AND ingests.id = ANY(CAST(:ids AS uuid[])) ORDER BY asked_at, uri"),
        {"tenant": tenant_id, "ids": list(ids)},
    )
    return [Run(*row) for row in rows]


async def newest(session: AsyncSession, tenant_id: str, *, most: int = 100) -> list[Run]:
    """Return the newest runs, those that are waiting or running first. Ended ones are kept for a week."""
    order = " ORDER BY state NOT IN ('waiting', 'running'), asked_at DESC, uri LIMIT :most"
    rows = await session.execute(text(_RUNS + order), {"tenant": tenant_id, "most": most})
    return [Run(*row) for row in rows]


# A source or a user that is NULL matches every run.
_ACTIVE_RUNS = text(f"""
    {_RUNS}
        AND state IN ('waiting', 'running')
        AND (CAST(:source AS uuid) IS NULL OR source_id = CAST(:source AS uuid))
        AND (CAST(:by AS text) IS NULL OR asked_by = :by)
    ORDER BY asked_at, uri
""")


async def active(
    session: AsyncSession, tenant_id: str, *, source_id: str | None = None, asked_by: str | None = None
) -> list[Run]:
    """Return the waiting and running runs, oldest first; only those of a source or user if these are given."""
    rows = await session.execute(_ACTIVE_RUNS, {"tenant": tenant_id, "source": source_id, "by": asked_by})
    return [Run(*row) for row in rows]


async def set_job(session: AsyncSession, *, tenant_id: str, run_id: str, job_id: int) -> None:
    """Record which job of the queue works on the run."""
    await session.execute(
        text("UPDATE ingests SET job_id = :job WHERE tenant_id = :tenant AND id = :id"),
        {"tenant": tenant_id, "id": uuid.UUID(run_id), "job": job_id},
    )


# A parameter that is NULL keeps the stored value.
_RECORD_PROGRESS = text("""
    UPDATE ingests SET
        state = 'running',
        error = '',
        updated_at = now(),
        done = coalesce(:done, done),
        total = coalesce(:total, total),
        failed = coalesce(:failed, failed)
    WHERE tenant_id = :tenant AND id = :id AND state IN ('waiting', 'running')
    RETURNING stop_asked
""")


async def record_progress(session: AsyncSession, *, tenant_id: str, run_id: str, at: Progress | None) -> bool:
    """Mark the run as running and store its progress; return True if it must stop.

    It must stop if a user requested it, or if the run is no longer active.
    """
    stop_asked = await session.scalar(
        _RECORD_PROGRESS,
        {
            "tenant": tenant_id,
            "id": uuid.UUID(run_id),
            "done": at.done if at else None,
            "total": at.total if at else None,
            "failed": at.failed if at else None,
        },
    )
    return stop_asked is not False


# A run that has already ended is not changed.
_RETURN_TO_QUEUE = text("""
    UPDATE ingests SET state = 'waiting', error = :error, updated_at = now()
    WHERE tenant_id = :tenant AND id = :id AND state IN ('waiting', 'running')
""")


async def return_to_queue(session: AsyncSession, *, tenant_id: str, run_id: str, error: str = "") -> None:
    """Mark the run as waiting again, because the process shuts down or ``error`` is temporary."""
    await session.execute(_RETURN_TO_QUEUE, {"tenant": tenant_id, "id": uuid.UUID(run_id), "error": error})


async def accepts_removals(session: AsyncSession, *, tenant_id: str, run_id: str) -> bool:
    """Return whether the run may remove many documents by now. Until the transaction ends, this does not change."""
    found = await session.scalar(
        text("SELECT accept_removals FROM ingests WHERE tenant_id = :tenant AND id = :id FOR UPDATE"),
        {"tenant": tenant_id, "id": uuid.UUID(run_id)},
    )
    return bool(found)


# A run that has already ended is not changed.
_END_RUN = text("""
    UPDATE ingests SET state = :state, report = CAST(:report AS jsonb), error = :error, updated_at = now()
    WHERE tenant_id = :tenant AND id = :id AND state IN ('waiting', 'running')
""")


async def end(
    session: AsyncSession, *, tenant_id: str, run_id: str, state: RunState, report: IngestReport, error: str = ""
) -> None:
    """Store the final state and report of the run, and delete what was kept for its retries."""
    await session.execute(
        _END_RUN,
        {
            "tenant": tenant_id,
            "id": uuid.UUID(run_id),
            "state": state,
            "report": json.dumps(_report_to_json(report)),
            "error": error,
        },
    )
    for statement in _DELETE_KEPT:
        await session.execute(statement, {"tenant": tenant_id, "ids": [run_id]})


# The uploaded bytes of runs that ended, and which of their documents were counted.
_DELETE_KEPT = tuple(
    text(f"""
        DELETE FROM {table} USING ingests
        WHERE {table}.tenant_id = :tenant
            AND ingests.tenant_id = :tenant
            AND ingests.id = ingest_id
            AND state NOT IN ('waiting', 'running')
            AND ingests.id = ANY(CAST(:ids AS uuid[]))
    """)  # noqa: S608
    for table in ("upload_parts", "counted_documents")
)


# A waiting run has no process that could see the request, so it ends here.
_REQUEST_STOP = text("""
    UPDATE ingests SET
        stop_asked = true,
        updated_at = now(),
        state = CASE WHEN state = 'waiting' THEN 'stopped' ELSE state END
    WHERE tenant_id = :tenant AND id = ANY(CAST(:ids AS uuid[])) AND state IN ('waiting', 'running')
""")


async def request_stop(session: AsyncSession, tenant_id: str, ids: Sequence[str]) -> None:
    """Ask these runs to stop; those that have not started, or wait for a retry, end at once."""
    values = {"tenant": tenant_id, "ids": list(ids)}
    await session.execute(_REQUEST_STOP, values)
    for statement in _DELETE_KEPT:
        await session.execute(statement, values)


# A retry finds the documents that an earlier attempt counted.
_COUNT_ONCE = text("""
    INSERT INTO counted_documents (tenant_id, ingest_id, name_digest)
    VALUES (:tenant, :id, :digest)
    ON CONFLICT DO NOTHING
    RETURNING true
""")


async def count_once(session: AsyncSession, *, tenant_id: str, run_id: str, name: str) -> bool:
    """Return whether this is the first call for a document of the run, so that it counts toward the daily limit."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    values = {"tenant": tenant_id, "id": uuid.UUID(run_id), "digest": digest}
    return bool(await session.scalar(_COUNT_ONCE, values))


def _report_to_json(report: IngestReport) -> dict[str, Any]:
    return {
        "documents": report.documents,
        "chunks": report.chunks,
        "unchanged": report.unchanged,
        "deleted": report.deleted,
        "seconds": report.seconds,
        "model": report.embedding_model,
        "tokens": report.embedding_tokens,
        "failed": [[failure.source, failure.error] for failure in report.failed[:MAX_STORED_FAILURES]],
        "failures": len(report.failed),
        "warnings": [[one.source, one.warning] for one in report.warnings[:MAX_STORED_FAILURES]],
        "warned": len(report.warnings),
        "stopped": report.stopped,
    }


def report_of(run: Run) -> IngestReport:
    """Return the report of a run that ended; if the run failed, its error is listed as a failure of the source."""
    stored = run.report
    failed = [Failure(source, error) for source, error in stored.get("failed", [])]
    if run.state == "failed":
        failed.append(Failure(run.uri, run.error))
    unlisted = int(stored.get("failures", 0)) - len(stored.get("failed", []))
    failed += [Failure(run.uri, "a further document could not be read")] * max(0, unlisted)
    warnings = [DocumentWarning(source, warning) for source, warning in stored.get("warnings", [])]
    unlisted = int(stored.get("warned", 0)) - len(warnings)
    warnings += [DocumentWarning(run.uri, "parts of a further document were left out")] * unlisted
    return IngestReport(
        documents=int(stored.get("documents", 0)),
        chunks=int(stored.get("chunks", 0)),
        unchanged=int(stored.get("unchanged", 0)),
        failed=tuple(failed),
        seconds=float(stored.get("seconds", 0.0)),
        deleted=int(stored.get("deleted", 0)),
        embedding_model=str(stored.get("model", "")),
        embedding_tokens=int(stored.get("tokens", 0)),
        stopped=run.state == "stopped",
        warnings=tuple(warnings),
    )
