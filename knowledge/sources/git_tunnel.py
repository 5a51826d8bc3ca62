"""A SOCKS5 proxy on loopback through which git reaches the server of one repository, and no other.

git resolves names and follows alternates, bundles and pack addresses by itself. Behind this proxy it reaches only the
checked addresses of the repository's host, whatever the server tells it to fetch. The proxy speaks the part of RFC 1928
and RFC 1929 that libcurl uses.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Self

from aiohttp.abc import ResolveResult

from knowledge.sources.checked_connection import connect_checked
from knowledge.sources.checked_resolver import AddressRefusedError
from knowledge.sources.refused_requests import record_refusal
from knowledge.sources.socks_proxy import (
    CONNECT_SECONDS,
    NO_METHOD,
    NOT_ALLOWED,
    SUCCEEDED,
    UNREACHABLE,
    VERSION,
    HandshakeError,
    SocksProxy,
    Streams,
    reply,
)

_USER = b"parley"
_PASSWORD_VERSION = 1
_PASSWORD_METHOD = 2


class GitTunnel(SocksProxy):
    """Lets git connect to ``host`` and ``port`` at the checked ``addresses``. Use it as an async context manager."""

    def __init__(self, host: str, port: int, addresses: Sequence[ResolveResult], allow: Sequence[str]) -> None:
        super().__init__()
        self._host, self._port = host, port
        self._addresses = addresses
        self._allow = allow
        self._password = secrets.token_hex(16).encode()
        self.url = ""
        """The proxy's URL with its password, for git's ``http.proxy``."""
        self.refusal = ""
        """Why a connection was refused; empty if none was."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.url = f"socks5h://{_USER.decode()}:{self._password.decode()}@127.0.0.1:{self.port}"
        return self

    async def authenticate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Ask for the password, so that no other user of this computer can use the proxy."""
        version, count = await reader.readexactly(2)
        if version != VERSION or _PASSWORD_METHOD not in await reader.readexactly(count):
            writer.write(bytes((VERSION, NO_METHOD)))
            raise HandshakeError
        writer.write(bytes((VERSION, _PASSWORD_METHOD)))
        version, length = await reader.readexactly(2)
        user = await reader.readexactly(length)
        password = await reader.readexactly((await reader.readexactly(1))[0])
        accepted = secrets.compare_digest(user, _USER) and secrets.compare_digest(password, self._password)
        writer.write(bytes((_PASSWORD_VERSION, 0 if accepted else 1)))
        if version != _PASSWORD_VERSION or not accepted:
            raise HandshakeError

    async def connect(self, host: str, port: int, writer: asyncio.StreamWriter) -> Streams | None:
        """Connect to the repository's server and tell git the outcome. Return None if it is not reached."""
        outcome = UNREACHABLE
        try:
            if (host, port) != (self._host, self._port):
                record_refusal("tunnel", host, f"{host}:{port}")
                raise AddressRefusedError(f"The repository refers to {host}, which is another host")
            async with asyncio.timeout(CONNECT_SECONDS):
                connected = await connect_checked(host, port, self._addresses, self._allow)
            upstream = await asyncio.open_connection(sock=connected)
        except AddressRefusedError as error:
            self.refusal, outcome = str(error), NOT_ALLOWED
        except OSError:
            pass
        else:
            writer.write(reply(SUCCEEDED))
            return upstream
        writer.write(reply(outcome))
        await writer.drain()
        return None
