"""The page's routes: JSON in, JSON out, one stream of events."""

from __future__ import annotations

import json
import logging
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
from bot.platforms.web import user_messages
from bot.platforms.web.history import CHANNEL, THREAD_ID, message_views, thread_views
from bot.platforms.web.playground import Playground, person
from bot.platforms.web.request_guard import HEADERS, Guard
from bot.types.conversation import Attachment

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
THREADS = 100
PING = 15.0
"""Quiet seconds after which the event stream says that it is alive."""
_NEVER_STORED = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Page:
    """What the page is told at its start. ``upload_limit`` in bytes."""

    questions: tuple[str, ...]
    writes: bool
    upload_limit: int
    question_limit: int


class Api:
    """The handlers, over one playground."""

    def __init__(self, playground: Playground, page: Page) -> None:
        self.playground = playground
        self.page = page

    # --- reading

    async def index(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    async def state(self, request: Request) -> Response:
        commands = [
            {"name": command.name, "summary": command.summary, "usage": command.usage}
            for command in self.playground.commands.known
        ]
        return _json({"channel": CHANNEL, "commands": commands, **asdict(self.page)})

    async def threads(self, request: Request) -> Response:
        stored = await self.playground.history.threads(THREADS)
        views = thread_views(stored, self.playground.hub.threads())
        return _json({"threads": [asdict(view) for view in views], "event": self.playground.hub.event_id})

    async def thread(self, request: Request) -> Response:
        thread_id = _thread_id(request.path_params["thread_id"])
        stored = await self.playground.history.messages(thread_id)
        views = message_views(thread_id, stored, self.playground.hub.of_thread(thread_id))
        return _json({"messages": [asdict(view) for view in views], "event": self.playground.hub.event_id})

    async def events(self, request: Request) -> Response:
        last = request.headers.get("last-event-id") or request.query_params.get("last")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._stream(last), media_type="text/event-stream", headers=headers)

    async def _stream(self, last: str | None) -> AsyncIterator[str]:
        hub = self.playground.hub
        yield "retry: 1000\n\n"
        async for event in hub.follow(last, idle=PING):
            if event is None:
                yield ": still here\n\n"
            elif event == "snapshot":
                yield f"id: {hub.event_id}\nevent: snapshot\ndata: {{}}\n\n"
            else:
                yield f"id: {hub.epoch}-{event.seq}\nevent: {event.kind}\ndata: {json.dumps(event.data)}\n\n"

    async def file(self, request: Request) -> Response:
        file = self.playground.file(request.path_params["key"])
        if file is None:
            raise HTTPException(404, user_messages.GONE_FILE)
        kind = file.content_type if file.content_type in ("image/png", "image/jpeg") else "application/octet-stream"
        disposition = f"{'inline' if kind.startswith('image/') else 'attachment'}; filename*=UTF-8''{quote(file.name)}"
        return Response(file.data, media_type=kind, headers={**_NEVER_STORED, "Content-Disposition": disposition})

    # --- writing

    async def ask(self, request: Request) -> Response:
        body = await _body(request)
        turn = await self.playground.ask(
            thread_id=_thread_id(body.get("thread")),
            message_id=_text(body, "id") or secrets.token_hex(12),
            text=_text(body, "text"),
            author=person(_text(body, "name")),
            files=_keys(body.get("files", [])),
        )
        return _json({"turn": turn.id if turn else None}, 202)

    async def attach(self, request: Request) -> Response:
        """The body is a file to go with a question, its name stands in the query; the key to name it by."""
        data = await request.body()
        if not data:
            raise UsageError(user_messages.NO_FILE)
        kind = request.headers.get("content-type", "application/octet-stream")
        return _json({"file": self.playground.beside.keep(_file_name(request), kind, data)}, 201)

    async def command(self, request: Request) -> Response:
        body = await _body(request)
        reply = self.playground.command(
            _text(body, "command"),
            _text(body, "args"),
            thread_id=_thread_id(body.get("thread")),
            author=person(_text(body, "name")),
        )
        return _json({"message": reply}, 202)

    async def upload(self, request: Request) -> Response:
        """The body is the file; its name, the thread and further arguments stand in the query."""
        query = request.query_params
        thread_id = _thread_id(query.get("thread"))
        data = await request.body()
        if not data:
            raise UsageError(user_messages.NO_FILE)

        async def read() -> bytes:
            return data

        name = _file_name(request)
        kind = request.headers.get("content-type", "application/octet-stream")
        reply = self.playground.command(
            "ingest",
            query.get("args", ""),
            thread_id=thread_id,
            author=person(query.get("name", "")),
            attachments=(Attachment(name, kind, len(data), read),),
        )
        return _json({"message": reply}, 202)

    async def stop_reading(self, request: Request) -> Response:
        """The button under a command that is reading documents."""
        body = await _body(request)
        thread_id, author = _thread_id(body.get("thread")), person(_text(body, "name"))
        await self.playground.stop_reading(_text(body, "reading"), thread_id=thread_id, author=author)
        return _json({})

    async def act(self, request: Request) -> Response:
        """A button under an answer."""
        body = await _body(request)
        turn_id, action = request.path_params["turn_id"], request.path_params["action"]
        author = person(_text(body, "name"))
        room = self.playground
        match action:
            case "stop":
                await room.stop(turn_id, author)
            case "again":
                return _json({"turn": (await room.repeat(turn_id, author, None)).id}, 202)
            case "strong":
                return _json({"turn": (await room.repeat(turn_id, author, "strong")).id}, 202)
            case "change":
                await room.change(turn_id, author, _text(body, "text"))
            case "forget":
                await room.forget(turn_id, author)
            case "up" | "down":
                await room.rate(turn_id, author, 1 if action == "up" else -1, _text(body, "reason"))
            case "why" | "sources":
                view = await room.told(action, turn_id, thread_id=_thread_id(body.get("thread")), author=author)
                return _json({"message": asdict(view)})
            case _:
                raise UsageError(user_messages.NO_SUCH_ACTION)
        return _json({})

    # --- probes

    async def health(self, request: Request) -> Response:
        return PlainTextResponse("ok")

    async def ready(self, request: Request) -> Response:
        try:
            await self.playground.history.ready()
        except Exception:
            log.exception("not ready")
            return PlainTextResponse(user_messages.NOT_READY, 503)
        return PlainTextResponse("ok")


