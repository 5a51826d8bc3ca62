"""The connector checks the address that is dialed and the peer that answers. git's proxy dials checked addresses."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from knowledge.errors import SourceError
from knowledge.sources.checked_connection import CheckedConnector, connect_checked
from knowledge.sources.checked_resolver import AddressRefusedError
from knowledge.sources.git_tunnel import GitTunnel
from knowledge.sources.refused_requests import refused_requests
from knowledge.sources.source_factory import open_source


@dataclass
class Server:
    """A server on loopback that counts its connections and keeps the bytes that it receives."""

    port: int = 0
    connections: int = 0
    received: list[bytes] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while data := await reader.read(10_000):
            self.received.append(data)
            if data.endswith(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            elif data == b"ping":
                writer.write(b"pong")
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()


def fake_dns(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def look_up(_: str, port: int, *__: object, **___: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


async def get(url: str, *allow: str, **options: Any) -> bytes:
    """Send a request with nothing between it and the connector."""
    async with aiohttp.ClientSession(connector=CheckedConnector(allow)) as session, session.get(url, **options) as got:
        return await got.read()


def refusal_in(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, AddressRefusedError):
            return True
        error = getattr(error, "os_error", None) or error.__cause__
    return False


def misled_socket(server: Server) -> type[socket.socket]:
    """Return a kind of socket that ends at the server, wherever it is sent."""

    class Misled(socket.socket):
        def connect(self, _: Any) -> None:
            super().connect(("127.0.0.1", server.port))

    return Misled


@pytest.mark.parametrize("host", ["127.0.0.1", "①②⑦.⓪.⓪.①", "１２７。0。0。1", "[::ffff:127.0.0.1]", "localhost"])
async def test_connector_checks_numeric_hosts_although_they_skip_the_resolver(server: Server, host: str) -> None:
    with pytest.raises(aiohttp.ClientError) as refused:
        await get(f"http://{host}:{server.port}/")
    assert refusal_in(refused.value)
    assert server.connections == 0


async def test_connector_allows_a_name_under_that_name_only(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_dns(monkeypatch, "127.0.0.1")
    async with aiohttp.ClientSession(connector=CheckedConnector(("wiki.corp",))) as session:
        for _ in range(2):
            async with session.get(f"http://wiki.corp:{server.port}/") as got:
                assert await got.read() == b"ok"
        for other in ("127.0.0.1", "other.corp"):
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://{other}:{server.port}/")
    assert server.connections == 1


async def test_peer_is_checked_before_a_request_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that ends somewhere else than where it was sent, as behind a changed routing or a wrapped socket."""

    def open_socket(self: CheckedConnector, address: tuple[Any, ...]) -> socket.socket:
        return misled_socket(server)(address[0], address[1], address[2])

    fake_dns(monkeypatch, "93.184.216.34")
    monkeypatch.setattr(CheckedConnector, "_open_socket", open_socket)
    before = refused_requests["peer"]
    with pytest.raises((OSError, aiohttp.ClientError)) as refused:
        await get(f"http://public.example:{server.port}/")
    assert refusal_in(refused.value)
    await asyncio.sleep(0.05)
    assert (server.received, refused_requests["peer"] - before) == ([], 1)


async def test_connector_uses_no_proxy(server: Server) -> None:
    with pytest.raises((OSError, aiohttp.ClientError)):
        await get("http://93.184.216.34/", "127.0.0.1", proxy=f"http://127.0.0.1:{server.port}")
    assert server.connections == 0


