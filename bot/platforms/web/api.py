"""Defines the playground's HTTP routes: JSON requests, the event stream, and the page's static files."""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bot.errors import NotAllowed, OverBudget, ParleyError, UsageError
from bot.health import SAMPLE
from bot.platforms import json_input
from bot.platforms.web import user_messages
from bot.platforms.web.history import CHANNEL, THREAD_ID, message_views, thread_views
from bot.platforms.web.playground import Playground
from bot.platforms.web.request_guard import SECURITY_HEADERS, RequestGuard
from bot.platforms.web.sign_in.access import Access
from bot.platforms.web.sign_in.identity import Identity
from bot.platforms.web.sign_in.routes import SignInRoutes
from bot.platforms.web.sign_in.sign_in_guard import SignInGuard
from bot.types.conversation import Attachment, Author
from knowledge.storable_text import storable

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
MAX_THREADS = 100
HEARTBEAT_SECONDS = 15.0
"""Seconds without an event after which the stream sends a comment, so that proxies keep the connection open."""
_NO_STORE = {"Cache-Control": "no-store"}
_REVALIDATE = {"Cache-Control": "no-cache"}
"""Browsers check the ETag of each file before they use a cached copy. Modules of two releases must never be mixed."""


@dataclass(frozen=True, slots=True)
class PageConfig:
    """The configuration that the page loads when it starts.

    ``writes`` is False if answers are quoted because no model is configured. ``upload_limit`` is in bytes,
    ``question_limit`` in characters.
    """

    questions: tuple[str, ...]
    writes: bool
    upload_limit: int
    question_limit: int


