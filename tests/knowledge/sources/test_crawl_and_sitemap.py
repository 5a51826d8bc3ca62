"""Crawls and sitemaps of a site on loopback: robots.txt, limits, failures and refreshes."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from knowledge.errors import SourceError
from knowledge.ingest import Ingestor
from knowledge.ports import Source
from knowledge.sources.crawl import CrawlSource
from knowledge.sources.link_extraction import extract_links
from knowledge.sources.polite_fetch import PoliteFetcher
from knowledge.sources.robots_txt import RobotsTxt
from knowledge.sources.sitemap import SitemapSource
from knowledge.sources.sitemap_parser import SitemapEntry, parse_sitemap
from knowledge.sources.source_factory import open_source
from knowledge.sources.web_client import PageError, WebClient
from knowledge.types.source_items import Failure, Fetched


@dataclass
class Site:
    """A test site. ``pages`` by path: body, status or response. ``requested``: paths. ``pauses``: seconds slept."""

    url: str = ""
    pages: dict[str, str | bytes | int | Callable[[], web.Response]] = field(default_factory=dict)
    requested: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.requested.append(request.path)
        page = self.pages.get(request.path, 404)
        if isinstance(page, int):
            return web.Response(status=page)
        if isinstance(page, bytes):
            return web.Response(body=page, content_type="application/gzip")
        if callable(page):
            return page()
        return web.Response(text=page, content_type="text/html", headers={"ETag": '"1"'})

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def crawl(self, path: str = "/", pages: int = 100, depth: int = 8) -> CrawlSource:
        source = CrawlSource(
            self.url + path, fetch_allow=("127.0.0.1",), max_bytes=10_000, max_pages=pages, sleep=self.sleep
        )
        source.max_depth = depth
        return source

    def sitemap(self, path: str = "/sitemap.xml", pages: int = 100) -> SitemapSource:
        return SitemapSource(
            self.url + path, fetch_allow=("127.0.0.1",), max_bytes=10_000, max_pages=pages, sleep=self.sleep
        )

    def urlset(self, *paths: str) -> str:
        places = "".join(f"<url><loc> {self.url}{path} </loc></url>" for path in paths)
        return f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{places}</urlset>'


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


def page(*targets: str, head: str = "") -> str:
    return f"<html><head>{head}</head><body>" + "".join(f'<a href="{to}">x</a>' for to in targets) + "</body></html>"


def redirect(to: str) -> Callable[[], web.Response]:
    return lambda: web.Response(status=302, headers={"Location": to})


async def read(source: Source) -> tuple[list[str], list[Failure], str]:
    """Return the documents, the failures, and the message of the SourceError that ended the source."""
    documents: list[str] = []
    failures: list[Failure] = []
    try:
        async for item in source.fetch():
            if isinstance(item, Fetched):
                documents.append(item.uri)
            elif isinstance(item, Failure):
                failures.append(item)
    except SourceError as error:
        return documents, failures, str(error)
    return documents, failures, ""


def paths(site: Site, documents: list[str]) -> list[str]:
    return [document.removeprefix(site.url) for document in documents]


async def test_crawl_follows_links_within_its_host_once(site: Site) -> None:
    site.pages = {
        "/": page("/a", "b?x=1#part", "/a", "http://127.0.0.2:1/away", "mailto:a@b.c", "/logo.png", "/moved", "/out"),
        "/a": page("/", "/deep/"),
        "/b": page(),
        "/deep/": page("leaf"),
        "/deep/leaf": page(),
        "/moved": redirect("/a"),
        "/out": redirect("http://127.0.0.2:1/"),
    }
    documents, failures, error = await read(site.crawl())
    assert paths(site, documents) == ["/", "/a", "/b?x=1", "/deep/", "/deep/leaf"]
    assert (failures, error) == ([], "")
    assert "/logo.png" not in site.requested


async def test_page_metadata_has_its_etag(site: Site) -> None:
    site.pages = {"/": page()}
    items = [item async for item in site.crawl().fetch()]
    assert [item.metadata for item in items if isinstance(item, Fetched)] == [{"etag": '"1"'}]


async def test_robots_txt_disallows_pages_and_sets_the_pause(site: Site) -> None:
    site.pages = {
        "/robots.txt": "User-agent: *\nDisallow: /private\nDisallow: /*.tmp$\nCrawl-delay: 3\n",
        "/": page("/private/x", "/a.tmp", "/open", "/sly"),
        "/open": page(),
        "/sly": redirect("/private/y"),
        "/private/x": page(),
        "/private/y": page(),
        "/a.tmp": page(),
    }
    documents, failures, error = await read(site.crawl())
    assert paths(site, documents) == ["/", "/open"]
    assert (failures, error) == ([], "")
    assert not {"/private/x", "/a.tmp"} & set(site.requested)
    assert set(site.pauses) == {3.0}


@pytest.mark.parametrize(("status", "allowed"), [(404, True), (403, True), (500, False)])
async def test_unavailable_robots_txt(site: Site, status: int, allowed: bool) -> None:
    site.pages = {"/robots.txt": status, "/": page()}
    documents, _, error = await read(site.crawl())
    assert (bool(documents), "robots.txt" in error) == (allowed, not allowed)


async def test_noindex_and_nofollow_are_respected(site: Site) -> None:
    site.pages = {
        "/": page("/a", "/b"),
        "/a": page("/c", head='<meta name="robots" content="noindex">'),
        "/b": page("/d", head='<meta name="robots" content="nofollow">'),
        "/c": page(),
        "/d": page(),
    }
    documents, _, _ = await read(site.crawl())
    assert paths(site, documents) == ["/", "/b", "/c"]


async def test_crawl_stops_at_the_limits_of_pages_and_depth(site: Site) -> None:
    site.pages = {f"/{n}": page(f"/{n + 1}") for n in range(9)}
    documents, failures, error = await read(site.crawl("/0", depth=2))
    assert (paths(site, documents), failures, error) == (["/0", "/1", "/2"], [], "")
    documents, failures, error = await read(site.crawl("/0", pages=4))
    assert (len(documents), error) == (4, "")
    assert "stopped after 4 pages with 1 more" in failures[0].error


async def test_crawl_continues_after_a_page_fails(site: Site) -> None:
    site.pages = {"/": page("/gone", "/large", "/a"), "/large": "x" * 20_000, "/a": page()}
    documents, failures, error = await read(site.crawl())
    assert paths(site, documents) == ["/", "/a"]
    assert ["404" in failures[0].error, "larger than" in failures[1].error] == [True, True]
    assert error == ""


async def test_temporarily_unavailable_page_prevents_deletions(site: Site) -> None:
    site.pages = {"/": page("/down", "/a"), "/down": 500, "/a": page()}
    documents, failures, error = await read(site.crawl())
    assert (paths(site, documents), len(failures)) == (["/", "/a"], 1)
    assert "Nothing was removed" in error


async def test_repeated_crawl_skips_unchanged_and_deletes_missing_pages(site: Site, ingestor: Ingestor) -> None:
    site.pages = {"/": "<p>The first page.</p>" + page("/a"), "/a": "<p>The second page.</p>" + page()}
    first = await ingestor.ingest([site.crawl()], tenant_id="t")
    assert (first.documents, first.unchanged, first.failed) == (2, 0, ())
    again = await ingestor.ingest([site.crawl()], tenant_id="t")
    assert (again.documents, again.unchanged, again.deleted) == (2, 2, 0)
    site.pages["/a"] = 503
    down = await ingestor.ingest([site.crawl()], tenant_id="t")
    assert (down.unchanged, down.deleted, len(down.failed)) == (1, 0, 2)
    site.pages["/"] = "<p>The first page.</p>"
    less = await ingestor.ingest([site.crawl()], tenant_id="t")
    assert (less.documents, less.deleted, less.failed) == (1, 1, ())


async def test_busy_server_is_retried_once(site: Site) -> None:
    answers = iter([429, 200])
    site.pages = {"/": lambda: web.Response(status=next(answers), text="words")}
    documents, _, _ = await read(site.crawl())
    assert (paths(site, documents), site.pauses) == (["/"], [10.0])


async def test_sites_at_private_addresses_are_refused() -> None:
    for spec in ("crawl:http://127.0.0.1:1/", "sitemap:http://localhost:1/", "http://10.0.0.1/sitemap.xml"):
        source = open_source(spec, fetch_allow=(), max_bytes=1000, files=False)
        documents, failures, error = await read(source)
        assert (documents, failures) == ([], [])
        assert "PARLEY_FETCH_ALLOW" in error


async def test_sitemap_pages_are_read(site: Site) -> None:
    site.pages = {"/robots.txt": "User-agent: Parley\nDisallow: /no", "/a": page(), "/b": page(), "/no": page()}
    site.pages["/sitemap.xml"] = site.urlset("/a", "/gone", "/no", "/b", "/a")
    documents, failures, error = await read(site.sitemap())
    assert (paths(site, documents), error) == (["/a", "/b"], "")
    assert [failure.source.removeprefix(site.url) for failure in failures] == ["/gone", "/no"]
    assert "robots.txt" in failures[1].error
    assert "/no" not in site.requested


async def test_sitemap_index_with_a_gzipped_sitemap(site: Site) -> None:
    site.pages = {path: page() for path in "/a /b /c".split()}
    site.pages["/one.xml"] = site.urlset("/a")
    site.pages["/two.xml.gz"] = gzip.compress(site.urlset("/b", "/c").encode())
    index = "".join(f"<sitemap><loc>{site.url}{path}</loc></sitemap>" for path in ("/one.xml", "/two.xml.gz"))
    site.pages["/sitemap.xml"] = f"<sitemapindex>{index}</sitemapindex>"
    assert paths(site, (await read(site.sitemap()))[0]) == ["/a", "/b", "/c"]
    site.pages["/one.xml"] = 500
    documents, failures, error = await read(site.sitemap())
    assert (paths(site, documents), failures[0].source) == (["/b", "/c"], f"{site.url}/one.xml")
    assert "Nothing was removed" in error


async def test_an_index_of_indexes_is_followed_once(site: Site) -> None:
    def index(*names: str) -> str:
        entries = "".join(f"<sitemap><loc>{site.url}{path}</loc></sitemap>" for path in names)
        return f"<sitemapindex>{entries}</sitemapindex>"

    site.pages = {path: page() for path in "/a /b /c".split()}
    site.pages["/sitemap.xml"] = index("/years.xml", "/one.xml")
    site.pages["/years.xml"] = index("/2025.xml", "/2026.xml", "/sitemap.xml", "/years.xml")
    site.pages |= {"/one.xml": site.urlset("/a"), "/2025.xml": site.urlset("/b"), "/2026.xml": site.urlset("/c")}
    documents, failures, _ = await read(site.sitemap())
    assert (sorted(paths(site, documents)), failures) == (["/a", "/b", "/c"], [])
    assert site.requested.count("/years.xml") == site.requested.count("/sitemap.xml") == 1


async def test_sitemap_stays_on_its_host_and_within_the_page_limit(site: Site) -> None:
    site.pages = {path: page() for path in "/a /b /c".split()}
    site.pages["/sitemap.xml"] = site.urlset("/a", "/b", "/c").replace(f"{site.url}/b", "http://127.0.0.2:9/b")
    documents, failures, _ = await read(site.sitemap())
    assert (paths(site, documents), len(failures)) == (["/a", "/c"], 1)
    assert "another host" in failures[0].error
    documents, failures, _ = await read(site.sitemap(pages=1))
    assert (paths(site, documents), failures[0].source) == (["/a"], f"sitemap:{site.url}/sitemap.xml")


@pytest.mark.parametrize("url", ["http://127.0.0.2/a", "http://user:secret@example.org/", "http://a..b/"])
async def test_address_is_checked_before_robots_txt(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    asked: list[str] = []

    async def allows(_: RobotsTxt, url: str) -> bool:
        asked.append(url)
        return True

    monkeypatch.setattr(RobotsTxt, "allows", allows)
    async with WebClient(fetch_allow=("127.0.0.1",), max_bytes=1000) as client:
        with pytest.raises(PageError) as refused:
            await PoliteFetcher(client).get(url)
    assert (asked, refused.value.temporary) == ([], False)


async def test_index_contacts_no_other_host(site: Site) -> None:
    """127.0.0.1 is allowed under another name too, so only the rule about hosts keeps the entry from being asked."""
    port = site.url.rpartition(":")[2]
    site.pages = {
        "/a": page(),
        "/one.xml": site.urlset("/a"),
        "/moved.xml": redirect(f"http://localhost:{port}/two.xml"),
    }
    site.pages["/two.xml"] = site.urlset("/a")
    entries = (f"http://localhost:{port}/two.xml", f"{site.url}/moved.xml", f"{site.url}/one.xml")
    index = "".join(f"<sitemap><loc>{url}</loc></sitemap>" for url in entries)
    site.pages["/sitemap.xml"] = f"<sitemapindex>{index}</sitemapindex>"
    source = SitemapSource(
        f"{site.url}/sitemap.xml", fetch_allow=("127.0.0.1", "localhost"), max_bytes=10_000, sleep=site.sleep
    )
    documents, failures, _ = await read(source)
    assert paths(site, documents) == ["/a"]
    assert ["on another host" in failure.error for failure in failures] == [True, True]
    assert "/two.xml" not in site.requested
    assert site.requested.count("/robots.txt") == 1


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>'


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<html></html>", "not a sitemap but <html>"),
        (b"<urlset>", "not a valid sitemap"),
        (BOMB.encode(), "not a valid sitemap"),
        (b"<a>" * 1_000, "not a valid sitemap"),
        (gzip.compress(bytes(60 * 2**20)), "larger than"),
        (b"\x1f\x8brubbish", "broken gzip"),
    ],
)
def test_bad_sitemaps_raise_an_error_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        parse_sitemap(data, "https://example.org/sitemap.xml")


def test_only_page_urls_of_a_sitemap_are_read() -> None:
    picture = '<image:image xmlns:image="urn:i"><image:loc>https://e.org/a.png</image:loc></image:image>'
    data = f"<urlset><url><loc><![CDATA[https://e.org/?a=1&b=2]]></loc>{picture}</url><url><loc> </loc></url></urlset>"
    assert parse_sitemap(data.encode(), "https://e.org/sitemap.xml").pages == (SitemapEntry("https://e.org/?a=1&b=2"),)


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<A HREF='x'>", ("https://e.org/d/x",)),
        ("<a class=z href=/y>", ("https://e.org/y",)),
        ('<base href="https://e.org/v2/"><a href="?a=1&amp;b=2">', ("https://e.org/v2/?a=1&b=2",)),
        ('<!-- <a href="no"> --><a href="//e.org">', ("https://e.org/",)),
        ('<a rel="nofollow" href="no"><a href="javascript:x"><a href="http://u:p@e.org/"><a href="http://[">', ()),
        ("<!-- " * 200_000 + "<a " * 200_000, ()),
    ],
)
def test_extracted_links(markup: str, expected: tuple[str, ...]) -> None:
    assert extract_links(markup.encode(), "https://e.org/d/page").urls == expected


@pytest.mark.parametrize(
    ("spec", "kind", "uri"),
    [
        ("crawl:https://example.org/docs", "crawl", "crawl:https://example.org/docs"),
        ("crawl:<https://example.org/docs|docs>", "crawl", "crawl:https://example.org/docs"),
        ("sitemap:https://example.org/map", "sitemap", "sitemap:https://example.org/map"),
        ("https://example.org/sitemap.xml", "sitemap", "sitemap:https://example.org/sitemap.xml"),
        ("https://example.org/en/sitemap-2.xml.gz", "sitemap", "sitemap:https://example.org/en/sitemap-2.xml.gz"),
        ("https://example.org/sitemap", "url", "https://example.org/sitemap"),
    ],
)
def test_site_opens_again_by_its_uri(spec: str, kind: str, uri: str) -> None:
    for again in (spec, uri):
        source = open_source(again, fetch_allow=(), max_bytes=1000, files=False)
        assert (source.kind, source.uri) == (kind, uri)


@pytest.mark.parametrize("spec", ["crawl:", "crawl:/etc", "sitemap:ftp://example.org"])
def test_crawl_and_sitemap_need_a_url(spec: str) -> None:
    with pytest.raises(SourceError, match="has no URL"):
        open_source(spec, fetch_allow=(), max_bytes=1000, files=True)