async def test_refusals_are_counted_and_logged_in_one_line(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    before = refused_requests["address"]
    with caplog.at_level(logging.WARNING), pytest.raises(aiohttp.ClientError):
        await get(f"http://127.0.0.1:{server.port}/")
    assert refused_requests["address"] == before + 1
    (line,) = [record.getMessage() for record in caplog.records if "refused_requests" in record.name]
    assert "'127.0.0.1'" in line
    assert "\n" not in line


async def test_refused_urls_are_counted_and_logged_without_their_password(caplog: pytest.LogCaptureFixture) -> None:
    before = refused_requests["url"]
    urls = ("http://user:hunter2@example.org/", "http://user:hunter2@exa mple/", "crawl:http://:hunter2@a..b/")
    with caplog.at_level(logging.WARNING):
        for url in urls:
            with pytest.raises(SourceError) as refused:
                open_source(url, fetch_allow=(), max_bytes=1000, files=False)
            assert "hunter2" not in str(refused.value)
    assert refused_requests["url"] == before + 3
    assert len(caplog.records) == 3
    assert "hunter2" not in caplog.text


async def test_checked_connection_refuses_names_and_private_addresses(server: Server) -> None:
    for address in ("localhost", "127.0.0.1", "127.1", "::ffff:7f00:1"):
        with pytest.raises(AddressRefusedError):
            await connect_checked("x.example", server.port, [{"host": address}], ())  # type: ignore[typeddict-item]
    assert server.connections == 0
    opened = await connect_checked("x.example", server.port, [{"host": "127.0.0.1"}], ("x.example",))  # type: ignore[typeddict-item]
    opened.close()


async def test_checked_connection_checks_the_peer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("knowledge.sources.checked_connection.socket.socket", misled_socket(server))
    with pytest.raises(AddressRefusedError, match=r"127\.0\.0\.1"):
        await connect_checked("x.example", server.port, [{"host": "93.184.216.34"}], ())  # type: ignore[typeddict-item]
    assert server.received == []


async def ask(tunnel: GitTunnel, host: bytes, port: int, *, password: bytes = b"", kind: int = 3) -> bytes:
    """Ask the proxy for a connection, send a word through it, and return all that comes back."""
    right, _, place = tunnel.url.removeprefix("socks5h://parley:").partition("@")
    secret = password or right.encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(place.rpartition(":")[2]))
    writer.write(b"\x05\x01\x02\x01\x06parley" + bytes([len(secret)]) + secret)
    address = bytes([len(host)]) + host if kind == 3 else host
    writer.write(b"\x05\x01\x00" + bytes([kind]) + address + port.to_bytes(2) + b"ping")
    answer = b""
    while not answer.endswith(b"pong") and (data := await reader.read(1000)):
        answer += data
    writer.close()
    return answer


def tunnel_to(server: Server, address: str = "127.0.0.1", allow: tuple[str, ...] = ("git.example",)) -> GitTunnel:
    return GitTunnel("git.example", server.port, [{"host": address}], allow)  # type: ignore[typeddict-item]


async def test_proxy_reaches_the_repository_and_nothing_else(server: Server) -> None:
    async with tunnel_to(server) as tunnel:
        assert (await ask(tunnel, b"git.example", server.port)).endswith(b"pong")
        assert server.connections == 1
        for host, port, kind in (
            (b"127.0.0.1", server.port, 3),
            (bytes([127, 0, 0, 1]), server.port, 1),
            (socket.inet_pton(socket.AF_INET6, "::1"), server.port, 4),
            (b"localhost", server.port, 3),
            (b"other.example", server.port, 3),
            (b"git.example", server.port + 1, 3),
        ):
            assert (await ask(tunnel, host, port, kind=kind))[:6] == b"\x05\x02\x01\x00\x05\x02"
        assert "another host" in tunnel.refusal
    assert server.connections == 1


async def test_proxy_refuses_a_private_address_and_a_wrong_password(server: Server) -> None:
    async with tunnel_to(server, allow=()) as tunnel:
        assert (await ask(tunnel, b"git.example", server.port))[5:6] == b"\x02"
        assert "PARLEY_FETCH_ALLOW" in tunnel.refusal
    async with tunnel_to(server) as tunnel:
        assert await ask(tunnel, b"git.example", server.port, password=b"wrong") == b"\x05\x02\x01\x01"
    assert server.connections == 0


@pytest.mark.parametrize("hello", [b"\x04\x01", b"\x05\x01\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x05", b""])
async def test_proxy_hangs_up_on_anything_else(server: Server, hello: bytes) -> None:
    async with tunnel_to(server) as tunnel:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(tunnel.url.rpartition(":")[2]))
        writer.write(hello)
        writer.write_eof()
        assert await reader.read() in (b"", b"\x05\xff")
        writer.close()
    assert server.connections == 0