class Api:
    """The request handlers of one playground."""

    def __init__(self, playground: Playground, config: PageConfig, access: Access) -> None:
        self.playground = playground
        self.config = config
        self.access = access

    # --- reading

    async def index(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers=_REVALIDATE)

    async def state(self, request: Request) -> Response:
        commands = [
            {"name": command.name, "summary": command.summary, "usage": command.usage}
            for command in self.playground.commands.available
        ]
        identity = _identity(request)
        user = {"name": identity.name, "sign_out": identity.method in ("token", "oidc")}
        adding = SAMPLE in self.playground.unready()
        about = {"channel": CHANNEL, "commands": commands, "user": user, "adding_sample": adding}
        return _json({**about, **asdict(self.config)})

    async def threads(self, request: Request) -> Response:
        await self.playground.poller.poll()
        stored = await self.playground.history.threads(MAX_THREADS)
        views = thread_views(stored, self.playground.hub.threads(_identity(request).id))
        return _json({"threads": [asdict(view) for view in views], "event": self.playground.hub.event_id})

    async def thread(self, request: Request) -> Response:
        thread_id = _thread_id(request.path_params["thread_id"])
        await self.playground.poller.poll()
        stored = await self.playground.history.messages(thread_id)
        live = self.playground.hub.messages_of_thread(thread_id, _identity(request).id)
        views = message_views(thread_id, stored, live)
        return _json({"messages": [asdict(view) for view in views], "event": self.playground.hub.event_id})

    async def events(self, request: Request) -> Response:
        last = request.headers.get("last-event-id") or request.query_params.get("last")
        headers = {**_NO_STORE, "X-Accel-Buffering": "no"}
        stream = self._stream(last, _identity(request))
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    async def _stream(self, last: str | None, identity: Identity) -> AsyncIterator[str]:
        """Yield events until the session expires. The page then connects again, which needs a valid session."""
        hub = self.playground.hub
        yield "retry: 1000\n\n"
        async for event in hub.follow(last, idle=HEARTBEAT_SECONDS, viewer=identity.id):
            if self.access.clock() >= identity.expires_at:
                return
            if event is None:
                yield ": heartbeat\n\n"
            elif event == "snapshot":
                yield f"id: {hub.event_id}\nevent: snapshot\ndata: {{}}\n\n"
            else:
                yield f"id: {hub.epoch}-{event.seq}\nevent: {event.kind}\ndata: {json.dumps(event.data)}\n\n"

    async def file(self, request: Request) -> Response:
        file = await self.playground.files.reply(request.path_params["key"])
        if file is None:
            raise HTTPException(404, user_messages.COMMAND_FILE_EXPIRED)
        kind = file.content_type if file.content_type in ("image/png", "image/jpeg") else "application/octet-stream"
        disposition = f"{'inline' if kind.startswith('image/') else 'attachment'}; filename*=UTF-8''{quote(file.name)}"
        return Response(file.data, media_type=kind, headers={**_NO_STORE, "Content-Disposition": disposition})

    # --- writing

    async def ask(self, request: Request) -> Response:
        body = await _body(request)
        turn = await self.playground.ask(
            thread_id=_thread_id(body.get("thread")),
            message_id=_text(body, "id") or secrets.token_hex(12),
            text=_text(body, "text"),
            author=_author(request, _text(body, "name")),
            files=_keys(body.get("files", [])),
        )
        return _json({"turn": turn.id if turn else None}, 202)

    async def attach(self, request: Request) -> Response:
        """Store a file to attach to a question and return its key. The body is the file; the query has its name."""
        data = await request.body()
        if not data:
            raise UsageError(user_messages.NO_FILE)
        kind = request.headers.get("content-type", "application/octet-stream")
        author = _author(request, "")
        return _json({"file": await self.playground.files.attach(_file_name(request), kind, data, author.id)}, 201)

    async def command(self, request: Request) -> Response:
        body = await _body(request)
        reply = await self.playground.start_command(
            _text(body, "command"),
            _text(body, "args"),
            thread_id=_thread_id(body.get("thread")),
            author=_author(request, _text(body, "name")),
        )
        return _json({"message": reply}, 202)

    async def upload(self, request: Request) -> Response:
        """Ingest a file. The body is the file; the query has its name, the conversation and more arguments."""
        query = request.query_params
        thread_id = _thread_id(query.get("thread"))
        data = await request.body()
        if not data:
            raise UsageError(user_messages.NO_FILE)

        async def read() -> bytes:
            return data

        name = _file_name(request)
        kind = request.headers.get("content-type", "application/octet-stream")
        reply = await self.playground.start_command(
            "ingest",
            query.get("args", ""),
            thread_id=thread_id,
            author=_author(request, query.get("name", "")),
            attachments=(Attachment(name, kind, len(data), read),),
        )
        return _json({"message": reply}, 202)

    async def stop_ingestion(self, request: Request) -> Response:
        """Stop a command that ingests documents."""
        body = await _body(request)
        thread_id, author = _thread_id(body.get("thread")), _author(request, _text(body, "name"))
        await self.playground.stop_ingestion(_text(body, "reading"), thread_id=thread_id, author=author)
        return _json({})

    async def turn_action(self, request: Request) -> Response:
        """Handle a button of a question or an answer."""
        body = await _body(request)
        turn_id, action = request.path_params["turn_id"], request.path_params["action"]
        author = _author(request, _text(body, "name"))
        playground = self.playground
        match action:
            case "stop":
                await playground.stop(turn_id, author)
            case "again":
                return _json({"turn": (await playground.ask_again(turn_id, author, None)).id}, 202)
            case "strong":
                return _json({"turn": (await playground.ask_again(turn_id, author, "strong")).id}, 202)
            case "change":
                await playground.edit(turn_id, author, _text(body, "text"))
            case "forget":
                await playground.delete(turn_id, author)
            case "up" | "down":
                await playground.rate(turn_id, author, 1 if action == "up" else -1, _text(body, "reason"))
            case "why" | "sources":
                view = await playground.command_panel(
                    action, turn_id, thread_id=_thread_id(body.get("thread")), author=author
                )
                return _json({"message": asdict(view)})
            case _:
                raise UsageError(user_messages.NO_SUCH_ACTION)
        return _json({})

    # --- probes

    async def health(self, request: Request) -> Response:
        return PlainTextResponse("ok")

    async def ready(self, request: Request) -> Response:
        known = request.scope["parley.identity"] is not None
        try:
            await self.playground.history.ready()
        except Exception:
            log.exception("readiness check failed")
            return PlainTextResponse(user_messages.NOT_READY if known else user_messages.NOT_READY_FOR_OUTSIDERS, 503)
        if unready := self.playground.unready():
            lines = "\n".join(f"{part}: {reason}" for part, reason in unready.items())
            return PlainTextResponse(lines if known else user_messages.NOT_READY_FOR_OUTSIDERS, 503)
        return PlainTextResponse("ok")


