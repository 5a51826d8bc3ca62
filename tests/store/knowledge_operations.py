"""Adds documents of every kind of source, and names the operations that change documents, for tests of locks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.database.session import Database
from bot.store.privacy import erasure
from knowledge.ingest import Ingestor
from knowledge.ingest.reembed import reembed
from knowledge.ingest.reindex import reindex
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.sources.files import UploadSource
from knowledge.store import document_catalog, ingest_runs, source_records, upload_records
from knowledge.store.embedding_models import Models
from knowledge.text import search_terms
from knowledge.types.source_items import Failure, Item
from tests.knowledge.fakes import ChannelHistory, ListSource, WordEmbedder, channel_month, markdown

TENANT = "slack:T1"
NOW = datetime(2026, 11, 1, tzinfo=UTC)
PAGES = tuple(markdown(f"page{n}.md", f"# Page {n}\n\nWords of page {n}.") for n in range(3))


class Pages(ListSource):
    """Pages of a site."""

    kind = "url"


@dataclass(slots=True)
class Scene:
    """Documents: a site that U1 added, a channel in which U1 and U2 wrote, and uploads of both."""

    database: Database
    parser: Parser

    async def ingest(self, *sources: ListSource | UploadSource, embedder: WordEmbedder | None = None) -> None:
        made = Ingestor(self.database.bulk, embedder or WordEmbedder(), parser=self.parser, chunk_tokens=64)
        await made.ingest(list(sources), tenant_id=TENANT)

    async def document(self, uri: str) -> str:
        async with self.database.tenant(TENANT) as session:
            return str(
                await session.scalar(
                    text("SELECT id FROM documents WHERE tenant_id = :tenant AND uri = :uri"),
                    {"tenant": TENANT, "uri": uri},
                )
            )

    async def source(self, uri: str) -> str:
        async with self.database.tenant(TENANT) as session:
            return str(
                await session.scalar(
                    text("SELECT id FROM sources WHERE tenant_id = :tenant AND uri = :uri"),
                    {"tenant": TENANT, "uri": uri},
                )
            )


Operation = Callable[[Scene], Awaitable[object]]


async def _read_site(items: tuple[Item, ...], scene: Scene) -> None:
    await scene.ingest(Pages("https://example.org/", *items))


async def _read_channel(authors: tuple[str, ...], scene: Scene) -> None:
    await scene.ingest(ChannelHistory("slack:C1", channel_month(*authors)))


async def _upload(scene: Scene) -> None:
    await scene.ingest(UploadSource("U1.md", b"# Other words of U1"))


async def _delete(uri: str, scene: Scene) -> None:
    document_id = await scene.document(uri)
    await scene.database.run(TENANT, lambda session: document_catalog.delete(session, TENANT, document_id))


async def _erase(user: str, documents: erasure.DocumentsChoice, scene: Scene) -> None:
    erasing = partial(erasure.erase, tenant_id=TENANT, user_id=user, documents=documents)
    await scene.database.run(TENANT, erasing)


async def _reembed(scene: Scene) -> None:
    await reembed(scene.database.bulk, Models(WordEmbedder("other words")), TENANT)


async def _reindex(scene: Scene) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(search_terms, "VERSION", search_terms.VERSION + 1)
        await reindex(scene.database.bulk, TENANT)


async def _set_interval(scene: Scene) -> None:
    source_id = await scene.source("https://example.org/")
    await scene.database.run(
        TENANT, lambda session: source_records.set_refresh(session, tenant_id=TENANT, source_id=source_id, seconds=60)
    )


async def _request(scene: Scene) -> None:
    source_id = await scene.source("https://example.org/")

    async def begin(session: AsyncSession) -> ingest_runs.Run:
        found, _ = await ingest_runs.begin(session, tenant_id=TENANT, source_id=source_id, asked_by="U1", files=False)
        return found

    run = await scene.database.run(TENANT, begin)
    await scene.database.run(TENANT, lambda session: ingest_runs.request_stop(session, TENANT, [run.id]))


OPERATIONS: dict[str, Operation] = {
    "read the site again": partial(_read_site, PAGES),
    "read a changed page": partial(_read_site, (markdown("page0.md", "# Page 0\n\nOther words."), *PAGES[1:])),
    "read a page less": partial(_read_site, PAGES[1:]),
    "fail to read a page": partial(_read_site, (Failure("page0.md", "gone", gone=True), *PAGES[1:])),
    "read the channel again": partial(_read_channel, ("U1", "U2")),
    "read a new message": partial(_read_channel, ("U1", "U2", "U3")),
    "upload": _upload,
    "delete a page": partial(_delete, "page1.md"),
    "delete an upload": partial(_delete, "U1.md"),
    "erase U1": partial(_erase, "U1", "keep"),
    "erase U1 and the uploads": partial(_erase, "U1", "delete"),
    "erase U2 and the uploads": partial(_erase, "U2", "delete"),
    "reembed": _reembed,
    "reindex": _reindex,
    "set the interval": _set_interval,
    "request a reading": _request,
}


async def build_scene(database: Database, parser: Parser) -> Scene:
    """Empty the database and add the documents."""
    scene = Scene(database, parser)
    async with database.tenant(TENANT) as session:
        for table in ("documents", "sources", "chunks", "ingests", "knowledge_state", "kept_vectors"):
            await session.execute(text(f"DELETE FROM {table}"))
        for table in ("postings", "posting_parts", "posting_masks"):
            await session.execute(text(f"DELETE FROM {table}"))
        await source_records.find_or_add_source(
            session,
            tenant_id=TENANT,
            uri="https://example.org/",
            kind="url",
            audience="tenant",
            now=NOW,
            added_by="U1",
        )
        for user in ("U1", "U2"):
            await upload_records.find_or_add(
                session,
                tenant_id=TENANT,
                uri=f"upload:{user}.md",
                audience="tenant",
                added_by=user,
                replaces_others=False,
                now=NOW,
            )
    uploads = [UploadSource(f"{user}.md", f"# Words of {user}".encode()) for user in ("U1", "U2")]
    await scene.ingest(
        Pages("https://example.org/", *PAGES), ChannelHistory("slack:C1", channel_month("U1", "U2")), *uploads
    )
    return scene
