"""Readings of sources as the database knows them: asked for, going on, ended. SQL and nothing else.

Every function runs inside its caller's transaction and tenant.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.types import Failure, IngestReport, Progress

RunState = Literal["waiting", "running", "done", "stopped", "failed"]
ACTIVE: tuple[RunState, ...] = ("waiting", "running")
KEPT_FAILURES = 50
"""Failures that a stored report names; the documents have them all."""
UPLOAD_PART = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Run:
    """One reading of one source. ``files`` says that it was asked for in the terminal and may read paths there.

    ``total`` is what is known to be there so far, None where nothing is. ``error`` says why it failed, or, of one that
    waits, why it is tried again.
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
    job_id: int | None
    done: int
    total: int | None
    failed: int
    stop_asked: bool
    error: str
    updated_at: datetime
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def progress(self) -> Progress:
        return Progress(self.uri, self.done, self.total, self.failed, kind=self.kind)


_COLUMNS = """
    SELECT CAST(ingests.id AS text), CAST(source_id AS text), uri, kind, audience, state, asked_by, files, content_type,
    job_id, done, total, failed, stop_asked, error, updated_at, report
    FROM ingests JOIN sources ON sources.tenant_id = ingests.tenant_id AND sources.id = source_id
    WHERE ingests.tenant_id = :tenant
"""


async def find_or_add_source(
    session: AsyncSession, *, tenant_id: str, uri: str, kind: str, audience: str, now: datetime
) -> str:
    """The id of the source, known or not; its age stays as it is."""
    await session.execute(
        text(
            "INSERT INTO sources (tenant_id, id, uri, kind, audience, fetched_at) "
            "VALUES (:tenant, :id, :uri, :kind, :audience, :now) ON CONFLICT (tenant_id, audience, uri) DO NOTHING"
        ),
        {"tenant": tenant_id, "id": uuid.uuid4(), "uri": uri, "kind": kind, "audience": audience, "now": now},
    )
    return str(
        await session.scalar(
            text("SELECT id FROM sources WHERE tenant_id = :tenant AND audience = :audience AND uri = :uri"),
            {"tenant": tenant_id, "audience": audience, "uri": uri},
        )
    )


async def begin(
    session: AsyncSession, *, tenant_id: str, source_id: str, asked_by: str, files: bool, content_type: str = ""
) -> tuple[Run, bool]:
    """A reading of the source that waits, and True; where one is asked for or going on already, that one and False."""
    for _ in range(2):
        fresh = await session.scalar(
            text(
                "INSERT INTO ingests (tenant_id, id, source_id, asked_by, files, content_type) "
                "VALUES (:tenant, :id, :source, :by, :files, :type) "
                "ON CONFLICT (tenant_id, source_id) WHERE state IN ('waiting', 'running') DO NOTHING RETURNING id"
            ),
            {
                "tenant": tenant_id,
                "id": uuid.uuid4(),
                "source": uuid.UUID(source_id),
                "by": asked_by,
                "files": files,
                "type": content_type,
            },
        )
        rows = await active(session, tenant_id, source_id=source_id)
        if rows:
            return rows[0], fresh is not None
    raise RuntimeError(f"readings of source {source_id} end faster than they begin")


async def get(session: AsyncSession, tenant_id: str, ids: Sequence[str]) -> list[Run]:
    """The runs of these ids that there are, oldest first."""
    rows = await session.execute(
        text(_COLUMNS + " AND ingests.id = ANY(CAST(:ids AS uuid[])) ORDER BY asked_at, uri"),
        {"tenant": tenant_id, "ids": list(ids)},
    )
    return [Run(*row) for row in rows]


async def active(
    session: AsyncSession, tenant_id: str, *, source_id: str | None = None, asked_by: str | None = None
) -> list[Run]:
    """What waits or goes on, oldest first: of one source, of one person, or everything."""
    rows = await session.execute(
        text(
            _COLUMNS + " AND state IN ('waiting', 'running') "
            "AND (CAST(:source AS uuid) IS NULL OR source_id = CAST(:source AS uuid)) "
            "AND (CAST(:by AS text) IS NULL OR asked_by = :by) ORDER BY asked_at, uri"
        ),
        {"tenant": tenant_id, "source": source_id, "by": asked_by},
    )
    return [Run(*row) for row in rows]


async def set_job(session: AsyncSession, *, tenant_id: str, run_id: str, job_id: int) -> None:
    """Note which job of the queue works on it."""
    await session.execute(
        text("UPDATE ingests SET job_id = :job WHERE tenant_id = :tenant AND id = :id"),
        {"tenant": tenant_id, "id": uuid.UUID(run_id), "job": job_id},
    )


async def note(session: AsyncSession, *, tenant_id: str, run_id: str, at: Progress | None) -> bool:
    """Mark it as going on, with how far it is; True where somebody asked it to stop."""
    stop = await session.scalar(
        text(
            "UPDATE ingests SET state = 'running', error = '', updated_at = now(), done = COALESCE(:done, done), "
            "total = COALESCE(:total, total), failed = COALESCE(:failed, failed) "
            "WHERE tenant_id = :tenant AND id = :id AND state IN ('waiting', 'running') RETURNING stop_asked"
        ),
        {
            "tenant": tenant_id,
            "id": uuid.UUID(run_id),
            "done": at.done if at else None,
            "total": at.total if at else None,
            "failed": at.failed if at else None,
        },
    )
    return stop is not False


async def hand_back(session: AsyncSession, *, tenant_id: str, run_id: str, error: str = "") -> None:
    """It waits again: the process shuts down, or ``error`` may pass."""
    await session.execute(
        text(
            "UPDATE ingests SET state = 'waiting', error = :error, updated_at = now() "
            "WHERE tenant_id = :tenant AND id = :id AND state IN ('waiting', 'running')"
        ),
        {"tenant": tenant_id, "id": uuid.UUID(run_id), "error": error},
    )