class _PageFiles(StaticFiles):
    """The page's static files, with the content type of modules and the cache policy set.

    The content type must not depend on the machine's table of MIME types: browsers refuse a module with another type.
    """

    def file_response(self, full_path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(full_path, *args, **kwargs)
        response.headers.update(_REVALIDATE)
        if str(full_path).endswith(".js"):
            response.headers["Content-Type"] = "text/javascript; charset=utf-8"
        return response


def build_app(playground: Playground, config: PageConfig, access: Access, *, hosts: tuple[str, ...]) -> Starlette:
    """Return the ASGI application. ``hosts`` are the host names that requests may use without a sign-in."""
    api = Api(playground, config, access)
    routes = [
        Route("/", api.index),
        Route("/api/state", api.state),
        Route("/api/threads", api.threads),
        Route("/api/threads/{thread_id}", api.thread),
        Route("/api/events", api.events),
        Route("/api/files/{key}", api.file),
        Route("/api/ask", api.ask, methods=["POST"]),
        Route("/api/command", api.command, methods=["POST"]),
        Route("/api/upload", api.upload, methods=["POST"]),
        Route("/api/attach", api.attach, methods=["POST"]),
        Route("/api/readings/stop", api.stop_ingestion, methods=["POST"]),
        Route("/api/turns/{turn_id}/{action}", api.turn_action, methods=["POST"]),
        Route("/healthz", api.health),
        Route("/readyz", api.ready),
        Mount("/static", _PageFiles(directory=STATIC)),
        *SignInRoutes(access).routes(),
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
    handlers: dict[Any, Any] = {ParleyError: _parley_error, HTTPException: _http_error, Exception: _unexpected_error}
    sign_in = Middleware(SignInGuard, access=access)
    app = Starlette(routes=routes, middleware=[guard, sign_in], exception_handlers=handlers)
    # Such a redirect would name the host of the Host header, which a proxy may have rewritten.
    app.router.redirect_slashes = False
    return app


# --- requests and responses


def _json(value: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(value, status, headers=_NO_STORE)


def _identity(request: Request) -> Identity:
    """Return who sent a request to a path that needs a sign-in."""
    identity = request.scope["parley.identity"]
    assert isinstance(identity, Identity)
    return identity


def _author(request: Request, chosen_name: str) -> Author:
    """Return the author of a request. The chosen name is a label, and counts only if the sign-in gives no name."""
    return _identity(request).author(chosen_name)


async def _body(request: Request) -> dict[str, Any]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise HTTPException(415, user_messages.NOT_JSON)
    try:
        value = json_input.parse(await request.body())
    except (ValueError, ClientDisconnect):
        raise UsageError(user_messages.NOT_JSON) from None
    if not isinstance(value, dict):
        raise UsageError(user_messages.NOT_JSON)
    return value


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise UsageError(user_messages.NOT_JSON)
    return storable(value)


def _keys(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(key, str) for key in value):
        raise UsageError(user_messages.NOT_JSON)
    return tuple(value)


def _file_name(request: Request) -> str:
    return Path(request.query_params.get("file", "").replace("\\", "/")).name[:200] or "file"


def _thread_id(value: object) -> str:
    if not isinstance(value, str) or not THREAD_ID.fullmatch(value):
        raise UsageError(user_messages.BAD_THREAD)
    return value


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
    return _json({"error": str(error)}, _status(error))


async def _http_error(request: Request, error: HTTPException) -> Response:
    return _json({"error": error.detail or HTTPStatus(error.status_code).phrase}, error.status_code)


async def _unexpected_error(request: Request, error: Exception) -> Response:
    trace = secrets.token_hex(4)
    log.error("request failed, trace ID %s", trace, exc_info=error)
    return JSONResponse({"error": user_messages.UNEXPECTED_ERROR.format(trace=trace)}, 500, headers=SECURITY_HEADERS)
