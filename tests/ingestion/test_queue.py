"""Ingestion through the queue: one run per source, stop, shutdown, recovery after a crash, schedule."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from bot.app import App, open_app
from bot.commands import registry as commands
from bot.commands.base import Context
from bot.commands.services import Services
from bot.config import Settings
from bot.errors import NotAllowed, UsageError
from bot.ingestion import SourceBusy
from bot.jobs import maintenance, working
from bot.jobs.retries import retry_delay
from bot.jobs.worker import _app, retry_stalled_jobs
from bot.types.audience import MEMBERS
from bot.types.conversation import LOCAL_TENANT, Author
from knowledge.errors import DiskFullError, EmbeddingError, SourceError
from knowledge.ingest import Ingestor
from knowledge.ports import Source
from knowledge.sources.files import UploadSource
from knowledge.sources.source_factory import open_source
from knowledge.store import document_catalog, ingest_runs, source_records
from knowledge.types.source_items import NOTHING_KNOWN, Failure, Fetched, Known
from tests.knowledge.fakes import WordEmbedder, markdown
from tests.superuser_access import superuser_connection


class SlowSource:
    """Yields a document each time that the test releases it."""

    kind = "slow"

    def __init__(self, uri: str, documents: int) -> None:
        self.uri = uri
        self.documents = documents
        self.let = asyncio.Semaphore(0)
        self.opened = 0

    def count(self) -> int | None:
        return self.documents

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Fetched | Failure]:
        self.opened += 1
        for number in range(self.documents):
            await self.let.acquire()
            yield markdown(f"{number}.md", f"# Page {number}\n\nRule number{number}.")


class Opening(Services):
    """Services that open the test's own sources by name."""

    own: Sequence[Source] = ()

    def open_source(self, spec: str, *, files: bool, channels: bool = True, tenant_id: str = "local") -> Source:
        for source in type(self).own:
            if source.uri == spec:
                return source
        return open_source(spec, fetch_allow=(), max_bytes=10**6, files=files)


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncIterator[App]:
    made = Settings(_env_file=None, database_url=SecretStr(database_url), data_dir=tmp_path, reranker="none")
    async with open_app(made) as app:
        yield app


@pytest.fixture
def slow() -> SlowSource:
    return SlowSource("slow:site", 4)


@pytest.fixture
async def services(app: App, slow: SlowSource) -> AsyncIterator[Services]:
    given = {field.name: getattr(app.services, field.name) for field in fields(app.services)}
    ingestor = Ingestor(app.database.tenant, WordEmbedder())
    Opening.own = (slow,)
    yield Opening(**{**given, "ingestor": ingestor})
    await ingestor.aclose()


async def begun(services: Services, source: Source, by: str = "ann") -> ingest_runs.Run:
    started = await services.ingestion.begin(LOCAL_TENANT, source, audience="tenant", asked_by=by)
    assert started.new
    return started.run


async def seen(
    services: Services, run: ingest_runs.Run, *, done: int | None = None, state: str | None = None
) -> ingest_runs.Run:
    async with asyncio.timeout(60):
        async for (now,) in services.ingestion.follow(LOCAL_TENANT, [run.id]):
            if (done is not None and now.done >= done) or now.state == state:
                return now
    return now


async def test_a_source_that_is_being_read_is_not_read_twice(services: Services, slow: SlowSource) -> None:
    async with working(services):
        run = await begun(services, slow)
        slow.let.release()
        assert (await seen(services, run, done=1)).total == 4
        again = await services.ingestion.begin(LOCAL_TENANT, slow, audience="tenant", asked_by="bob")
        assert (again.new, again.run.id) == (False, run.id)
        for _ in range(3):
            slow.let.release()
        ended = await seen(services, run, state="done")
    assert (ended.done, ingest_runs.report_of(ended).documents, slow.opened) == (4, 4, 1)


