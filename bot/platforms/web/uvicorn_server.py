"""Runs uvicorn inside an existing event loop, without signal handlers, and shuts it down cleanly on cancellation."""

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
from bot.platforms.web import user_messages

SHUTDOWN_TIMEOUT = 3
"""Seconds that open requests get to end."""
UNACKNOWLEDGED_MS = 60_000
"""Milliseconds after which a connection ends if the other side has not acknowledged what was sent, a heartbeat too."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes any free port. Raises ConfigError."""
    if not 0 <= port <= 65_535:
        raise ConfigError(user_messages.BAD_PORT.format(port=port))
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, proto)
    except OSError as error:
        raise ConfigError(user_messages.BAD_HOST.format(host=host, reason=error.strerror)) from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. Without it, a page that has lost its network counts as open for a quarter of an hour.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
        sock.bind(address)
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise ConfigError(_listen_error(error, host, port)) from None
    sock.setblocking(False)
    return sock


def _listen_error(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return user_messages.PORT_TAKEN.format(port=port)
    if error.errno == errno.EACCES:
        return user_messages.PORT_NOT_PERMITTED.format(port=port)
    return user_messages.CANNOT_LISTEN.format(host=host, port=port, reason=error.strerror)


def address(host: str, sock: socket.socket) -> str:
    """Return the URL of the socket for a browser. A socket on all interfaces gets its loopback address."""
    port = sock.getsockname()[1]
    try:
        number = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return f"http://{host}:{port}"
    if number.is_unspecified:
        return f"http://{'127.0.0.1' if number.version == 4 else '[::1]'}:{port}"
    return f"http://{number}:{port}" if number.version == 4 else f"http://[{number}]:{port}"


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the process and reports when it has started."""

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
    """Serve until cancelled. Calls ``on_stop`` before the shutdown, so that the event streams can end."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # uvicorn would believe X-Forwarded-For from 127.0.0.1. TrustedProxies decides whom to believe.
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
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
