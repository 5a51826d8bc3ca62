"""HTTP mode: Slack delivers to a public address, each request signed; one that is older than five minutes is refused.

A request that is played again within the five minutes is a duplicate to the inbox, as a redelivery of Slack's is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.app.async_app import AsyncApp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.errors import ConfigError
from bot.platforms.slack.manifest import PATH

log = logging.getLogger(__name__)

MOST_BYTES = 1_000_000
GRACE = 3


class Door:
    """Serves the Bolt app over HTTP while it is open. Only what Slack signed gets in."""

    def __init__(self, app: AsyncApp, host: str, port: int, pages: Sequence[Route] = ()) -> None:
        """``pages`` are for browsers: nobody signs for those."""
        self._host, self._port = host, port
        self._pages = tuple(pages)
        self._handler = AsyncSlackRequestHandler(app)
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Listen. Raises ConfigError."""
        try:
            sock = socket.create_server((self._host, self._port), backlog=128)
        except OSError as error:
            raise ConfigError(
                f"Slack's requests cannot be heard on {self._host}:{self._port} ({error.strerror}); "
                "change PARLEY_SLACK_HTTP_HOST or PARLEY_SLACK_HTTP_PORT."
            ) from None
        routes = [Route(PATH, self._take, methods=["POST"]), Route("/health", _healthy), *self._pages]
        config = uvicorn.Config(
            Starlette(routes=routes),
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve([sock]), name="slack over http")
        log.info("Slack: listening on http://%s:%d%s", self._host, self._port, PATH)

    async def heal(self) -> None:
        """Raise what ended the server, if anything did."""
        if self._task is not None and self._task.done():
            self._task.result()
            raise ConfigError("Slack's requests are no longer heard; start again.")

    async def close(self) -> None:
        """Let requests that are being taken in finish, then stop listening."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await asyncio.gather(self._task, return_exceptions=True)

    async def _take(self, request: Request) -> Response:
        if int(request.headers.get("content-length") or 0) > MOST_BYTES or "transfer-encoding" in request.headers:
            return PlainTextResponse("too large", status_code=413)
        return await self._handler.handle(request)


class _Server(uvicorn.Server):
    """Signals belong to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok")
