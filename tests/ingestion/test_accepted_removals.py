"""An admin who accepts that many documents are removed is heard while the source is read already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from bot.ingestion import IngestRunner, ingest_in_process
from bot.store.database.session import Database
from bot.types.conversation import LOCAL_TENANT
from knowledge.ingest import Ingestor
from knowledge.store import document_catalog, held_back_sources, ingest_runs
from knowledge.types.source_items import NOTHING_KNOWN, Failure, Fetched, Known
from tests.ingestion.slow_sources import NO_LIMIT
from tests.knowledge.fakes import WordEmbedder, markdown

PAGES = [markdown(f"p{n}.md", f"# Page {n}\n\nThe code of room {n} is {n * 37}.") for n in range(6)]


class ShrinkingSource:
    """A source that waits before it yields its pages, once ``waits`` is set."""

    uri, kind = "https://site.example", "list"

    def __init__(self) -> None:
        self.pages, self.waits = list(PAGES), False
        self.began, self.let = asyncio.Event(), asyncio.Event()

    def count(self) -> int | None:
        return len(self.pages)

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Fetched | Failure]:
        self.began.set()
        if self.waits:
            await self.let.wait()
        for page in self.pages:
            yield page


@pytest.fixture
def source() -> ShrinkingSource:
    return ShrinkingSource()


@pytest.fixture
async def runner(database: Database, source: ShrinkingSource) -> AsyncIterator[IngestRunner]:
    ingestor = Ingestor(database.tenant, WordEmbedder())
    yield IngestRunner(database, ingestor, lambda _spec, **_options: source, NO_LIMIT)
    await ingestor.aclose()


async def requested(runner: IngestRunner, source_id: str, *, accept_removals: bool = False) -> ingest_runs.Run:
    """Request a refresh, as the commands of admins do."""

    async def begin(session: AsyncSession) -> ingest_runs.Run:
        run, _ = await ingest_runs.begin(
            session,
            tenant_id=LOCAL_TENANT,
            source_id=source_id,
            asked_by="boss",
            files=False,
            accept_removals=accept_removals,
        )
        return run

    return await runner.database.run(LOCAL_TENANT, begin)


async def left(runner: IngestRunner, source_id: str) -> tuple[int, bool]:
    """Return the number of documents, and whether their source is held back."""
    async with runner.database.tenant(LOCAL_TENANT) as session:
        rows = await document_catalog.list_documents(session, LOCAL_TENANT)
        held_back = await held_back_sources.is_held_back(session, tenant_id=LOCAL_TENANT, source_id=source_id)
    return len(rows), held_back


async def added(runner: IngestRunner, source: ShrinkingSource) -> str:
    """Add the source with all of its pages, and let it lose most of them. Return its ID."""
    await ingest_in_process(runner, LOCAL_TENANT, source, audience="tenant", now=datetime.now(UTC))
    source.pages = source.pages[:1]
    async with runner.database.tenant(LOCAL_TENANT) as session:
        (row,) = await document_catalog.sources(session, LOCAL_TENANT)
    return row.id


@pytest.mark.parametrize("moment", ["before", "while", "never"])
async def test_removals_that_are_accepted_during_a_refresh_hold_for_it(
    runner: IngestRunner, source: ShrinkingSource, moment: str
) -> None:
    source_id = await added(runner, source)
    run = await requested(runner, source_id)
    if moment == "before":
        assert (await requested(runner, source_id, accept_removals=True)).id == run.id
    source.began.clear()
    source.waits = True
    working = asyncio.create_task(runner.work(LOCAL_TENANT, run.id))
    await source.began.wait()
    if moment == "while":
        assert (await requested(runner, source_id, accept_removals=True)).id == run.id
    source.let.set()
    async with asyncio.timeout(60):
        await working
    assert await left(runner, source_id) == ((6, True) if moment == "never" else (1, False))


async def test_removals_that_are_accepted_while_the_terminal_refreshes_hold_for_that(
    runner: IngestRunner, source: ShrinkingSource
) -> None:
    source_id = await added(runner, source)
    source.began.clear()
    source.waits = True
    reading = ingest_in_process(runner, LOCAL_TENANT, source, audience="tenant", now=datetime.now(UTC))
    working = asyncio.create_task(reading)
    await source.began.wait()
    await requested(runner, source_id, accept_removals=True)
    source.let.set()
    async with asyncio.timeout(60):
        assert (await working).deleted == 5
    assert await left(runner, source_id) == (1, False)
