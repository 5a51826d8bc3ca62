"""A SOCKS5 proxy on loopback: the part of RFC 1928 and RFC 1929 that libcurl and browsers use."""

from __future__ import annotations

import asyncio
import ipaddress
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Self

HANDSHAKE_SECONDS = 10.0
CONNECT_SECONDS = 30.0
VERSION = 5
NO_METHOD = 0xFF
SUCCEEDED, NOT_ALLOWED, UNREACHABLE = 0, 2, 4
_BLOCK_BYTES = 65_536
_CONNECT = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class HandshakeError(Exception):
    """The client does not speak the expected protocol, or has the wrong password."""


class SocksProxy(ABC):
    """Serves clients on ``port``. Use it as an async context manager."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    @abstractmethod
    async def authenticate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Agree on a method of authentication. Raises HandshakeError."""

    @abstractmethod
    async def connect(self, host: str, port: int, writer: asyncio.StreamWriter) -> Streams | None:
        """Connect to a server and tell the client the outcome. Return None if it is not reached."""

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a client to its end."""
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await self.authenticate(reader, writer)
                host, port = await _read_request(reader)
            upstream = await self.connect(host, port, writer)
            if upstream is not None:
                await _relay(reader, writer, *upstream)
        except (HandshakeError, OSError, EOFError, TimeoutError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, int]:
    """Return the host and port that the client asks for."""
    version, command, _, kind = await reader.readexactly(4)
    if version != VERSION or command != _CONNECT or kind not in (_IPV4, _NAME, _IPV6):
        raise HandshakeError
    if kind == _NAME:
        raw = await reader.readexactly((await reader.readexactly(1))[0])
        host = raw.decode("ascii", "replace").lower()
    else:
        host = ipaddress.ip_address(await reader.readexactly(4 if kind == _IPV4 else 16)).compressed
    return host, int.from_bytes(await reader.readexactly(2))


def reply(code: int) -> bytes:
    """Return the answer to a client's request to connect."""
    return bytes((VERSION, code, 0, _IPV4)) + bytes(6)


async def _relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    upstream_reader: asyncio.StreamReader,
    upstream_writer: asyncio.StreamWriter,
) -> None:
    """Copy bytes in both directions until one side hangs up."""
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_copy(reader, upstream_writer))
            both.create_task(_copy(upstream_reader, writer))
    except* OSError:
        pass
    finally:
        upstream_writer.close()
        with suppress(OSError):
            await upstream_writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_BLOCK_BYTES):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