async def test_a_reading_is_stopped_by_whoever_asked_and_keeps_what_it_took_in(
    services: Services, slow: SlowSource
) -> None:
    async with working(services):
        run = await begun(services, slow)
        for _ in range(2):
            slow.let.release()
        await seen(services, run, done=2)
        assert await services.ingestion.stop(LOCAL_TENANT, asked_by="bob") == []
        assert [one.id for one in await services.ingestion.stop(LOCAL_TENANT, asked_by="ann")] == [run.id]
        ended = await seen(services, run, state="stopped")
    assert ingest_runs.report_of(ended).stopped
    async with services.database.tenant(LOCAL_TENANT) as session:
        assert len(await document_catalog.list_documents(session, LOCAL_TENANT)) == 2


def chat(services: Services, by: str, shown: list[tuple[str, str]], admin: bool = False) -> Context:
    async def update(told: str, /, stop: str = "") -> None:
        shown.append((told, stop))

    return Context(
        LOCAL_TENANT, "slack", "C1", None, Author(by, by, is_admin=admin), services, update=update, audience=MEMBERS
    )


async def first_button(shown: list[tuple[str, str]]) -> str:
    """Return the argument of the first stop button that is shown."""
    async with asyncio.timeout(60):
        while not any(stop for _, stop in shown):
            await asyncio.sleep(0.05)
    return next(stop for _, stop in shown if stop)


async def test_the_button_under_a_reading_stops_that_one_alone_and_not_for_everybody(
    services: Services, slow: SlowSource
) -> None:
    other = SlowSource("slow:other", 2)
    Opening.own = (slow, other)
    shown: list[tuple[str, str]] = []
    async with working(services):
        kept = await begun(services, other)
        reading = asyncio.create_task(commands.run("ingest", slow.uri, chat(services, "ann", shown)))
        slow.let.release()
        names = await first_button(shown)
        async with services.database.tenant(LOCAL_TENANT) as session:
            (read,) = [run for run in await ingest_runs.active(session, LOCAL_TENANT) if run.uri == slow.uri]
        await seen(services, read, done=1)
        with pytest.raises(NotAllowed, match="admin"):
            await commands.run("ingest", f"stop {names}", chat(services, "bob", []))
        stopping = await commands.run("ingest", f"stop {names}", chat(services, "ann", []))
        assert stopping.text == "Stopping slow:site. Documents added so far stay."
        assert (await reading).text.startswith("Stopped early. Documents added so far stay.")
        with pytest.raises(UsageError, match="already ended"):
            await commands.run("ingest", f"stop {names}", chat(services, "ann", []))
        for _ in range(2):
            other.let.release()
        await seen(services, kept, state="done")
    assert slow.opened == 1
    assert all(not stop for told, stop in shown if told.endswith(", stopping"))
    async with services.database.tenant(LOCAL_TENANT) as session:
        stored = [row.source for row in await document_catalog.list_documents(session, LOCAL_TENANT)]
    assert sorted(stored) == ["0.md", "0.md", "1.md"], "what stood stays, the rest is not fetched"


async def test_what_no_worker_has_begun_ends_when_it_is_stopped(services: Services, slow: SlowSource) -> None:
    shown: list[tuple[str, str]] = []
    upload = await begun(services, UploadSource("notes.md", b"# Notes"), by="bob")
    reading = asyncio.create_task(commands.run("ingest", slow.uri, chat(services, "ann", shown)))
    await first_button(shown)
    assert "No worker is running" in shown[0][0]
    with pytest.raises(UsageError, match="You are not adding anything"):
        await commands.run("ingest", "stop mine", chat(services, "eve", [], admin=True))
    await commands.run("ingest", "stop mine", chat(services, "ann", []))
    async with asyncio.timeout(60):
        assert (await reading).text.startswith("Stopped early")
    async with services.database.tenant(LOCAL_TENANT) as session:
        assert [run.id for run in await ingest_runs.active(session, LOCAL_TENANT)] == [upload.id]
    await commands.run("ingest", "stop", chat(services, "eve", [], admin=True))
    async with services.database.tenant(LOCAL_TENANT) as session:
        assert await session.scalar(text("SELECT count(*) FROM upload_parts")) == 0
    async with working(services):
        await seen(services, await begun(services, UploadSource("last.md", b"# Last")), state="done")
    assert slow.opened == 0, "the job of what was stopped reads nothing"


