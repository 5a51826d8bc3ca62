"""Ways around the check of addresses that worked elsewhere: none of them reaches a server that is not open to all."""

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
from knowledge.sources import CrawlSource, SitemapSource, UrlSource
from knowledge.types import Fetched

PUBLIC = "93.184.216.34"


@dataclass
class Inside:
    """A server on loopback that must not be asked; ``port`` is where it listens."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"secret"
    status: int = 200

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(str(request.url))
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    made = Inside()
    app = web.Application()
    app.router.add_get("/{tail:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Let names resolve to these addresses, one look-up after the other; gives the list of names looked up."""
    asked: list[str] = []
    left = list(answers)

    def look_up(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        address = left.pop(0) if len(left) > 1 else left[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


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
async def test_a_public_name_with_a_private_address(
    monkeypatch: pytest.MonkeyPatch, inside: Inside, name: str, address: str
) -> None:
    resolving(monkeypatch, address)
    with pytest.raises(SourceError, match="PARLEY_FETCH_ALLOW"):
        await fetch(f"http://{name}:{inside.port}/")
    assert inside.asked == []


async def test_a_name_that_changes_between_look_up_and_connection(
    monkeypatch: pytest.MonkeyPatch, inside: Inside
) -> None:
    """DNS rebinding: the second answer would be loopback, so it must never be asked for."""
    names = resolving(monkeypatch, PUBLIC, "127.0.0.1")
    with pytest.raises(SourceError):
        await _impatient(f"http://rebind.example:{inside.port}/")
    assert (inside.asked, names) == ([], ["rebind.example"])


async def _impatient(url: str) -> None:
    async for _ in UrlSource(url, fetch_allow=(), max_bytes=1000, seconds=0.3).fetch():
        pass


async def test_a_name_that_changes_between_two_redirects(monkeypatch: pytest.MonkeyPatch, inside: Inside) -> None:
    """The first answer is allowed, sends on to itself and hangs up; the second look-up tells another address."""
    resolving(monkeypatch, "127.0.0.1", "127.0.0.2")
    again = f"http://rebind.example:{inside.port}/again"
    inside.status, inside.headers = 302, {"Location": again, "Connection": "close"}
    with pytest.raises(SourceError, match=r"127\.0\.0\.2"):
        await fetch(f"http://rebind.example:{inside.port}/", "127.0.0.1")
    assert len(inside.asked) == 1


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
async def test_a_redirect_is_checked_in_every_notation(inside: Inside, target: str) -> None:
    """Only 127.0.0.1 is allowed: what another reader of addresses takes for 127.0.0.2 is not followed."""
    inside.status, inside.headers = 302, {"Location": target.format(port=inside.port)}
    with pytest.raises(SourceError):
        await fetch(f"http://127.0.0.1:{inside.port}/", "127.0.0.1")
    assert all(url.startswith(f"http://127.0.0.1:{inside.port}/") for url in inside.asked)


@pytest.mark.parametrize("kind", [CrawlSource, SitemapSource])
async def test_crawls_and_sitemaps_are_checked_alike(
    monkeypatch: pytest.MonkeyPatch, inside: Inside, kind: type[CrawlSource] | type[SitemapSource]
) -> None:
    resolving(monkeypatch, "127.0.0.1")
    with pytest.raises(SourceError, match=r"PARLEY_FETCH_ALLOW=intranet\.example"):
        [item async for item in kind(f"http://intranet.example:{inside.port}/", fetch_allow=(), max_bytes=1000).fetch()]
    assert inside.asked == []


async def test_what_is_allowed_by_name_is_allowed_for_that_name_only(
    monkeypatch: pytest.MonkeyPatch, inside: Inside
) -> None:
    resolving(monkeypatch, "127.0.0.1")
    found = await fetch(f"http://wiki.corp:{inside.port}/", "wiki.corp")
    assert found.data == b"secret"
    for other in ("wiki.corp.evil.example", "evil.example", "xwiki.corp"):
        with pytest.raises(SourceError, match="PARLEY_FETCH_ALLOW"):
            await fetch(f"http://{other}:{inside.port}/", "wiki.corp")
    assert len(inside.asked) == 1


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_body_that_unfolds_is_cut_off(inside: Inside, coding: str) -> None:
    """A hundred megabytes in a hundred kilobytes: neither kept nor unfolded to its end."""
    huge = bytes(100 * 2**20)
    inside.body = gzip.compress(huge) if coding == "gzip" else zlib.compress(huge)
    inside.headers = {"Content-Encoding": coding, "Content-Type": "text/html"}
    del huge
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match="larger than"):
            await fetch(f"http://127.0.0.1:{inside.port}/", "127.0.0.1", max_bytes=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    finally:
        tracemalloc.stop()


async def test_a_body_that_is_no_gzip_is_told(inside: Inside) -> None:
    inside.body, inside.headers = b"no gzip", {"Content-Encoding": "gzip"}
    with pytest.raises(SourceError, match="cannot be read"):
        await fetch(f"http://127.0.0.1:{inside.port}/", "127.0.0.1")


def test_the_public_address_of_these_tests_is_one() -> None:
    assert ipaddress.ip_address(PUBLIC).is_global
