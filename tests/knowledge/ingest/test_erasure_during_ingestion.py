"""Documents that a concurrent ingestion stores while a person's data is erased are neither lost nor half deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions
from knowledge.sources.files import UploadSource
from knowledge.store import document_writes, upload_records
from knowledge.store.message_erasure import erase_messages
from knowledge.types.source_items import NOTHING_KNOWN, Fetched, Item, Known
from tests.knowledge.fakes import ChannelHistory, WordEmbedder, channel_month, markdown

BLOCKED_SECONDS = 0.3
"""Time in which the erasure gets to the point where it must wait for the ingestion."""


async def erase_while_storing(
    sessions: Sessions,
    ingest: Callable[[Sessions], Awaitable[object]],
    stored: str,
    erase: Callable[[AsyncSession], Awaitable[int]],
) -> None:
    """Start the erasure before the ingestion commits the first transaction in which the query ``stored`` is true."""
    ready, resume = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def pausing(tenant_id: str) -> AsyncIterator[AsyncSession]:
        async with sessions(tenant_id) as session:
            yield session
            if not ready.is_set() and await session.scalar(text(stored)):
                ready.set()
                await resume.wait()

    async def erase_in_transaction() -> None:
        async with sessions("t") as session:
            await erase(session)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(_awaited(ingest(pausing)))
        await ready.wait()
        erasing = group.create_task(erase_in_transaction())
        await asyncio.sleep(BLOCKED_SECONDS)
        assert not erasing.done()
        resume.set()


async def _awaited(work: Awaitable[object]) -> None:
    await work


async def test_upload_deleted_while_it_is_stored_leaves_no_trace_in_the_index(
    sessions: Sessions, parser: Parser
) -> None:
    source = UploadSource("notes.md", b"Words to keep.")
    async with sessions("t") as session:
        await upload_records.find_or_add(
            session,
            tenant_id="t",
            uri=source.uri,
            audience="tenant",
            added_by="ann",
            replaces_others=False,
            now=datetime(2026, 11, 1, tzinfo=UTC),
        )
        uploads = await upload_records.uploads_by(session, tenant_id="t", user_id="ann")
    await erase_while_storing(
        sessions,
        lambda pausing: Ingestor(pausing, WordEmbedder(), parser=parser).ingest([source], tenant_id="t"),
        "SELECT EXISTS (SELECT FROM chunks)",
        lambda session: upload_records.delete_uploads(session, tenant_id="t", uploads=uploads),
    )
    async with sessions("t") as session:
        assert await session.scalar(text("SELECT count(*) FROM chunks")) == 0
        assert await session.scalar(text("SELECT chunks FROM knowledge_state")) == 0


class Slow(ChannelHistory):
    """A history that stops after it was read and before it yields, once."""

    def __init__(self, *items: Fetched) -> None:
        super().__init__("slack:C1", *items)
        self.read, self.go_on = asyncio.Event(), asyncio.Event()
        self.readings = 0

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]:
        self.readings += 1
        items = list(self.items)
        if not self.read.is_set():
            self.read.set()
            await self.go_on.wait()
        for item in items:
            yield item


@pytest.mark.parametrize("stored_before", [True, False])
async def test_what_was_read_before_an_erasure_is_not_stored_after_it(
    sessions: Sessions, parser: Parser, stored_before: bool
) -> None:
    ingestor = Ingestor(sessions, WordEmbedder(), parser=parser)
    if stored_before:
        await ingestor.ingest([ChannelHistory("slack:C1", channel_month("ann", "bob"))], tenant_id="t")
    history = Slow(channel_month("ann", "bob"))
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        reading = group.create_task(ingestor.ingest([history], tenant_id="t"))
        await history.read.wait()
        async with sessions("t") as session:
            await erase_messages(session, tenant_id="t", user_id="bob")
        history.items = [channel_month("ann")]
        history.go_on.set()
    assert reading.result().failed == ()
    assert history.readings == 2
    async with sessions("t") as session:
        memo = str(await session.scalar(text("SELECT memo FROM documents")))
        assert await session.scalar(text("SELECT text FROM documents")) != ""
    assert "ann" in memo
    assert "bob" not in memo


async def test_a_website_is_not_read_again_because_of_an_erasure(sessions: Sessions, parser: Parser) -> None:
    site = Slow(markdown("a.md", "# Words"))
    site.kind = "crawl"
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        reading = group.create_task(Ingestor(sessions, WordEmbedder(), parser=parser).ingest([site], tenant_id="t"))
        await site.read.wait()
        async with sessions("t") as session:
            await erase_messages(session, tenant_id="t", user_id="bob")
        site.go_on.set()
    assert (reading.result().documents, site.readings) == (1, 1)


async def test_an_upload_that_is_deleted_while_it_is_read_is_not_stored(sessions: Sessions, parser: Parser) -> None:
    upload = Slow(markdown("notes.md", "# Words of Bob"))
    upload.kind = "upload"
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        reading = group.create_task(Ingestor(sessions, WordEmbedder(), parser=parser).ingest([upload], tenant_id="t"))
        await upload.read.wait()
        async with sessions("t") as session:
            await session.execute(text("DELETE FROM sources"))
        upload.go_on.set()
    (failure,) = reading.result().failed
    assert "deleted" in failure.error
    async with sessions("t") as session:
        assert await session.scalar(text("SELECT count(*) FROM chunks")) == 0


async def test_messages_stored_during_an_erasure_are_kept(sessions: Sessions, parser: Parser) -> None:
    history = ChannelHistory("slack:C1", channel_month("ann", "bob"))
    await Ingestor(sessions, WordEmbedder(), parser=parser).ingest([history], tenant_id="t")
    history.items = [channel_month("ann", "bob", "carol")]
    await erase_while_storing(
        sessions,
        lambda pausing: Ingestor(pausing, WordEmbedder(), parser=parser).ingest([history], tenant_id="t"),
        "SELECT EXISTS (SELECT FROM documents WHERE memo LIKE '%carol%')",
        lambda session: erase_messages(session, tenant_id="t", user_id="bob"),
    )
    async with sessions("t") as session:
        memo = str(await session.scalar(text("SELECT memo FROM documents")))
        assert await session.scalar(text("SELECT count(*) FROM chunks")) == 0
        assert await session.scalar(text("SELECT chunks FROM knowledge_state")) == 0
    assert "carol" in memo
    assert "bob" not in memo


async def test_messages_of_an_unchanged_month_are_not_stored_again_after_their_erasure(
    sessions: Sessions, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = ChannelHistory("slack:C1", channel_month("ann", "bob"))
    ingestor = Ingestor(sessions, WordEmbedder(), parser=parser)
    await ingestor.ingest([history], tenant_id="t")
    read, erasures = document_writes.read_document_state, list[asyncio.Task[int]]()

    async def erase() -> int:
        async with sessions("t") as session:
            return await erase_messages(session, tenant_id="t", user_id="bob")

    async def read_then_erase(session: AsyncSession, **given: Any) -> object:
        found = await read(session, **given)
        erasures.append(asyncio.create_task(erase()))
        await asyncio.wait(erasures, timeout=BLOCKED_SECONDS)
        return found

    monkeypatch.setattr(document_writes, "read_document_state", read_then_erase)
    report = await ingestor.ingest([history], tenant_id="t")
    assert (report.unchanged, [await one for one in erasures]) == (1, [1])
    async with sessions("t") as session:
        assert "bob" not in str(await session.scalar(text("SELECT memo FROM documents")))
