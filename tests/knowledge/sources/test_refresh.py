"""Refreshing a source: unchanged documents are not transferred, parsed or embedded again, and are kept."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy import text

from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions, Source
from knowledge.sources.crawl import CrawlSource
from knowledge.sources.files import FolderSource
from knowledge.sources.git import GitSource
from knowledge.sources.sitemap import SitemapSource
from knowledge.sources.sitemap_parser import SitemapEntry
from knowledge.sources.web_page import UrlSource
from knowledge.store import document_catalog
from knowledge.types.source_items import NOTHING_KNOWN, Failure, Item, Known, Mark, Unchanged
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown

LOOPBACK = ("127.0.0.1",)
MAX_BYTES = 1_000_000


@dataclass
class Site:
    """A test site whose pages have versions. ``requests``: the path and response status of each request.

    ``status`` has the status of paths that cannot be read for now.
    """

    url: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    dated: bool = False
    moved: dict[str, str] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, int]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        response = self._response(request)
        self.requests.append((request.path, response.status))
        return response

    def _response(self, request: web.Request) -> web.Response:
        if request.path in self.status:
            return web.Response(status=self.status[request.path])
        if request.path in self.moved:
            return web.Response(status=302, headers={"Location": self.moved[request.path]})
        if request.path not in self.pages:
            return web.Response(status=404)
        version = self.versions.get(request.path, "1")
        name, asking = ("Last-Modified", "If-Modified-Since") if self.dated else ("ETag", "If-None-Match")
        value = f"Mon, 0{version} Jun 2026 10:00:00 GMT" if self.dated else f'"{version}"'
        if request.headers.get(asking) == value:
            return web.Response(status=304, headers={name: value})
        return web.Response(text=self.pages[request.path], content_type="text/html", headers={name: value})

    def statuses(self) -> dict[str, int]:
        """Return the statuses since the last call by path, without robots.txt."""
        found, self.requests = dict(self.requests), []
        found.pop("/robots.txt", None)
        return found

    async def no_sleep(self, _: float) -> None:
        return None

    def crawl(self) -> CrawlSource:
        return CrawlSource(f"{self.url}/", fetch_allow=LOOPBACK, max_bytes=MAX_BYTES, sleep=self.no_sleep)

    def sitemap(self) -> SitemapSource:
        return SitemapSource(f"{self.url}/map.xml", fetch_allow=LOOPBACK, max_bytes=MAX_BYTES, sleep=self.no_sleep)

    def one(self, path: str) -> UrlSource:
        return UrlSource(f"{self.url}{path}", fetch_allow=LOOPBACK, max_bytes=MAX_BYTES)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    app = web.Application()
    app.router.add_get("/{tail:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def html_page(text: str, *targets: str) -> str:
    return f"<html><body><p>{text}</p>{''.join(f'<a href={to!r}>x</a>' for to in targets)}</body></html>"


async def stored_states(sessions: Sessions) -> dict[str, str]:
    async with sessions("t") as session:
        return {row.source: row.state for row in await document_catalog.list_documents(session, "t")}


@pytest.mark.parametrize("dated", [False, True])
async def test_unchanged_page_is_not_transferred_again(site: Site, ingestor: Ingestor, dated: bool) -> None:
    site.dated, site.pages = dated, {"/a": html_page("The first words.")}
    await ingestor.ingest([site.one("/a")], tenant_id="t")
    assert site.statuses() == {"/a": 200}
    again = await ingestor.ingest([site.one("/a")], tenant_id="t")
    assert (site.statuses(), again.unchanged, again.deleted) == ({"/a": 304}, 1, 0)
    site.pages["/a"], site.versions["/a"] = html_page("Other words."), "2"
    changed = await ingestor.ingest([site.one("/a")], tenant_id="t")
    assert (site.statuses(), changed.unchanged) == ({"/a": 200}, 0)
    await ingestor.ingest([site.one("/a")], tenant_id="t")
    assert site.statuses() == {"/a": 304}


async def test_page_is_dated_by_its_server(site: Site, ingestor: Ingestor, sessions: Sessions) -> None:
    site.dated = True
    site.pages["/page"] = html_page("words")
    await ingestor.ingest([site.one("/page")], tenant_id="t")
    async with sessions("t") as session:
        assert await session.scalar(text("SELECT dated_at FROM documents")) == datetime(2026, 6, 1, 10, tzinfo=UTC)


async def test_new_version_with_the_same_content_is_stored(site: Site, ingestor: Ingestor) -> None:
    site.pages = {"/a": html_page("The same words.")}
    await ingestor.ingest([site.one("/a")], tenant_id="t")
    site.versions["/a"] = "2"
    site.statuses()
    for expected in (200, 304):
        report = await ingestor.ingest([site.one("/a")], tenant_id="t")
        assert (site.statuses(), report.unchanged) == ({"/a": expected}, 1)


async def test_conditional_request_goes_to_the_final_url_of_a_redirect(site: Site, ingestor: Ingestor) -> None:
    site.pages, site.moved = {"/b": html_page("b"), "/c": html_page("c")}, {"/a": "/b"}
    await ingestor.ingest([site.one("/a")], tenant_id="t")
    await ingestor.ingest([site.one("/a")], tenant_id="t")
    assert site.statuses() == {"/a": 302, "/b": 304}
    site.moved = {"/a": "/c"}
    report = await ingestor.ingest([site.one("/a")], tenant_id="t")
    assert (site.statuses(), report.unchanged) == ({"/a": 302, "/c": 200}, 0)


async def test_failed_document_is_fetched_again_in_full(site: Site, ingestor: Ingestor) -> None:
    site.pages = {"/a": ""}
    for _ in range(2):
        report = await ingestor.ingest([site.one("/a")], tenant_id="t")
        assert (site.statuses(), len(report.failed)) == ({"/a": 200}, 1)


async def test_links_of_unchanged_pages_are_followed(site: Site, ingestor: Ingestor, sessions: Sessions) -> None:
    site.pages = {"/": html_page("start", "/a"), "/a": html_page("a", "/b"), "/b": html_page("b")}
    await ingestor.ingest([site.crawl()], tenant_id="t")
    assert site.statuses() == {"/": 200, "/a": 200, "/b": 200}
    site.pages["/b"], site.versions["/b"] = html_page("b anew", "/c"), "2"
    site.pages["/c"] = html_page("c")
    again = await ingestor.ingest([site.crawl()], tenant_id="t")
    assert site.statuses() == {"/": 304, "/a": 304, "/b": 200, "/c": 200}
    assert (again.documents, again.unchanged, again.deleted) == (4, 2, 0)
    assert set(await stored_states(sessions)) == {f"{site.url}{path}" for path in ("/", "/a", "/b", "/c")}


async def test_lastmod_in_a_sitemap_saves_the_request(site: Site, ingestor: Ingestor) -> None:
    now = datetime.now(UTC)
    dates = {"/old": "2020-01-01", "/new": (now + timedelta(days=2)).isoformat(), "/today": f"{now:%Y-%m-%d}", "/x": ""}
    listed = "".join(f"<url><loc>{site.url}{path}</loc><lastmod>{at}</lastmod></url>" for path, at in dates.items())
    site.pages = {path: html_page(path) for path in dates} | {"/map.xml": f"<urlset>{listed}</urlset>"}
    await ingestor.ingest([site.sitemap()], tenant_id="t")
    site.statuses()
    again = await ingestor.ingest([site.sitemap()], tenant_id="t")
    assert site.statuses() == {"/map.xml": 200, "/new": 304, "/today": 304, "/x": 304}
    assert (again.unchanged, again.deleted) == (4, 0)


async def test_page_that_changes_while_its_site_is_read_is_read_again(
    site: Site, sessions: Sessions, parser: Parser
) -> None:
    begin = datetime(2026, 6, 1, 12, tzinfo=UTC)

    async def read(stored_at: datetime, changed: datetime) -> None:
        entry = f"<url><loc>{site.url}/page</loc><lastmod>{changed.isoformat()}</lastmod></url>"
        site.pages["/map.xml"] = f"<urlset>{entry}</urlset>"
        ingestor = Ingestor(sessions, WordEmbedder(), parser=parser, clock=lambda: stored_at)
        await ingestor.ingest([site.sitemap()], tenant_id="t")

    site.pages["/page"] = html_page("The first version")
    await read(begin, begin - timedelta(days=1))
    site.pages["/page"], site.versions["/page"] = html_page("The second version"), "2"
    await read(begin + timedelta(hours=5), begin + timedelta(hours=1))
    site.pages["/page"], site.versions["/page"] = html_page("The third version"), "3"
    await read(begin + timedelta(days=1), begin + timedelta(hours=4))
    async with sessions("t") as session:
        assert "third" in str(await session.scalar(text("SELECT text FROM documents")))
    site.statuses()
    await read(begin + timedelta(days=2), begin + timedelta(hours=4))
    assert site.statuses() == {"/map.xml": 200}


@pytest.mark.parametrize(
    ("changed", "older"),
    [
        ("2026-06-01", True),
        ("2026-06-02", False),
        ("2026-06-02T11:00:00Z", True),
        ("2026-06-02T11:55:00+00:00", False),
        ("2026-06-02T13:00:00+02:00", True),
        ("", False),
        ("yesterday", False),
    ],
)
def test_sitemap_entry_is_older_than_the_last_reading(changed: str, older: bool) -> None:
    assert SitemapEntry("https://e.org/", changed).is_older_than(datetime(2026, 6, 2, 12, tzinfo=UTC)) is older


async def test_mark_is_returned_to_the_source_only_if_every_document_was_added(ingestor: Ingestor) -> None:
    marks: list[str] = []

    class Marking(ListSource):
        async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]:
            marks.append(known.mark)
            async for item in super().fetch(known):
                yield item

    source = Marking("list", markdown("a.md", "words"), Failure("b.md", "it is broken."), Mark("first"))
    await ingestor.ingest([source], tenant_id="t")
    await ingestor.ingest([source], tenant_id="t")
    source.items = [markdown("a.md", "words"), Mark("second")]
    await ingestor.ingest([source], tenant_id="t")
    await ingestor.ingest([source], tenant_id="t")
    assert marks == ["", "", "", "second"]


async def test_memo_is_returned_to_the_source(ingestor: Ingestor) -> None:
    received: list[str] = []

    class Remembering(ListSource):
        async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]:
            received.append(await known.memo("a.md"))
            received.extend(known.documents)
            async for item in super().fetch(known):
                yield item

    source = Remembering("list", replace(markdown("a.md", "words"), memo="one"))
    await ingestor.ingest([source], tenant_id="t")
    source.items = [replace(markdown("a.md", "words"), memo="two")]
    await ingestor.ingest([source], tenant_id="t")
    source.items = [Unchanged("a.md")]
    await ingestor.ingest([source], tenant_id="t")
    assert received == ["", "one", "a.md", "two", "a.md"]


def commit(folder: Path, **files: str) -> None:
    for name, words in files.items():
        (folder / f"{name}.md").write_text(words)
    options = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    for arguments in (("init", "-q"), ("add", "-A"), (*options, "commit", "-q", "-m", "x")):
        subprocess.run(["git", *arguments], cwd=folder, check=True)


async def test_only_changed_files_of_a_repository_are_read(tmp_path: Path, ingestor: Ingestor) -> None:
    commit(tmp_path, a="# A\n\nwords", b="# B\n\nwords", c="# C\n\nwords")
    await ingestor.ingest([_git(tmp_path)], tenant_id="t")
    commit(tmp_path, b="# B\n\nother words")
    seen = [item async for item in _git(tmp_path).fetch()]
    assert len(seen) == 4
    report = await ingestor.ingest([_git(tmp_path)], tenant_id="t")
    assert (report.documents, report.unchanged) == (3, 2)
    (tmp_path / "c.md").unlink()
    commit(tmp_path)
    report = await ingestor.ingest([_git(tmp_path)], tenant_id="t")
    assert (report.documents, report.unchanged, report.deleted) == (2, 2, 1)


def _git(folder: Path) -> GitSource:
    return GitSource(folder, fetch_allow=(), max_bytes=MAX_BYTES)


async def test_count_grows_while_a_source_is_read(site: Site, tmp_path: Path) -> None:
    site.pages = {f"/{n}": html_page(f"page {n}", f"/{n + 1}") for n in range(4)} | {
        "/": html_page("start", "/0", "/1")
    }
    listed = "".join(f"<url><loc>{site.url}/{n}</loc></url>" for n in range(4))
    site.pages["/map.xml"] = f"<urlset>{listed}</urlset>"
    commit(tmp_path, a="# A", b="# B")
    assert await _totals(site.crawl()) == [None, 3, 3, 4, 5, 6, 6]
    assert await _totals(site.sitemap()) == [None, 4, 4, 4, 4]
    assert await _totals(_git(tmp_path)) == [None, 2, 2, 2]
    assert await _totals(FolderSource(tmp_path, max_bytes=MAX_BYTES)) == [2, 2, 2]


async def _totals(source: Source) -> list[int | None]:
    """Return the count before the reading, and after each item."""
    return [source.count(), *[source.count() async for _ in source.fetch()]]
