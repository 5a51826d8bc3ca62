"""Connects to checked addresses only: the address is checked as it is dialed, and the peer before a request is sent.

aiohttp skips the resolver for numeric hosts, so checking in the resolver alone is not enough.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextvars import ContextVar

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from knowledge.sources.checked_resolver import AddressRefusedError, CheckedResolver, check_address
from knowledge.sources.refused_requests import record_refusal

_dialed_host: ContextVar[str] = ContextVar("dialed_host")
"""The host of the request that a socket is opened for; PARLEY_FETCH_ALLOW can allow it by name."""


class CheckedConnector(aiohttp.TCPConnector):
    """Checks every address that a client session dials, whatever its URL looks like and wherever it came from."""

    def __init__(self, allow: Sequence[str]) -> None:
        super().__init__(resolver=CheckedResolver(allow), use_dns_cache=False, socket_factory=self._open_socket)
        self._allow = allow

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        """Return a connection, new or kept open, after checking its peer. Raises AddressRefusedError."""
        host = req.url.raw_host or ""
        if req.proxy is not None:
            record_refusal("proxy", host, str(req.proxy.host))
            raise AddressRefusedError(f"{host} is not fetched through a proxy, which would choose the address")
        token = _dialed_host.set(host)
        try:
            connection = await super().connect(req, traces, timeout)
        finally:
            _dialed_host.reset(token)
        try:
            peer = connection.transport.get_extra_info("peername") if connection.transport else None
            check_address(host, str(peer[0]) if peer else "", self._allow, reason="peer")
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """Open the socket for an address after checking it. aiohttp calls this right before it connects."""
        family, kind, protocol, _, endpoint = address
        check_address(_dialed_host.get(""), str(endpoint[0]), self._allow)
        return socket.socket(family, kind, protocol)


async def connect_checked(
    host: str, port: int, addresses: Sequence[ResolveResult], allow: Sequence[str]
) -> socket.socket:
    """Connect to the first of the addresses that answers. Raises AddressRefusedError, OSError."""
    loop = asyncio.get_running_loop()
    problem: OSError = OSError(f"{host} has no address")
    for each in addresses:
        check_address(host, each["host"], allow, reason="tunnel")
        opened = socket.socket(socket.AF_INET6 if ":" in each["host"] else socket.AF_INET, socket.SOCK_STREAM)
        try:
            opened.setblocking(False)
            await loop.sock_connect(opened, (each["host"], port))
            check_address(host, str(opened.getpeername()[0]), allow, reason="peer")
        except BaseException as error:
            opened.close()
            if not isinstance(error, OSError) or isinstance(error, AddressRefusedError):
                raise
            problem = error
        else:
            return opened
    raise problem
