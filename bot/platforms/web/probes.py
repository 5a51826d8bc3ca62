"""The pages for monitoring: ``/healthz``, ``/readyz`` and ``/metrics``; and a server that has only these."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.commands.services import Services
from bot.config import Settings
from bot.platforms.web import user_messages, uvicorn_server
from bot.platforms.web.sign_in import sign_in_setup as sign_in
from bot.platforms.web.sign_in.sign_in_guard import SignInGuard
from bot.store.database.readiness import SchemaTooOld, require_ready
from bot.telemetry.prometheus_metrics import CONTENT_TYPE

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Probes:
    """Answers the probes. Reasons are for those who are signed in; others learn only whether the process is ready.

    ``require_store`` raises an exception if the database is not ready. ``unready`` returns the parts that do not work.
    """

    require_store: Callable[[], Awaitable[None]]
    unready: Callable[[], Mapping[str, str]]
    metrics: Callable[[], bytes]

    def routes(self) -> list[Route]:
        """Return the three routes."""
        return [
            Route("/healthz", self.health),
            Route("/readyz", self.ready),
            Route("/metrics", self.show_metrics),
        ]

    async def health(self, request: Request) -> Response:
        """Answer while the process runs."""
        return PlainTextResponse("ok")

    async def ready(self, request: Request) -> Response:
        """Answer 200 while the database is ready and every part works, otherwise 503 with the reasons."""
        reasons = await self._reasons()
        if not reasons:
            return PlainTextResponse("ok")
        known = request.scope["parley.identity"] is not None
        return PlainTextResponse("\n".join(reasons) if known else user_messages.NOT_READY_FOR_OUTSIDERS, 503)

    async def show_metrics(self, request: Request) -> Response:
        """Answer with the metrics in the text format of Prometheus."""
        return Response(self.metrics(), headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})

    async def _reasons(self) -> list[str]:
        try:
            await self.require_store()
        except SchemaTooOld as error:
            return [str(error)]
        except Exception:
            log.exception("readiness check failed")
            return [user_messages.NOT_READY]
        return [f"{part}: {reason}" for part, reason in self.unready().items()]


async def serve(services: Services, settings: Settings, *, port: int, ready: asyncio.Event) -> None:
    """Serve the probes of a process without a web part, until cancelled. Raises ConfigError if it cannot listen.

    On loopback there is no sign-in. Elsewhere, ``/metrics`` asks for PARLEY_WEB_TOKEN if it is set.
    """
    probes = Probes(lambda: require_ready(services.database), lambda: services.health.unready, services.metrics)
    host = settings.metrics_host
    sock = uvicorn_server.listen(host, port)
    local = sign_in.is_loopback(sock.getsockname()[0])
    access = sign_in.open_access() if local or not settings.web_token else sign_in.build_access(settings)
    app = Starlette(routes=probes.routes(), middleware=[Middleware(SignInGuard, access=access)])
    log.info("metrics and probes are at %s", uvicorn_server.address(host, sock))
    try:
        await uvicorn_server.serve(app, sock, on_started=ready.set, on_stop=lambda: None)
    finally:
        sock.close()
