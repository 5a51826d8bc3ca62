"""A document that no longer exists says so in citations and lists, and one that cannot be read says how old it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions, Source
from knowledge.sources.files import FolderSource
from knowledge.store import document_catalog
from knowledge.store.chunk_lookup import load_chunks
from knowledge.types.scope import Scope
from tests.knowledge.fakes import WordEmbedder
from tests.knowledge.sources.test_held_back import folder, put_pages, site_source, state, write
from tests.knowledge.sources.test_refresh import MAX_BYTES, Site, html_page, site

__all__ = ["folder", "site"]


@pytest.mark.parametrize("kind", ["sitemap", "crawl", "url"])
async def test_page_that_is_gone_is_marked_and_then_removed(
    site: Site, sessions: Sessions, embedder: WordEmbedder, parser: Parser, kind: str
) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ingestor = Ingestor(sessions, embedder, parser=parser, chunk_tokens=64, clock=lambda: now)
    paths = put_pages(site)
    site.pages["/"] = html_page("start", *paths)

    def source() -> Source:
        return site.one("/2") if kind == "url" else site_source(site, kind)

    async def titles() -> list[str]:
        async with sessions("t") as session:
            numbers = list(await session.scalars(text("SELECT chunk_id FROM chunks WHERE tenant_id = 't'")))
            found = await load_chunks(session, Scope("t"), numbers)
        return [chunk.title for chunk in found.values() if chunk.source.endswith("/2")]

    await ingestor.ingest([source()], tenant_id="t")
    del site.pages["/2"]
    await ingestor.ingest([source()], tenant_id="t")
    assert "gone" not in (await titles())[0]
    now += timedelta(days=1)
    await ingestor.ingest([source()], tenant_id="t")
    assert (await titles())[0].endswith("(gone since 2026-03-01)")
    now += timedelta(days=7)
    report = await ingestor.ingest([source()], tenant_id="t")
    assert (await titles(), report.deleted) == ([], 1)


@pytest.mark.parametrize("broken", ["page", "source"])
async def test_a_document_that_cannot_be_read_for_two_intervals_shows_its_age(
    site: Site, sessions: Sessions, embedder: WordEmbedder, parser: Parser, broken: str
) -> None:
    """The database compares with its own clock, so the first reading lies in the past."""
    day = timedelta(days=1)
    begun = now = datetime.now(UTC) - 3 * day
    ingestor = Ingestor(sessions, embedder, parser=parser, chunk_tokens=64, clock=lambda: now)
    paths = put_pages(site)

    async def title(refresh_seconds: int = 0) -> str:
        async with sessions("t") as session:
            numbers = list(await session.scalars(text("SELECT chunk_id FROM chunks WHERE tenant_id = 't'")))
            found = await load_chunks(session, Scope("t"), numbers, refresh_seconds=refresh_seconds)
        return next(chunk.title for chunk in found.values() if chunk.source.endswith("/2"))

    await ingestor.ingest([site.sitemap()], tenant_id="t")
    seconds = int(day.total_seconds())
    assert "last read" not in await title(refresh_seconds=seconds), "nothing says that it could not be read"
    site.status["/map.xml" if broken == "source" else paths[2]] = 503
    now += day
    await ingestor.ingest([site.sitemap()], tenant_id="t")
    assert (await title(refresh_seconds=seconds)).endswith(f"(last read {begun:%Y-%m-%d})")
    assert "last read" not in await title(refresh_seconds=2 * seconds), "it is younger than two intervals"
    assert "last read" not in await title(), "the source is never refreshed"
    site.status.clear()
    await ingestor.ingest([site.sitemap()], tenant_id="t")
    assert "last read" not in await title(refresh_seconds=seconds // 4)


async def test_file_that_was_emptied_is_gone(folder: Path, ingestor: Ingestor, sessions: Sessions) -> None:
    await ingestor.ingest([FolderSource(folder, max_bytes=MAX_BYTES)], tenant_id="t")
    (folder / "doc-1.md").write_text("")
    (folder / "doc-2.md").write_bytes(b"\x7fELF" + bytes(range(256)) * 4)
    for _ in range(2):
        await ingestor.ingest([FolderSource(folder, max_bytes=MAX_BYTES)], tenant_id="t")
    async with sessions("t") as session:
        rows = await document_catalog.list_documents(session, "t")
    assert [row.source for row in rows if row.error.startswith("gone since 20")] == [
        "handbook/doc-1.md",
        "handbook/doc-2.md",
    ]
    write(folder)
    await ingestor.ingest([FolderSource(folder, max_bytes=MAX_BYTES)], tenant_id="t")
    assert await state(sessions) == ("", set())
