"""Receives Slack requests over HTTP (HTTP mode). Refuses unsigned and old requests, and processes none twice."""

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

from bot.errors import ConfigError, Unreachable
from bot.platforms.slack.installation.manifest import EVENTS_PATH
from bot.platforms.slack.request_verification import RequestRefused, RequestVerifier
from knowledge import refusal_counts

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 1_000_000
SHUTDOWN_GRACE_SECONDS = 3


class HttpServer:
    """Serves the Bolt app over HTTP. Accepts only requests that Slack signed, except for ``pages``."""

    def __init__(
        self, app: AsyncApp, verifier: RequestVerifier, host: str, port: int, pages: Sequence[Route] = ()
    ) -> None:
        """Set up the server. ``pages`` are routes for browsers, whose requests are not signed."""
        self._verifier = verifier
        self._host, self._port = host, port
        self._pages = tuple(pages)
        self._handler = AsyncSlackRequestHandler(app)
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start listening. Raises ConfigError."""
        try:
            sock = socket.create_server((self._host, self._port), backlog=128)
        except OSError as error:
            raise ConfigError(
                f"Cannot listen for Slack requests on {self._host}:{self._port} ({error.strerror}). "
                "Change PARLEY_SLACK_HTTP_HOST or PARLEY_SLACK_HTTP_PORT."
            ) from None
        routes = [Route(EVENTS_PATH, self._receive, methods=["POST"]), Route("/health", _healthy), *self._pages]
        config = uvicorn.Config(
            Starlette(routes=routes),
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_GRACE_SECONDS,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve([sock]), name="slack over http")
        log.info("Slack: listening on http://%s:%d%s", self._host, self._port, EVENTS_PATH)

    async def ensure_running(self) -> None:
        """Raise the error that ended the server, or Unreachable if it ended without one."""
        if self._task is not None and self._task.done():
            self._task.result()
            raise Unreachable("The HTTP server for Slack requests has stopped.")

    async def close(self) -> None:
        """Let requests in progress finish, then stop listening."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await asyncio.gather(self._task, return_exceptions=True)

    async def _receive(self, request: Request) -> Response:
        too_large = int(request.headers.get("content-length") or 0) > MAX_REQUEST_BYTES
        if too_large or "transfer-encoding" in request.headers:
            return PlainTextResponse("too large", status_code=413)
        try:
            digest = self._verifier.verify(request.headers, await request.body())
        except RequestRefused as refusal:
            refusal_counts.count("signature")
            log.info("Slack: refused a request: %s", refusal)
            return PlainTextResponse(str(refusal), status_code=refusal.status)
        if not await self._verifier.is_first(digest):
            log.info("Slack: ignored a request that was received before")
            return PlainTextResponse("", status_code=200)
        return await self._process(request, digest)

    async def _process(self, request: Request, digest: str) -> Response:
        """Process the request, and let Slack send it again if that fails."""
        try:
            response = await self._handler.handle(request)
        except BaseException:
            await self._verifier.forget(digest)
            raise
        if response.status_code >= 500:
            await self._verifier.forget(digest)
        return response


class _Server(uvicorn.Server):
    """A server that leaves signal handling to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok")
