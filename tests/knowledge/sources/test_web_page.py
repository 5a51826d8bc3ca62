"""Fetching a web page: private addresses are refused in every notation and at every redirect, and limits apply."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from knowledge.errors import SourceError
from knowledge.sources.checked_resolver import CheckedResolver
from knowledge.sources.ip_address_policy import is_public, may_fetch
from knowledge.sources.source_factory import open_source
from knowledge.sources.web_page import UrlSource
from knowledge.types.source_items import Fetched

Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]

PRIVATE_ADDRESSES = """127.0.0.1 127.8.9.10 0.0.0.0 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254
100.64.0.1 224.0.0.1 255.255.255.255 ::1 :: fe80::1 fd00::1 ff02::1 ::ffff:127.0.0.1 ::ffff:a9fe:a9fe
::ffff:10.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: ::127.0.0.1 2001:0:0:0:0:0:80ff:fffe fec0::1 feff::1
::ffff:0:127.0.0.1 ::ffff:0:1.1.1.1 64:ff9b:1::1 64:ff9b:1::1.1.1.1 5f00::1 3fff::1 3fff:fff::1 2001:db8::1
2001:2::1 2001:20::1 100::1 4000::1 ff0e::1 fe80::5efe:1.1.1.1 2a00:1450:4001:800:0:5efe:10.0.0.1
2a00:1450:4001:800:200:5efe:127.0.0.1 2002:a9fe:a9fe:: ::1.1.1.1 fd00:ec2::254 64:ff9b::10.0.0.1 192.88.99.1
168.63.129.16 ::ffff:168.63.129.16 192.0.0.192 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 240.0.0.1
100.100.100.200 0.1.2.3""".split()

MORE_PUBLIC = """64:ff9b::1.1.1.1 2002:101:101:: 2a00:1450:4001:800::200e 2a00:1450:4001:800:0:5efe:1.1.1.1
168.63.129.17 100.63.255.255 100.128.0.1 172.15.255.255 172.32.0.1 198.17.255.255 198.20.0.1 223.255.255.255
2001:200::1 3fff:1000::1 2001:4860:4860::8888""".split()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Return a function that starts a server on loopback with one handler and returns its URL."""
    runners: list[web.AppRunner] = []

    async def start(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
        app = web.Application()
        app.router.add_get("/{tail:.*}", handler)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="<html><body><p>Hello</p></body></html>", content_type="text/html")


async def fetch(url: str, *allow: str, max_bytes: int = 10_000, seconds: float = 5) -> Fetched:
    items = [item async for item in UrlSource(url, fetch_allow=allow, max_bytes=max_bytes, seconds=seconds).fetch()]
    assert len(items) == 1
    assert isinstance(items[0], Fetched)
    return items[0]


@pytest.mark.parametrize("address", PRIVATE_ADDRESSES)
def test_private_addresses_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", *MORE_PUBLIC])
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("host", "address", "allow", "granted"),
    [
        ("wiki.corp", "10.0.0.5", ("wiki.corp",), True),
        ("wiki.corp", "10.0.0.5", ("*.corp",), True),
        ("wiki.corp", "10.0.0.5", ("10.0.0.0/8",), True),
        ("wiki.corp", "::ffff:10.0.0.5", ("10.0.0.0/8",), True),
        ("wiki.corp", "10.0.0.5", ("10.0.0.5",), True),
        ("other.corp", "10.0.0.5", ("wiki.corp",), False),
        ("wiki.corp.evil.com", "10.0.0.5", ("wiki.corp", "*.corp"), False),
        ("wiki.corp", "10.0.0.5", (), False),
        ("example.org", "93.184.216.34", (), True),
    ],
)
def test_operator_can_allow_private_hosts(host: str, address: str, allow: tuple[str, ...], granted: bool) -> None:
    assert may_fetch(host, ipaddress.ip_address(address), allow) is granted


@pytest.mark.parametrize(
    "host",
    "127.0.0.1 localhost 127.1 2130706433 0x7f000001 0x7f.1 0177.0.0.1 [::1] [::ffff:127.0.0.1] [::ffff:7f00:1]"
    " 0 0.0.0.0 LOCALHOST. 127.0.0.1.".split(),
)
async def test_loopback_is_refused_in_every_notation(host: str, serve: Serve) -> None:
    requested: list[str] = []

    async def watch(request: web.Request) -> web.Response:
        requested.append(request.path)
        return web.Response(text="secret")

    port = (await serve(watch)).rpartition(":")[2]
    with pytest.raises(SourceError):
        await fetch(f"http://{host}:{port}/secret")
    assert requested == []


