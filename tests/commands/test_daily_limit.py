"""The daily limit of what a person adds: uploads, other sources, concurrency, tenants, reset, and who has none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from bot.app import App, open_app
from bot.commands import registry as commands
from bot.commands.base import Reply
from bot.config import Settings
from bot.ingestion import DailyLimit, IngestRunner, OverDailyLimit
from bot.store.budgets.daily_additions import AddedLimits
from bot.store.database.session import Database
from bot.store.privacy import data_export, erasure
from bot.types.conversation import LOCAL_TENANT, Author
from knowledge import refusal_counts
from knowledge.errors import EmbeddingError
from knowledge.ingest import Ingestor
from knowledge.ports import Encoded, EncodeKind, Source
from tests.commands.test_commands import ANN, BOSS, by, upload
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown
from tests.superuser_access import superuser_connection

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
SIZE = 400_000
BODY = "x" * 99 + "\n"


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def limited(database_url: str, tmp_path: Path, clock: Clock) -> AsyncIterator[App]:
    """Yield an app in which a person may add 1 MB and 3 documents a day."""
    settings = Settings(
        _env_file=None,
        database_url=SecretStr(database_url),
        data_dir=tmp_path,
        reranker="none",
        daily_upload_mb=1,
        daily_documents=3,
    )
    async with open_app(settings, clock=clock) as app:
        yield app


async def counted(app: App, user: str = ANN.id) -> tuple[int, int] | None:
    async with app.database.tenant(LOCAL_TENANT) as session:
        found = await session.execute(text("SELECT bytes, documents FROM added_days WHERE user_id = :u"), {"u": user})
        row = found.one_or_none()
    return None if row is None else (row.bytes, row.documents)


async def add(app: App, *names: str, author: Author = ANN, size: int = 100) -> Reply:
    """Run ``/ingest`` with attachments; the worker does not run, so the runs are stopped at once."""
    body = BODY * (size // len(BODY))
    context = replace(by(app, author), attachments=tuple(upload(name, body) for name in names))

    async def stop(_: str, /, stop: str = "") -> None:
        await app.services.ingestion.stop(LOCAL_TENANT, asked_by=None)

    return await commands.run("ingest", "", replace(context, update=stop))


async def test_an_upload_beyond_the_limit_is_refused_in_one_line_that_says_when_it_resets(limited: App) -> None:
    assert "can add today" not in (await add(limited, "a.txt", "b.txt", size=SIZE)).text
    refused = await add(limited, "c.txt", size=SIZE)
    assert (
        "c.txt: This is more than you can add today (1 MB and 3 documents). The limit resets at 00:00 (UTC), "
        "in 12 h 0 min. An admin can add it now." in refused.text
    )
    assert await counted(limited) == (2 * SIZE, 2)
    async with limited.database.tenant(LOCAL_TENANT) as session:
        assert await session.scalar(text("SELECT count(*) FROM upload_parts")) == 0
        assert await session.scalar(text("SELECT count(*) FROM sources WHERE uri = 'upload:c.txt'")) == 0


async def test_the_number_of_documents_counts_too_and_a_small_file_still_fits(limited: App) -> None:
    shown = (await add(limited, *(f"{n}.txt" for n in range(5)))).text
    assert shown.count("This is more than you can add today") == 2
    assert await counted(limited) == (300, 3)


async def test_the_limit_resets_at_midnight_of_the_tenant(limited: App, clock: Clock) -> None:
    async with limited.database.tenant(LOCAL_TENANT) as session:
        await session.execute(
            text("INSERT INTO tenants (tenant_id, platform, timezone) VALUES (:t, 'slack', 'Asia/Tokyo')"),
            {"t": LOCAL_TENANT},
        )
    await add(limited, "a.txt", "b.txt", "c.txt")
    assert "at 00:00 (Asia/Tokyo), in 3 h 0 min" in (await add(limited, "d.txt")).text
    clock.now = NOON.replace(hour=15)
    assert "can add today" not in (await add(limited, "d.txt")).text


async def test_admins_have_no_limit(limited: App) -> None:
    assert "can add today" not in (await add(limited, *(f"{n}.txt" for n in range(5)), author=BOSS, size=SIZE)).text
    assert await counted(limited, BOSS.id) is None


async def test_pages_and_channels_count_document_by_document(limited: App) -> None:
    pages = ListSource("https://site.example", *(markdown(f"p{n}.md", f"# Page {n}\n\nWords {n}.") for n in range(5)))
    services = limited.services
    run = await services.ingestion.begin(LOCAL_TENANT, pages, audience="C1", asked_by=ANN.id, limited=True)
    await _runner(limited, pages, limited.ingestor).work(LOCAL_TENANT, run.run.id)
    async for [ended] in services.ingestion.follow(LOCAL_TENANT, [run.run.id]):
        assert not ended.active
    assert ended.report["documents"] == 3
    [[source, error]] = ended.report["failed"]
    assert source == "https://site.example"
    assert error.startswith("This is more than you can add today")
    free = ListSource("https://free.example", *pages.items)
    run = await services.ingestion.begin(LOCAL_TENANT, free, audience="C1", asked_by=BOSS.id)
    await _runner(limited, free, limited.ingestor).work(LOCAL_TENANT, run.run.id)
    async for [ended] in services.ingestion.follow(LOCAL_TENANT, [run.run.id]):
        assert (ended.report["documents"], ended.report["failed"]) == (5, [])


async def test_a_retried_ingestion_counts_each_document_once(limited: App) -> None:
    class Away(WordEmbedder):
        async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
            raise EmbeddingError("The embedding model is away.")

    pages = ListSource("https://site.example", *(markdown(f"p{n}.md", f"# Page {n}\n\nWords {n}.") for n in range(3)))
    services = limited.services
    run = await services.ingestion.begin(LOCAL_TENANT, pages, audience="C1", asked_by=ANN.id, limited=True)
    away = Ingestor(limited.database.tenant, Away())
    try:
        for _ in range(2):
            with pytest.raises(EmbeddingError):
                await _runner(limited, pages, away).work(LOCAL_TENANT, run.run.id)
    finally:
        await away.aclose()
    assert (await counted(limited) or (0, 0))[1] == 3
    await _runner(limited, pages, limited.ingestor).work(LOCAL_TENANT, run.run.id)
    async for [ended] in services.ingestion.follow(LOCAL_TENANT, [run.run.id]):
        assert (ended.report["documents"], ended.report["failed"]) == (3, [])
    assert (await counted(limited) or (0, 0))[1] == 3
    async with limited.database.tenant(LOCAL_TENANT) as session:
        assert await session.scalar(text("SELECT count(*) FROM counted_documents")) == 0


def _runner(app: App, source: Source, ingestor: Ingestor) -> IngestRunner:
    return IngestRunner(app.database, ingestor, lambda *_, **__: source, app.services.daily_limit)


async def test_two_processes_together_keep_the_limit(database_url: str) -> None:
    databases = [Database(database_url), Database(database_url)]
    limit = DailyLimit(AddedLimits(1000, 0), "UTC", lambda: NOON)

    async def try_one(number: int) -> int:
        try:
            async with databases[number % 2].tenant("t") as session:
                await limit.count(session, tenant_id="t", user_id="U1", size=70)
        except OverDailyLimit:
            return 0
        return 1

    try:
        assert sum(await asyncio.gather(*map(try_one, range(40)))) == 1000 // 70
        async with databases[0].tenant("other") as session:
            await limit.count(session, tenant_id="other", user_id="U1", size=70)
        async with superuser_connection(databases[0]) as connection:
            rows = (await connection.execute(text("SELECT tenant_id, bytes FROM added_days ORDER BY 1"))).all()
        assert [tuple(row) for row in rows] == [("other", 70), ("t", 980)]
    finally:
        for database in databases:
            await database.aclose()


async def test_what_was_added_is_exported_and_erased_and_a_refusal_is_counted(limited: App) -> None:
    refusal_counts.take()
    await add(limited, "a.txt", "b.txt", "c.txt", "d.txt")
    assert refusal_counts.take() == {(LOCAL_TENANT, "quota"): 1}
    async with limited.database.tenant(LOCAL_TENANT) as session:
        exported = await data_export.export(session, tenant_id=LOCAL_TENANT, user_id=ANN.id)
        assert exported["added_days"] == [{"day": "2026-11-30", "bytes": 300, "documents": 3}]
        await erasure.erase(session, tenant_id=LOCAL_TENANT, user_id=ANN.id, documents="delete")
    assert await counted(limited) is None
