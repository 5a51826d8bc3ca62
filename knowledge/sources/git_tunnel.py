"""A SOCKS5 proxy on loopback through which git reaches the server of one repository, and no other.

git resolves names and follows alternates, bundles and pack addresses by itself. Behind this proxy it reaches only the
checked addresses of the repository's host, whatever the server tells it to fetch. The proxy speaks the part of RFC 1928
and RFC 1929 that libcurl uses.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from collections.abc import Sequence
from contextlib import suppress

from aiohttp.abc import ResolveResult

from knowledge.sources.checked_connection import connect_checked
from knowledge.sources.checked_resolver import AddressRefusedError
from knowledge.sources.refused_requests import record_refusal

_USER = b"parley"
_HANDSHAKE_SECONDS = 10.0
_CONNECT_SECONDS = 30.0
_BLOCK_BYTES = 65_536
_VERSION, _PASSWORD_VERSION = 5, 1
_PASSWORD_METHOD, _NO_METHOD = 2, 0xFF
_CONNECT = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_SUCCEEDED, _NOT_ALLOWED, _UNREACHABLE = 0, 2, 4


class _HandshakeError(Exception):
    """The client does not speak the expected protocol, or has the wrong password."""


class GitTunnel:
    """Lets git connect to ``host`` and ``port`` at the checked ``addresses``. Use it as an async context manager."""

    def __init__(self, host: str, port: int, addresses: Sequence[ResolveResult], allow: Sequence[str]) -> None:
        self._host, self._port = host, port
        self._addresses = addresses
        self._allow = allow
        self._password = secrets.token_hex(16).encode()
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self.url = ""
        """The proxy's URL with its password, for git's ``http.proxy``."""
        self.refusal = ""
        """Why a connection was refused; empty if none was."""

    async def __aenter__(self) -> GitTunnel:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"socks5h://{_USER.decode()}:{self._password.decode()}@127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of git to its end."""
        try:
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                await self._authenticate(reader, writer)
                host, port = await _read_request(reader)
            upstream = await self._connect(host, port, writer)
            if upstream is not None:
                await _relay(reader, writer, *upstream)
        except (_HandshakeError, OSError, EOFError, TimeoutError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _authenticate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Ask for the password, so that no other user of this computer can use the proxy."""
        version, count = await reader.readexactly(2)
        if version != _VERSION or _PASSWORD_METHOD not in await reader.readexactly(count):
            writer.write(bytes((_VERSION, _NO_METHOD)))
            raise _HandshakeError
        writer.write(bytes((_VERSION, _PASSWORD_METHOD)))
        version, length = await reader.readexactly(2)
        user = await reader.readexactly(length)
        password = await reader.readexactly((await reader.readexactly(1))[0])
        accepted = secrets.compare_digest(user, _USER) and secrets.compare_digest(password, self._password)
        writer.write(bytes((_PASSWORD_VERSION, 0 if accepted else 1)))
        if version != _PASSWORD_VERSION or not accepted:
            raise _HandshakeError

    async def _connect(
        self, host: str, port: int, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Connect to the repository's server and tell git the outcome. Return None if it is not reached."""
        reply = _UNREACHABLE
        try:
            if (host, port) != (self._host, self._port):
                record_refusal("tunnel", host, f"{host}:{port}")
                raise AddressRefusedError(f"The repository refers to {host}, which is another host")
            async with asyncio.timeout(_CONNECT_SECONDS):
                connected = await connect_checked(host, port, self._addresses, self._allow)
            upstream = await asyncio.open_connection(sock=connected)
        except AddressRefusedError as error:
            self.refusal, reply = str(error), _NOT_ALLOWED
        except OSError:
            pass
        else:
            writer.write(_reply(_SUCCEEDED))
            return upstream
        writer.write(_reply(reply))
        await writer.drain()
        return None


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, int]:
    """Return the host and port that the client asks for."""
    version, command, _, kind = await reader.readexactly(4)
    if version != _VERSION or command != _CONNECT or kind not in (_IPV4, _NAME, _IPV6):
        raise _HandshakeError
    if kind == _NAME:
        raw = await reader.readexactly((await reader.readexactly(1))[0])
        host = raw.decode("ascii", "replace").lower()
    else:
        host = ipaddress.ip_address(await reader.readexactly(4 if kind == _IPV4 else 16)).compressed
    return host, int.from_bytes(await reader.readexactly(2))


def _reply(code: int) -> bytes:
    return bytes((_VERSION, code, 0, _IPV4)) + bytes(6)


async def _relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    upstream_reader: asyncio.StreamReader,
    upstream_writer: asyncio.StreamWriter,
) -> None:
    """Copy bytes in both directions until the server or git hangs up."""
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
