"""Uploads of one name that follow each other faster than they are read: the latest one is found, and none is lost."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from bot.commands import ingest
from bot.commands.base import Context
from bot.commands.services import Services
from bot.ingestion import IngestRunner
from bot.jobs import working
from bot.types.audience import MEMBERS
from bot.types.conversation import LOCAL_TENANT, Attachment, Author
from knowledge.sources.files import UploadSource
from knowledge.store import document_catalog
from tests.ingestion.test_queue import app, begun, seen, services, slow

__all__ = ["app", "services", "slow"]


def notes(words: str) -> UploadSource:
    return UploadSource("notes.md", f"# Notes\n\n{words}".encode())


async def stored(services: Services) -> list[str]:
    async with services.database.tenant(LOCAL_TENANT) as session:
        assert await session.scalar(text("SELECT count(*) FROM upload_parts")) == 0
        return sorted(await session.scalars(text("SELECT text FROM documents")))


async def test_an_upload_that_waits_is_replaced_by_the_next_one(services: Services) -> None:
    first = await begun(services, notes("The first version."))
    second = await begun(services, notes("The second version."))
    assert second.id == first.id
    async with working(services):
        await seen(services, second, state="done")
    (found,) = await stored(services)
    assert "The second version." in found


async def test_an_upload_that_is_being_read_is_followed_by_the_next_one(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = services.ingestor.ingest
    reading, resume = asyncio.Event(), asyncio.Event()

    async def slowly(*args: object, **given: object) -> object:
        report = await read(*args, **given)  # type: ignore[arg-type]
        reading.set()
        await resume.wait()
        return report

    monkeypatch.setattr(services.ingestor, "ingest", slowly)
    runner = IngestRunner(services.database, services.ingestor, services.open_source, services.daily_limit)
    first = await begun(services, notes("The first version."))
    async with asyncio.timeout(60):
        work = asyncio.create_task(runner.work(LOCAL_TENANT, first.id))
        await reading.wait()
        assert (await begun(services, notes("The second version."))).id == first.id
        resume.set()
        await work
    await seen(services, first, state="done")
    (found,) = await stored(services)
    assert "The second version." in found


async def test_files_of_one_name_in_one_message_are_two_documents(services: Services) -> None:
    def attached(words: str) -> Attachment:
        data = f"# Notes\n\n{words}".encode()

        async def read() -> bytes:
            return data

        return Attachment("notes.md", "text/markdown", len(data), read)

    files = (attached("The canary sings."), attached("The parrot talks."))
    author = Author("U1", "Ann", is_admin=True)
    async with working(services):
        context = Context(
            LOCAL_TENANT, "web", "playground", "thread-0001", author, services, files, _ignore, audience=MEMBERS
        )
        await ingest.run(context, "")
    async with services.database.tenant(LOCAL_TENANT) as session:
        names = sorted(row.source for row in await document_catalog.list_documents(session, LOCAL_TENANT))
    assert names == ["notes (2).md", "notes.md"]
    assert len(await stored(services)) == 2


async def _ignore(_: str, /, stop: str = "") -> None:
    return None