async def end(
    session: AsyncSession, *, tenant_id: str, run_id: str, state: RunState, report: IngestReport, error: str = ""
) -> None:
    """It is over; uploaded bytes go."""
    await session.execute(
        text(
            "UPDATE ingests SET state = :state, report = CAST(:report AS jsonb), error = :error, updated_at = now() "
            "WHERE tenant_id = :tenant AND id = :id AND state IN ('waiting', 'running')"
        ),
        {
            "tenant": tenant_id,
            "id": uuid.UUID(run_id),
            "state": state,
            "report": json.dumps(packed(report)),
            "error": error,
        },
    )
    await session.execute(
        text("DELETE FROM upload_parts WHERE tenant_id = :tenant AND ingest_id = :id"),
        {"tenant": tenant_id, "id": uuid.UUID(run_id)},
    )


async def ask_to_stop(session: AsyncSession, tenant_id: str, ids: Sequence[str]) -> None:
    """Ask these readings to stop; what has not begun, or waits for another try, ends at once."""
    values = {"tenant": tenant_id, "ids": list(ids)}
    await session.execute(
        text(
            "UPDATE ingests SET stop_asked = true, updated_at = now(), "
            "state = CASE state WHEN 'waiting' THEN 'stopped' ELSE state END WHERE tenant_id = :tenant "
            "AND id = ANY(CAST(:ids AS uuid[])) AND state IN ('waiting', 'running')"
        ),
        values,
    )
    await session.execute(
        text(
            "DELETE FROM upload_parts USING ingests WHERE upload_parts.tenant_id = :tenant "
            "AND ingests.tenant_id = :tenant AND ingests.id = ingest_id AND state = 'stopped' "
            "AND ingests.id = ANY(CAST(:ids AS uuid[]))"
        ),
        values,
    )


async def forget_ended(session: AsyncSession, tenant_id: str, *, before: datetime) -> None:
    """Drop ended readings that nobody waits for any more."""
    await session.execute(
        text("DELETE FROM ingests WHERE tenant_id = :tenant AND updated_at < :before AND NOT state = ANY(:active)"),
        {"tenant": tenant_id, "before": before, "active": list(ACTIVE)},
    )


async def store_upload(session: AsyncSession, *, tenant_id: str, run_id: str, data: bytes) -> None:
    """Keep uploaded bytes for the worker."""
    for part, start in enumerate(range(0, max(len(data), 1), UPLOAD_PART)):
        await session.execute(
            text("INSERT INTO upload_parts (tenant_id, ingest_id, part, data) VALUES (:tenant, :id, :part, :data)"),
            {
                "tenant": tenant_id,
                "id": uuid.UUID(run_id),
                "part": part,
                "data": data[start : start + UPLOAD_PART],
            },
        )


async def load_upload(session: AsyncSession, *, tenant_id: str, run_id: str) -> bytes:
    """The uploaded bytes."""
    rows = await session.scalars(
        text("SELECT data FROM upload_parts WHERE tenant_id = :tenant AND ingest_id = :id ORDER BY part"),
        {"tenant": tenant_id, "id": uuid.UUID(run_id)},
    )
    return b"".join(rows)


async def due(session: AsyncSession, tenant_id: str, *, now: datetime, every_seconds: int) -> list[tuple[str, bool]]:
    """Id of each source whose next reading is due and not asked for, and whether the interval is its own.

    ``every_seconds`` holds where a source has no interval of its own; 0 is never. Uploads cannot be read again.
    """
    rows = await session.execute(
        text(
            "SELECT CAST(id AS text), refresh_seconds IS NOT NULL FROM sources WHERE tenant_id = :tenant "
            "AND kind <> 'upload' AND COALESCE(refresh_seconds, :every) > 0 "
            "AND fetched_at + make_interval(secs => COALESCE(refresh_seconds, :every)) <= :now "
            "AND NOT EXISTS (SELECT FROM ingests WHERE ingests.tenant_id = :tenant AND source_id = sources.id "
            "AND state IN ('waiting', 'running')) ORDER BY fetched_at"
        ),
        {"tenant": tenant_id, "every": every_seconds, "now": now},
    )
    return [(row[0], row[1]) for row in rows]


async def set_refresh(session: AsyncSession, *, tenant_id: str, source_id: str, seconds: int | None) -> None:
    """The source's own interval; 0 is never, None leaves it to the setting."""
    await session.execute(
        text("UPDATE sources SET refresh_seconds = :seconds WHERE tenant_id = :tenant AND id = :id"),
        {"tenant": tenant_id, "id": uuid.UUID(source_id), "seconds": seconds},
    )


def packed(report: IngestReport) -> dict[str, Any]:
    """A report as it is stored."""
    return {
        "documents": report.documents,
        "chunks": report.chunks,
        "unchanged": report.unchanged,
        "deleted": report.deleted,
        "seconds": report.seconds,
        "model": report.embedding_model,
        "tokens": report.embedding_tokens,
        "failed": [[failure.source, failure.error] for failure in report.failed[:KEPT_FAILURES]],
        "failures": len(report.failed),
        "stopped": report.stopped,
    }


def unpacked(run: Run) -> IngestReport:
    """The report of a run that ended; of one that failed, the failure is the source's."""
    stored = run.report
    failed = [Failure(source, error) for source, error in stored.get("failed", [])]
    if run.state == "failed":
        failed.append(Failure(run.uri, run.error))
    more = int(stored.get("failures", 0)) - len(stored.get("failed", []))
    failed += [Failure(run.uri, "a further document could not be read")] * max(0, more)
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
    )
