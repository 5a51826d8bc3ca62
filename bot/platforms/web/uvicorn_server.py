"""uvicorn inside a running loop: it takes no signals, and a cancellation ends it cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from bot.errors import ConfigError

GRACE = 3
"""Seconds that open requests have to end."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigError."""
    if not 0 <= port <= 65_535:
        raise ConfigError(f"port {port} is no port; choose one up to 65535 with --port")
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, proto)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}: {error.strerror}; choose another with --host") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise ConfigError(_refusal(error, host, port)) from None
    sock.setblocking(False)
    return sock


def _refusal(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken; choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} needs rights this process does not have; choose one above 1023 with --port"
    return f"cannot listen on {host} port {port}: {error.strerror}; choose others with --host and --port"


def address(host: str, sock: socket.socket) -> str:
    """Where a browser finds the socket; one of all interfaces is named by its loopback address."""
    port = sock.getsockname()[1]
    try:
        number = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return f"http://{host}:{port}"
    if number.is_unspecified:
        return f"http://{'127.0.0.1' if number.version == 4 else '[::1]'}:{port}"
    return f"http://{number}:{port}" if number.version == 4 else f"http://[{number}]:{port}"


class _Server(uvicorn.Server):
    """Signals belong to the process, not to the page."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()


async def serve(
    app: ASGIApp, sock: socket.socket, *, on_started: Callable[[], None], on_stop: Callable[[], None]
) -> None:
    """Serve until cancelled. ``on_stop`` is called first then, so that endless responses can end."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    server = _Server(config, on_started)
    running = asyncio.create_task(server.serve([sock]))
    try:
        await asyncio.wait([running])
    finally:
        on_stop()
        server.should_exit = True
        try:
            await running
        except asyncio.CancelledError:
            running.cancel()
            raise