def build(playground: Playground, page: Page, *, hosts: tuple[str, ...]) -> Starlette:
    """The ASGI application."""
    api = Api(playground, page)
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
        Route("/api/readings/stop", api.stop_reading, methods=["POST"]),
        Route("/api/turns/{turn_id}/{action}", api.act, methods=["POST"]),
        Route("/healthz", api.health),
        Route("/readyz", api.ready),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    body_limit = max(262_144, 8 * page.question_limit)
    guard = Middleware(Guard, hosts=hosts, body_limit=body_limit, upload_limit=page.upload_limit)
    handlers: dict[Any, Any] = {ParleyError: _refused, HTTPException: _http_error, Exception: _broken}
    return Starlette(routes=routes, middleware=[guard], exception_handlers=handlers)


# --- requests and answers


def _json(value: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(value, status, headers=_NEVER_STORED)


async def _body(request: Request) -> dict[str, Any]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise HTTPException(415, user_messages.NOT_JSON)
    try:
        value = json.loads(await request.body())
    except (ValueError, ClientDisconnect):
        raise UsageError(user_messages.NOT_JSON) from None
    if not isinstance(value, dict):
        raise UsageError(user_messages.NOT_JSON)
    return value


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise UsageError(user_messages.NOT_JSON)
    return value.replace("\x00", "")


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


async def _refused(request: Request, error: ParleyError) -> Response:
    return _json({"error": str(error)}, _status(error))


async def _http_error(request: Request, error: HTTPException) -> Response:
    return _json({"error": error.detail or HTTPStatus(error.status_code).phrase}, error.status_code)


async def _broken(request: Request, error: Exception) -> Response:
    trace = secrets.token_hex(4)
    log.error("request failed, trace %s", trace, exc_info=error)
    return JSONResponse({"error": user_messages.TRACE.format(trace=trace)}, 500, headers=HEADERS)