async def test_refusal_names_the_setting_that_allows_the_host(serve: Serve) -> None:
    with pytest.raises(SourceError, match=r"PARLEY_FETCH_ALLOW=127\.0\.0\.1"):
        await fetch(await serve(hello))
    with pytest.raises(SourceError, match="PARLEY_FETCH_ALLOW=localhost"):
        await fetch((await serve(hello)).replace("127.0.0.1", "localhost"))


async def test_allowed_page_is_read(serve: Serve) -> None:
    url = await serve(hello)
    found = await fetch(f"{url}/page", "127.0.0.0/8")
    assert (found.uri, found.content_type) == (f"{url}/page", "text/html; charset=utf-8")
    assert b"Hello" in found.data


async def test_every_redirect_is_checked_again(serve: Serve) -> None:
    secret = (await serve(hello)).replace("127.0.0.1", "127.0.0.2")

    async def away(_: web.Request) -> web.Response:
        raise web.HTTPFound(f"{secret}/secret")

    with pytest.raises(SourceError, match=r"127\.0\.0\.2"):
        await fetch(await serve(away), "127.0.0.1")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.org/x", "gopher://127.0.0.1/"])
async def test_a_redirect_to_another_scheme_is_refused(serve: Serve, target: str) -> None:
    async def away(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": target})

    with pytest.raises(SourceError, match="not a web address"):
        await fetch(await serve(away), "127.0.0.1")


async def test_redirect_loop_raises_an_error(serve: Serve) -> None:
    async def circle(request: web.Request) -> web.Response:
        raise web.HTTPFound(str(request.url))

    with pytest.raises(SourceError, match="redirects more than"):
        await fetch(await serve(circle), "127.0.0.1")


async def test_host_name_is_resolved_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that would resolve to another address the second time is resolved only once."""
    answers = iter(["93.184.216.34", "127.0.0.1"])

    def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 80))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    found = await CheckedResolver(()).resolve("rebind.example", 80)
    assert [result["host"] for result in found] == ["93.184.216.34"]


async def test_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(OSError, match=r"private address 10\.0\.0\.1"):
        await CheckedResolver(()).resolve("both.example", 80)


async def test_proxy_from_the_environment_is_not_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def proxy(_: web.Request) -> web.Response:
        return web.Response(text="from the proxy")

    monkeypatch.setenv("http_proxy", await serve(proxy))
    assert b"Hello" in (await fetch(await serve(hello), "127.0.0.1")).data


async def test_size_type_and_status_errors(serve: Serve) -> None:
    async def large(_: web.Request) -> web.Response:
        return web.Response(text="x" * 20_000)

    async def film(_: web.Request) -> web.Response:
        return web.Response(body=b"....", content_type="video/mp4")

    async def gone(_: web.Request) -> web.Response:
        raise web.HTTPNotFound

    for handler, words in ((large, "larger than"), (film, "video/mp4"), (gone, "404")):
        with pytest.raises(SourceError, match=words):
            await fetch(await serve(handler), "127.0.0.1")


async def test_server_that_does_not_answer_times_out(serve: Serve) -> None:
    import asyncio

    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response()

    with pytest.raises(SourceError, match="did not answer"):
        await fetch(await serve(silent), "127.0.0.1", seconds=0.05)


async def test_unreachable_server_raises_an_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(SourceError, match="cannot be reached"):
        await fetch(f"http://127.0.0.1:{port}/", "127.0.0.1")


@pytest.mark.parametrize(
    ("spec", "files", "words"),
    [
        ("", True, "Say what to add"),
        ("ftp://example.org/a", True, "http:// or https://"),
        ("/etc/passwd", False, "from the terminal only"),
        ("~/notes", False, "from the terminal only"),
        ("/nowhere/at/all", True, "no file or folder"),
        ("upload:notes.md", True, "Upload it again"),
    ],
)
def test_invalid_specs_raise_an_error(spec: str, files: bool, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_source(spec, fetch_allow=(), max_bytes=1000, files=files)


async def test_url_with_credentials_is_refused() -> None:
    with pytest.raises(SourceError, match="name or password"):
        await fetch("http://user:secret@example.org/")
