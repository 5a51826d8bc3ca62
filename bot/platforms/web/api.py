"""Handles the playground's HTTP requests: JSON requests, the event stream and files."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from bot.errors import UsageError
from bot.platforms.web import user_messages
from bot.platforms.web.history import CHANNEL, live_on_page, message_views, thread_views
from bot.platforms.web.http_messages import (
    NO_STORE,
    author_of,
    identity_of,
    json_body,
    json_response,
    keys_in,
    offset_in,
    query_text,
    text_in,
    thread_id_from,
    uploaded_file,
)
from bot.platforms.web.playground import Playground
from bot.platforms.web.sign_in.identity import Identity
from bot.platforms.web.sign_in.sign_in_setup import Access
from bot.types.conversation import Attachment
from knowledge.whole_numbers import whole_number

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
MAX_THREADS = 100
HEARTBEAT_SECONDS = 15.0
"""Seconds without an event after which the stream sends a heartbeat. A page that misses several connects again."""
REVALIDATE = {"Cache-Control": "no-cache"}
"""Browsers check the ETag of each file before they use a cached copy. Modules of two releases must never be mixed."""


@dataclass(frozen=True, slots=True)
class PageConfig:
    """The configuration that the page loads when it starts.

    ``writes`` is False if answers are quoted because no model is configured. ``upload_limit`` is in bytes,
    ``question_limit`` in characters.
    """

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
        return FileResponse(STATIC / "index.html", headers=REVALIDATE)

    async def state(self, request: Request) -> Response:
        commands = [
            {"name": command.name, "summary": command.summary, "usage": command.usage}
            for command in self.playground.commands.available
        ]
        identity = identity_of(request)
        user = {"name": identity.name, "admin": identity.is_admin, "sign_out": identity.method in ("token", "oidc")}
        about = {"channel": CHANNEL, "commands": commands, "user": user}
        return json_response({**about, **asdict(self.config), "heartbeat_seconds": HEARTBEAT_SECONDS})

    async def welcome(self, request: Request) -> Response:
        """Return what an empty page offers."""
        return json_response(asdict(await self.playground.welcome.read(admin=identity_of(request).is_admin)))

    async def threads(self, request: Request) -> Response:
        await self.playground.poller.poll()
        search = query_text(request, "search").strip()
        stored = await self.playground.history.listed(MAX_THREADS, search)
        views = thread_views(stored, [] if search else self.playground.hub.threads(identity_of(request).id))
        return json_response({"threads": [asdict(view) for view in views], "event": self.playground.hub.event_id})

    async def thread(self, request: Request) -> Response:
        thread_id = thread_id_from(request.path_params["thread_id"])
        await self.playground.poller.poll()
        history, hub = self.playground.history, self.playground.hub
        page = await history.page(thread_id, request.query_params.get("before"))
        live = live_on_page(page, hub.messages_of_thread(thread_id, identity_of(request).id))
        event = hub.event_id  # What happens from here on is not in the messages, so the page must apply it.
        views = message_views(thread_id, page.rows, live, strong_model=history.strong_model)
        ratings = await history.ratings(page.turn_ids, author_of(request, "").id)
        messages = [asdict(view) for view in views]
        links = asdict(await self.playground.branches.links(thread_id))
        return json_response(
            {"messages": messages, "earlier": page.earlier, "ratings": dict(ratings), "event": event, **links}
        )

    async def export(self, request: Request) -> Response:
        """Return a conversation as a Markdown file."""
        title, text = await self.playground.conversations.export(thread_id_from(request.path_params["thread_id"]))
        disposition = f"attachment; filename*=UTF-8''{quote(title, safe='')}.md"
        headers = {**NO_STORE, "Content-Disposition": disposition}
        return Response(text, media_type="text/markdown; charset=utf-8", headers=headers)

    async def events(self, request: Request) -> Response:
        last = request.headers.get("last-event-id") or request.query_params.get("last")
        headers = {**NO_STORE, "X-Accel-Buffering": "no"}
        stream = self._stream(last, identity_of(request))
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    async def _stream(self, last: str | None, identity: Identity) -> AsyncIterator[str]:
        """Yield events until the session expires. The page then connects again, which needs a valid session."""
        hub = self.playground.hub
        yield "retry: 1000\n\n"
        async for event in hub.follow(last, idle=HEARTBEAT_SECONDS, viewer=identity.id):
            if self.access.clock() >= identity.expires_at:
                return
            if event is None:
                yield "event: heartbeat\ndata: {}\n\n"
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
        return Response(file.data, media_type=kind, headers={**NO_STORE, "Content-Disposition": disposition})

    async def document(self, request: Request) -> Response:
        """Return a part of a document. It is posted because the quote may be too long for an address."""
        body = await json_body(request)
        view = await self.playground.documents.view(
            request.path_params["document_id"],
            author_of(request, ""),
            quote=text_in(body, "quote"),
            start=offset_in(body, "start") or 0,
            at=offset_in(body, "at"),
        )
        return json_response(asdict(view))

    async def document_pages(self, request: Request) -> Response:
        """Return the layouts of some pages of a document, with the places of a quote."""
        body = await json_body(request)
        view = await self.playground.pages.layouts(
            request.path_params["document_id"],
            author_of(request, ""),
            quote=text_in(body, "quote"),
            start=offset_in(body, "start") or 0,
            first=offset_in(body, "first"),
        )
        return json_response(asdict(view))

    async def document_page(self, request: Request) -> Response:
        """Return a page of a document as a picture."""
        document_id, page = request.path_params["document_id"], whole_number(request.path_params["page"])
        if page is None:
            raise UsageError(user_messages.NO_PAGES)
        picture = await self.playground.pages.picture(document_id, author_of(request, ""), page)
        return Response(picture, media_type="image/png", headers=NO_STORE)

    # --- writing

    async def ask(self, request: Request) -> Response:
        body = await json_body(request)
        turn = await self.playground.ask(
            thread_id=thread_id_from(body.get("thread")),
            message_id=text_in(body, "id") or secrets.token_hex(12),
            text=text_in(body, "text"),
            author=author_of(request, text_in(body, "name")),
            files=keys_in(body.get("files", [])),
        )
        return json_response({"turn": turn.id if turn else None}, 202)

    async def attach(self, request: Request) -> Response:
        """Store a file to attach to a question and return its key. The body is the file; the query has its name."""
        name, kind, data = await uploaded_file(request)
        key = await self.playground.files.attach(name, kind, data, author_of(request, "").id)
        return json_response({"file": key}, 201)

    async def command(self, request: Request) -> Response:
        body = await json_body(request)
        reply = await self.playground.start_command(
            text_in(body, "command"),
            text_in(body, "args"),
            thread_id=thread_id_from(body.get("thread")),
            author=author_of(request, text_in(body, "name")),
        )
        return json_response({"message": reply}, 202)

    async def upload(self, request: Request) -> Response:
        """Ingest a file. The body is the file; the query has its name, the conversation and more arguments."""
        thread_id = thread_id_from(request.query_params.get("thread"))
        name, kind, data = await uploaded_file(request)

        async def read() -> bytes:
            return data

        reply = await self.playground.start_command(
            "ingest",
            query_text(request, "args"),
            thread_id=thread_id,
            author=author_of(request, query_text(request, "name")),
            attachments=(Attachment(name, kind, len(data), read),),
        )
        return json_response({"message": reply}, 202)

    async def stop_ingestion(self, request: Request) -> Response:
        """Stop a command that ingests documents."""
        body = await json_body(request)
        thread_id, author = thread_id_from(body.get("thread")), author_of(request, text_in(body, "name"))
        await self.playground.stop_ingestion(text_in(body, "reading"), thread_id=thread_id, author=author)
        return json_response({})

    async def thread_action(self, request: Request) -> Response:
        """Handle a button of a whole conversation."""
        body = await json_body(request)
        thread_id = thread_id_from(request.path_params["thread_id"])
        conversations = self.playground.conversations
        match request.path_params["action"]:
            case "rename":
                await conversations.rename(thread_id, text_in(body, "title"))
            case "pin" | "unpin" as action:
                await conversations.pin(thread_id, action == "pin")
            case "delete":
                await conversations.delete(thread_id, author_of(request, text_in(body, "name")))
            case _:
                raise UsageError(user_messages.NO_SUCH_ACTION)
        return json_response({})

    async def turn_action(self, request: Request) -> Response:
        """Handle a button of a question or an answer."""
        body = await json_body(request)
        turn_id, action = request.path_params["turn_id"], request.path_params["action"]
        author = author_of(request, text_in(body, "name"))
        playground = self.playground
        match action:
            case "stop":
                await playground.stop(turn_id, author)
            case "again":
                return json_response({"turn": (await playground.ask_again(turn_id, author, None)).id}, 202)
            case "strong":
                return json_response({"turn": (await playground.ask_again(turn_id, author, "strong")).id}, 202)
            case "change":
                await playground.edit(turn_id, author, text_in(body, "text"))
            case "branch":
                thread_id = thread_id_from(body.get("thread"))
                turn = await playground.branch(turn_id, author, text_in(body, "text"), thread_id)
                return json_response({"turn": turn.id if turn else None}, 202)
            case "forget":
                await playground.delete(turn_id, author)
            case "up" | "down":
                await playground.rate(turn_id, author, 1 if action == "up" else -1, text_in(body, "reason"))
            case "why" | "sources":
                view = await playground.command_panel(
                    action, turn_id, thread_id=thread_id_from(body.get("thread")), author=author
                )
                return json_response({"message": asdict(view)})
            case _:
                raise UsageError(user_messages.NO_SUCH_ACTION)
        return json_response({})

    # --- probes
