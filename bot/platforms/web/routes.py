"""Builds the web application: its routes, its static files, what guards them, and its error responses."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from bot.errors import NotAllowed, OverBudget, ParleyError, UsageError
from bot.platforms.web import user_messages
from bot.platforms.web.api import REVALIDATE, STATIC, Api, PageConfig
from bot.platforms.web.http_messages import json_response
from bot.platforms.web.playground import Playground
from bot.platforms.web.probes import Probes
from bot.platforms.web.request_guard import SECURITY_HEADERS, RequestGuard
from bot.platforms.web.sign_in.routes import SignInRoutes
from bot.platforms.web.sign_in.sign_in_guard import SignInGuard
from bot.platforms.web.sign_in.sign_in_setup import Access
from knowledge.errors import KnowledgeError

log = logging.getLogger(__name__)


def build_app(
    playground: Playground,
    config: PageConfig,
    access: Access,
    *,
    hosts: tuple[str, ...],
    admin: Sequence[BaseRoute] = (),
) -> Starlette:
    """Return the ASGI application. ``hosts`` are the host names that requests may use without a sign-in.

    ``admin`` are the routes of the admin page.
    """
    api = Api(playground, config, access)
    routes = [
        Route("/", api.index),
        Route("/api/state", api.state),
        Route("/api/welcome", api.welcome),
        Route("/api/threads", api.threads),
        Route("/api/threads/{thread_id}", api.thread),
        Route("/api/threads/{thread_id}/export", api.export),
        Route("/api/threads/{thread_id}/{action}", api.thread_action, methods=["POST"]),
        Route("/api/events", api.events),
        Route("/api/files/{key}", api.file),
        Route("/api/documents/{document_id}", api.document, methods=["POST"]),
        Route("/api/documents/{document_id}/pages", api.document_pages, methods=["POST"]),
        Route("/api/documents/{document_id}/pages/{page}", api.document_page),
        Route("/api/ask", api.ask, methods=["POST"]),
        Route("/api/command", api.command, methods=["POST"]),
        Route("/api/upload", api.upload, methods=["POST"]),
        Route("/api/attach", api.attach, methods=["POST"]),
        Route("/api/readings/stop", api.stop_ingestion, methods=["POST"]),
        Route("/api/turns/{turn_id}/{action}", api.turn_action, methods=["POST"]),
        *Probes(playground.history.ready, playground.unready, playground.metrics).routes(),
        Mount("/static", _StaticFiles(directory=STATIC)),
        *SignInRoutes(access).routes(),
        *admin,
    ]
    body_limit = max(262_144, 8 * config.question_limit)
    guard = Middleware(
        RequestGuard,
        hosts=hosts,
        body_limit=body_limit,
        upload_limit=config.upload_limit,
        url=access.url,
        has_sign_in=not access.is_open,
    )
    handlers: dict[Any, Any] = {
        ParleyError: _parley_error,
        KnowledgeError: _knowledge_error,
        HTTPException: _http_error,
        Exception: _unexpected_error,
    }
    sign_in = Middleware(SignInGuard, access=access)
    app = Starlette(routes=routes, middleware=[guard, sign_in], exception_handlers=handlers)
    # Such a redirect would name the host of the Host header, which a proxy may have rewritten.
    app.router.redirect_slashes = False
    return app


_CONTENT_TYPES = {".js": "text/javascript; charset=utf-8", ".webmanifest": "application/manifest+json"}


class _StaticFiles(StaticFiles):
    """The page's static files, with the content type of modules and the cache policy set.

    The content type must not depend on the machine's table of MIME types: browsers refuse a module with another type.
    """

    def file_response(self, full_path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(full_path, *args, **kwargs)
        response.headers.update(REVALIDATE)
        if content_type := _CONTENT_TYPES.get(Path(full_path).suffix):
            response.headers["Content-Type"] = content_type
        return response


# --- errors


def _status(error: ParleyError) -> int:
    match error:
        case OverBudget():
            return 429
        case NotAllowed():
            return 403
        case UsageError():
            return 400
        case _:
            return 503


async def _parley_error(request: Request, error: ParleyError) -> Response:
    return json_response({"error": str(error)}, _status(error))


async def _knowledge_error(request: Request, error: KnowledgeError) -> Response:
    return json_response({"error": str(error)}, 503)


async def _http_error(request: Request, error: HTTPException) -> Response:
    return json_response({"error": error.detail or HTTPStatus(error.status_code).phrase}, error.status_code)


async def _unexpected_error(request: Request, error: Exception) -> Response:
    trace = secrets.token_hex(4)
    log.error("request failed, trace ID %s", trace, exc_info=error)
    return JSONResponse({"error": user_messages.UNEXPECTED_ERROR.format(trace=trace)}, 500, headers=SECURITY_HEADERS)
