"""Server-side request forgery: known ways around address checks do not reach a private server."""

from __future__ import annotations

import gzip
import ipaddress
import socket
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from knowledge.errors import SourceError
from knowledge.sources.crawl import CrawlSource
from knowledge.sources.sitemap import SitemapSource
from knowledge.sources.web_page import UrlSource
from knowledge.types.source_items import Fetched

PUBLIC = "93.184.216.34"


@dataclass
class PrivateServer:
    """A server on loopback that must not receive requests. ``requests`` are the URLs that it received."""

    port: int = 0
    requests: list[str] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"secret"
    status: int = 200

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(str(request.url))
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@pytest.fixture
async def private_server() -> AsyncIterator[PrivateServer]:
    made = PrivateServer()
    app = web.Application()
    app.router.add_get("/{tail:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


def fake_dns(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Make lookups return these addresses in turn. Return the list of names that are looked up."""
    names: list[str] = []
    left = list(answers)

    def look_up(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        names.append(host)
        address = left.pop(0) if len(left) > 1 else left[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return names


async def fetch(url: str, *allow: str, max_bytes: int = 10_000) -> Fetched:
    (item,) = [item async for item in UrlSource(url, fetch_allow=allow, max_bytes=max_bytes, seconds=5).fetch()]
    assert isinstance(item, Fetched)
    return item


@pytest.mark.parametrize(
    "address",
    "127.0.0.1 10.0.0.8 172.31.255.255 192.168.0.1 169.254.169.254 100.100.100.200 0.0.0.0 ::1 fe80::1 fd00:ec2::254"
    " ::ffff:7f00:1 ::ffff:a9fe:a9fe 64:ff9b::a9fe:a9fe 2002:7f00:1::".split(),
)
@pytest.mark.parametrize("name", ["7f000001.nip.io", "127-0-0-1.sslip.io", "metadata.google.internal", "localtest.me"])
async def test_public_name_with_a_private_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, private_server: PrivateServer, name: str, address: str
) -> None:
    fake_dns(monkeypatch, address)
    with pytest.raises(SourceError, match="PARLEY_FETCH_ALLOW"):
        await fetch(f"http://{name}:{private_server.port}/")
    assert private_server.requests == []


async def test_dns_rebinding_between_lookup_and_connection(
    monkeypatch: pytest.MonkeyPatch, private_server: PrivateServer
) -> None:
    """DNS rebinding: a second lookup would return loopback, so there must not be one."""
    names = fake_dns(monkeypatch, PUBLIC, "127.0.0.1")
    with pytest.raises(SourceError):
        await _fetch_with_short_timeout(f"http://rebind.example:{private_server.port}/")
    assert (private_server.requests, names) == ([], ["rebind.example"])


async def _fetch_with_short_timeout(url: str) -> None:
    async for _ in UrlSource(url, fetch_allow=(), max_bytes=1000, seconds=0.3).fetch():
        pass


async def test_dns_rebinding_between_two_redirects(
    monkeypatch: pytest.MonkeyPatch, private_server: PrivateServer
) -> None:
    """The first address is allowed and redirects to its own name. The second lookup returns another address."""
    fake_dns(monkeypatch, "127.0.0.1", "127.0.0.2")
    again = f"http://rebind.example:{private_server.port}/again"
    private_server.status, private_server.headers = 302, {"Location": again, "Connection": "close"}
    with pytest.raises(SourceError, match=r"127\.0\.0\.2"):
        await fetch(f"http://rebind.example:{private_server.port}/", "127.0.0.1")
    assert len(private_server.requests) == 1


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.2:{port}/",
        "http://[::ffff:7f00:2]:{port}/",
        "http://[0:0:0:0:0:ffff:127.0.0.2]:{port}/",
        "http://2130706434:{port}/",
        "http://0x7f000002:{port}/",
        "http://0177.0.0.2:{port}/",
        "http://127.2:{port}/",
        "//127.0.0.2:{port}/",
        "http://127.0.0.1@127.0.0.2:{port}/",
        "http:\\\\127.0.0.2:{port}/",
        "http://127。0。0。2:{port}/",
        "http://①②⑦.0.0.2:{port}/",
    ],
)
async def test_redirect_to_a_private_address_is_refused_in_every_notation(
    private_server: PrivateServer, target: str
) -> None:
    """Only 127.0.0.1 is allowed: a redirect that any URL parser reads as 127.0.0.2 is not followed."""
    private_server.status, private_server.headers = 302, {"Location": target.format(port=private_server.port)}
    with pytest.raises(SourceError):
        await fetch(f"http://127.0.0.1:{private_server.port}/", "127.0.0.1")
    assert all(url.startswith(f"http://127.0.0.1:{private_server.port}/") for url in private_server.requests)


@pytest.mark.parametrize("kind", [CrawlSource, SitemapSource])
async def test_crawls_and_sitemaps_refuse_private_addresses(
    monkeypatch: pytest.MonkeyPatch, private_server: PrivateServer, kind: type[CrawlSource] | type[SitemapSource]
) -> None:
    fake_dns(monkeypatch, "127.0.0.1")
    with pytest.raises(SourceError, match=r"PARLEY_FETCH_ALLOW=intranet\.example"):
        [
            item
            async for item in kind(
                f"http://intranet.example:{private_server.port}/", fetch_allow=(), max_bytes=1000
            ).fetch()
        ]
    assert private_server.requests == []


async def test_host_allowed_by_name_is_allowed_under_that_name_only(
    monkeypatch: pytest.MonkeyPatch, private_server: PrivateServer
) -> None:
    fake_dns(monkeypatch, "127.0.0.1")
    found = await fetch(f"http://wiki.corp:{private_server.port}/", "wiki.corp")
    assert found.data == b"secret"
    for other in ("wiki.corp.evil.example", "evil.example", "xwiki.corp"):
        with pytest.raises(SourceError, match="PARLEY_FETCH_ALLOW"):
            await fetch(f"http://{other}:{private_server.port}/", "wiki.corp")
    assert len(private_server.requests) == 1


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_decompression_stops_at_the_size_limit(private_server: PrivateServer, coding: str) -> None:
    """100 MB compressed to 100 kB: the client stops decompressing at the limit."""
    huge = bytes(100 * 2**20)
    private_server.body = gzip.compress(huge) if coding == "gzip" else zlib.compress(huge)
    private_server.headers = {"Content-Encoding": coding, "Content-Type": "text/html"}
    del huge
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match="larger than"):
            await fetch(f"http://127.0.0.1:{private_server.port}/", "127.0.0.1", max_bytes=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    finally:
        tracemalloc.stop()


async def test_invalid_gzip_body_raises_an_error(private_server: PrivateServer) -> None:
    private_server.body, private_server.headers = b"no gzip", {"Content-Encoding": "gzip"}
    with pytest.raises(SourceError, match="cannot be read"):
        await fetch(f"http://127.0.0.1:{private_server.port}/", "127.0.0.1")


def test_public_address_of_these_tests_is_public() -> None:
    assert ipaddress.ip_address(PUBLIC).is_global