async def test_a_shutdown_hands_back_and_another_worker_goes_on(services: Services, slow: SlowSource) -> None:
    async with working(services, grace=0.1):
        run = await begun(services, slow)
        slow.let.release()
        await seen(services, run, done=1)
    async with services.database.tenant(LOCAL_TENANT) as session:
        (left,) = await ingest_runs.get(session, LOCAL_TENANT, [run.id])
    assert (left.state, left.done, left.failed) == ("waiting", 1, 0)
    async with working(services):
        for _ in range(4):
            slow.let.release()
        ended = await seen(services, run, state="done")
    report = ingest_runs.report_of(ended)
    assert (report.documents, report.unchanged, report.failed) == (4, 1, ())
    assert slow.opened == 2


async def test_a_job_of_a_dead_worker_is_done_by_another(services: Services, slow: SlowSource) -> None:
    run = await begun(services, slow)
    async with superuser_connection(services.database) as connection:
        dead = "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour') RETURNING id"
        worker = await connection.scalar(text(dead))
        await connection.execute(
            text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker"), {"worker": worker}
        )
    assert await retry_stalled_jobs(services, _app(services)) == 1
    assert await retry_stalled_jobs(services, _app(services)) == 0
    for _ in range(4):
        slow.let.release()
    async with working(services):
        assert (await seen(services, run, state="done")).done == 4


async def test_a_job_that_kills_every_worker_is_given_up(services: Services, slow: SlowSource) -> None:
    run = await begun(services, slow)
    async with superuser_connection(services.database) as connection:
        await connection.execute(text("UPDATE procrastinate_jobs SET status = 'doing', attempts = 9"))
    await retry_stalled_jobs(services, _app(services))
    ended = await seen(services, run, state="failed")
    assert "crashed 9 times" in ended.error


async def test_files_of_the_server_are_not_read_for_the_chat_through_the_queue_either(services: Services) -> None:
    path = open_source("/etc/hostname", fetch_allow=(), max_bytes=10**6, files=True)
    async with working(services):
        run = await begun(services, path)
        ended = await seen(services, run, state="failed")
    assert "terminal only" in ended.error
    async with services.database.tenant(LOCAL_TENANT) as session:
        assert await document_catalog.list_documents(session, LOCAL_TENANT) == []


async def test_an_upload_reaches_the_worker_and_leaves_no_copy(services: Services) -> None:
    async with working(services):
        run = await begun(services, UploadSource("notes.md", b"# Notes\n\nThe canary sings."))
        await seen(services, run, state="done")
    async with services.database.tenant(LOCAL_TENANT) as session:
        assert [row.title for row in await document_catalog.list_documents(session, LOCAL_TENANT)] == ["Notes"]
        assert await session.scalar(text("SELECT count(*) FROM upload_parts")) == 0
    async with superuser_connection(services.database) as connection:
        payloads = await connection.scalars(text("SELECT args::text FROM procrastinate_jobs"))
        assert not any("canary" in payload or "notes" in payload for payload in payloads)


