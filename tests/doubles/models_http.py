"""A minimal HTTP/1.1 server whose every byte a test controls: streams, torn packets, resets, silence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many"}


class ClientGoneError(Exception):
    """The client closed the connection before the response was complete."""


@dataclass(slots=True)
class Exchange:
    """One request, and methods to answer it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    keep_alive: bool = True
    _watch: asyncio.Task[bytes] | None = field(default=None)

    async def answer(
        self, status: int, body: bytes, content_type: str = "application/json", headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a complete response."""
        self._head(status, {"content-type": content_type, "content-length": str(len(body)), **(headers or {})})
        self.writer.write(body)
        await self._drain()

    async def answer_json(self, status: int, value: object, headers: Mapping[str, str] | None = None) -> None:
        await self.answer(status, json.dumps(value, ensure_ascii=False).encode(), headers=headers)

    async def begin_stream(self) -> None:
        """Send the headers of an event stream."""
        self._head(200, {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"})
        await self._drain()
        self._watch = asyncio.create_task(self.reader.read(1))

    async def send(self, data: bytes, *, shred: bool = False) -> None:
        """Send a piece of the stream; ``shred`` sends each byte in its own packet. Raises ClientGoneError."""
        for part in [data[at : at + 1] for at in range(len(data))] if shred else [data]:
            self._raise_if_gone()
            self.writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await self._drain()
            if shred:
                await asyncio.sleep(0)

    async def end_stream(self) -> None:
        """End the stream as HTTP requires."""
        await self._unwatch()
        self.writer.write(b"0\r\n\r\n")
        await self._drain()

    async def wait(self, seconds: float) -> None:
        """Wait. Raises ClientGoneError as soon as the client disconnects."""
        if self._watch is None:
            self._watch = asyncio.create_task(self.reader.read(1))
        done, _ = await asyncio.wait({self._watch}, timeout=seconds)
        if done:
            raise ClientGoneError

    def cut_off(self) -> None:
        """Close the connection without the end that HTTP requires."""
        self.keep_alive = False
        self.writer.close()

    def reset(self) -> None:
        """Reset the connection."""
        self.keep_alive = False
        raw: socket.socket | None = self.writer.get_extra_info("socket")
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def _raise_if_gone(self) -> None:
        if self.writer.is_closing() or (self._watch is not None and self._watch.done()):
            raise ClientGoneError

    async def _drain(self) -> None:
        try:
            await self.writer.drain()
        except ConnectionError:
            raise ClientGoneError from None

    async def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await self._watch
            self._watch = None

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}", *(f"{k}: {v}" for k, v in headers.items())]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def close(self) -> None:
        await self._unwatch()


class HttpServer:
    """Serves on a loopback port until it is stopped. It can be started again on the same port."""

    def __init__(self, handle: Callable[[Exchange], Awaitable[None]]) -> None:
        self._handle = handle
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0
        self.accepted = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, limit=2**24)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse new connections and drop the open ones."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._server = None

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while exchange := await _read(reader, writer):
                try:
                    await self._handle(exchange)
                finally:
                    await exchange.close()
                if not exchange.keep_alive:
                    break
        except (ClientGoneError, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange | None:
    try:
        first_byte = await reader.readexactly(1)
        if first_byte == b"\x16":  # TLS, which this server does not support
            return None
        head = (first_byte + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Exchange(method, target.partition("?")[0], headers, body, reader, writer)


def closed_port() -> int:
    """Return a loopback port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