async def test_sources_come_up_again_when_their_time_has_come(services: Services, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    folder = open_source(str(tmp_path / "docs"), fetch_allow=(), max_bytes=10**6, files=True)
    page = open_source("https://example.org/page", fetch_allow=(), max_bytes=10**6, files=False)
    now = services.clock()
    async with services.database.tenant(LOCAL_TENANT) as session:
        for source in (folder, page, UploadSource("a.md", b"# A")):
            await source_records.find_or_add_source(
                session, tenant_id=LOCAL_TENANT, uri=source.uri, kind=source.kind, audience="tenant", now=now
            )
        await session.execute(text("UPDATE sources SET fetched_at = now() - interval '25 hours'"))
        rows = {row.uri: row for row in await document_catalog.sources(session, LOCAL_TENANT)}
        await source_records.set_refresh(session, tenant_id=LOCAL_TENANT, source_id=rows[folder.uri].id, seconds=3600)
    assert await maintenance.refresh_due(services) == 2
    assert await maintenance.refresh_due(services) == 0
    async with services.database.tenant(LOCAL_TENANT) as session:
        asked = {run.uri: run.files for run in await ingest_runs.active(session, LOCAL_TENANT)}
    assert asked == {folder.uri: True, page.uri: False}


async def test_paths_that_only_the_terminal_may_read_are_not_refreshed(services: Services, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "a.md").write_text("# A")
    local = [
        open_source(spec, fetch_allow=(), max_bytes=10**6, files=True)
        for spec in (str(tmp_path / "docs"), str(tmp_path / "a.md"), f"git:{tmp_path}")
    ]
    remote = open_source("git:https://example.org/a.git", fetch_allow=(), max_bytes=10**6, files=False)
    async with services.database.tenant(LOCAL_TENANT) as session:
        for source in (*local, remote):
            await source_records.find_or_add_source(
                session,
                tenant_id=LOCAL_TENANT,
                uri=source.uri,
                kind=source.kind,
                audience="tenant",
                now=services.clock() - timedelta(days=2),
            )
    assert await maintenance.refresh_due(services) == 1
    async with services.database.tenant(LOCAL_TENANT) as session:
        assert [run.uri for run in await ingest_runs.active(session, LOCAL_TENANT)] == [remote.uri]


async def test_a_source_that_fails_is_tried_again_after_its_interval_and_then_less_often(services: Services) -> None:
    start, every = services.clock(), 3600

    async def is_due(hours: float) -> bool:
        async with services.database.tenant(LOCAL_TENANT) as session:
            now = start + timedelta(hours=hours)
            return bool(await source_records.due_for_refresh(session, LOCAL_TENANT, now=now, every_seconds=every))

    async def ends(hours: float, state: str) -> None:
        async with services.database.tenant(LOCAL_TENANT) as session:
            run, _ = await ingest_runs.begin(
                session, tenant_id=LOCAL_TENANT, source_id=source_id, asked_by="schedule", files=False
            )
            await session.execute(
                text("UPDATE ingests SET state = :state, updated_at = :at WHERE id = CAST(:id AS uuid)"),
                {"state": state, "at": start + timedelta(hours=hours), "id": run.id},
            )

    async with services.database.tenant(LOCAL_TENANT) as session:
        source_id = await source_records.find_or_add_source(
            session, tenant_id=LOCAL_TENANT, uri="https://example.org/", kind="url", audience="tenant", now=start
        )
    assert [await is_due(hours) for hours in (0.9, 1)] == [False, True]
    await ends(1, "failed")
    assert [await is_due(hours) for hours in (1.02, 1.9, 2)] == [False, False, True]
    await ends(2, "failed")
    assert [await is_due(hours) for hours in (3.9, 4)] == [False, True]
    for hours in range(4, 30):
        await ends(hours, "failed")
    assert [await is_due(hours) for hours in (52.9, 53)] == [False, True]
    await ends(53, "done")
    await ends(54, "failed")
    assert [await is_due(hours) for hours in (54.9, 55)] == [False, True]


@pytest.mark.parametrize(
    ("error", "attempts", "seconds"),
    [
        (EmbeddingError("away"), 0, 4),
        (EmbeddingError("away"), 2, 64),
        (EmbeddingError("away"), 4, 600),
        (EmbeddingError("away"), 5, None),
        (DiskFullError("no room"), 0, 4),
        (SourceError("no such page"), 0, None),
        (ValueError("a fault of ours"), 0, None),
        (SourceBusy("another"), 50, 5),
        (asyncio.CancelledError(), 50, 0),
    ],
)
def test_how_long_a_failure_is_waited_out(error: BaseException, attempts: int, seconds: int | None) -> None:
    assert retry_delay(error, attempts) == seconds


async def test_a_retried_job_makes_way_for_the_one_that_already_waits(services: Services, slow: SlowSource) -> None:
    async with working(services, grace=0):
        run = await begun(services, slow)
        slow.let.release()
        await seen(services, run, done=1)
        successor = await services.queue.defer(
            "ingest",
            tenant_id=LOCAL_TENANT,
            lock=f"source {run.source_id}",
            once=f"ingest {run.id}",
            run_id=run.id,
        )
        assert successor is not None
    async with working(services):
        for _ in range(4):
            slow.let.release()
        await seen(services, run, state="done")
        async with asyncio.timeout(60):
            while await services.queue.waits_or_runs(successor):
                await asyncio.sleep(0.02)
    async with services.database.tenant(LOCAL_TENANT) as session:
        assert await ingest_runs.active(session, LOCAL_TENANT) == []
    assert slow.opened == 2
