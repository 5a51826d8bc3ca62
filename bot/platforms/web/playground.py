"""What a person can do on the page: ask, press a button, run a command, hand over a file."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from bot import commands
from bot.commands.base import Command, Context, File, OnUpdate, Reply
from bot.engine.dispatch.dispatcher import SurfaceFor
from bot.engine.ports.clock import Clock
from bot.engine.ports.surface import Surface
from bot.errors import LeaseLost, ParleyError, UsageError
from bot.platforms.web import render, user_messages
from bot.platforms.web.event_hub import Hub
from bot.platforms.web.history import ENDED_ACTIONS, History, thread_key
from bot.platforms.web.json_views import FileView, MessageView, ThreadView, stamp
from bot.platforms.web.surface import WebSurface
from bot.platforms.web.upload_buffer import UploadBuffer
from bot.types.conversation import LOCAL_TENANT, Attachment, Author, Incoming, Platform
from bot.types.turns import Outcome, Turn, TurnState
from bot.types.usage import Tier
from knowledge.errors import KnowledgeError

log = logging.getLogger(__name__)

USER = "you"
KEPT_FILES = 20
MOST_FILES = 8


class DeskPort(Protocol):
    """The part of ``bot.engine.dispatch.dispatcher.Desk`` that the playground uses."""

    async def accept(self, incoming: Incoming) -> Turn | None: ...
    def start(self, turn: Turn, surface: Surface) -> asyncio.Task[Outcome]: ...
    async def stop(self, turn_id: str, by: Author, *, tenant_id: str) -> None: ...
    async def repeat(self, turn_id: str, by: Author, *, tenant_id: str, wish: Tier | None) -> Turn: ...
    async def change(self, turn_id: str, by: Author, text: str, *, tenant_id: str) -> Turn | None: ...
    async def forget(self, turn_id: str, by: Author, *, tenant_id: str, surface_for: SurfaceFor) -> Sequence[Turn]: ...
    async def rate(self, turn_id: str, by: Author, *, tenant_id: str, value: int, reason: str = "") -> None: ...
    async def resume(self, platform: Platform, surface_for: SurfaceFor) -> int: ...


class ContextFor(Protocol):
    """Makes the Context of a command; the services are bound into it."""

    def __call__(
        self,
        *,
        thread_id: str | None,
        author: Author,
        attachments: tuple[Attachment, ...],
        update: OnUpdate,
    ) -> Context: ...


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands and how one is run; ``run`` raises ParleyError with words for the person."""

    known: Sequence[Command]
    run: Callable[[str, str, Context], Awaitable[Reply]]
    context: ContextFor


def person(name: str) -> Author:
    """Whoever sits at the page: there is one user, an admin, under the name they gave."""
    return Author(USER, " ".join(name.split())[:40] or "You", is_admin=True)


async def _unseen(_: str, /, stop: str = "") -> None:
    return None


def _title(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:79].rstrip() + "…"


def _ending(turn: Turn, running: asyncio.Task[Outcome]) -> tuple[TurnState, str | None]:
    """How a finished task left its turn; a lost lease leaves it to another process, a shutdown to the next one."""
    if running.cancelled() or isinstance(error := running.exception(), LeaseLost):
        return "running", None
    if error is not None:
        log.error("turn %s failed", turn.id, exc_info=error)
        return "failed", user_messages.TRACE.format(trace=turn.id)
    return running.result().state, running.result().refused


@dataclass(slots=True)
class Playground:
    """The channel. Everything shown goes through the hub."""

    dispatcher: DeskPort
    history: History
    commands: Commands
    hub: Hub
    clock: Clock
    beside: UploadBuffer = field(default_factory=UploadBuffer)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _files: OrderedDict[str, File] = field(default_factory=OrderedDict)

    # --- questions

    async def ask(
        self, *, thread_id: str, message_id: str, text: str, author: Author, files: Sequence[str] = ()
    ) -> Turn | None:
        """Take a question and start on it; None when this message was taken before. ``files`` are keys of what was put
        beside it. Raises UsageError."""
        if len(files) > MOST_FILES:
            raise UsageError(user_messages.TOO_MANY_FILES.format(most=MOST_FILES))
        attached = tuple(self.beside.attachment(key) for key in files)
        incoming = Incoming(thread_key(thread_id), message_id, author, text, "ask", self.clock(), attachments=attached)
        turn = await self.dispatcher.accept(incoming)
        if turn is not None:
            self._begin(turn, tuple(file.name for file in attached))
        return turn

    async def repeat(self, turn_id: str, author: Author, wish: Tier | None) -> Turn:
        """Ask an earlier question once more."""
        turn = await self.dispatcher.repeat(turn_id, author, tenant_id=LOCAL_TENANT, wish=wish)
        self._begin(turn)
        return turn

    async def change(self, turn_id: str, author: Author, text: str) -> None:
        """Ask something else in that question's place; its answer is written anew where it stands."""
        turn = await self.dispatcher.change(turn_id, author, text, tenant_id=LOCAL_TENANT)
        if turn is not None:
            known = self.hub.message(f"q-{turn.id}")
            self._begin(turn, known.notes if known else ())

    async def forget(self, turn_id: str, author: Author) -> None:
        """Forget a question, its answer, and what was made of them."""
        forgotten = await self.dispatcher.forget(turn_id, author, tenant_id=LOCAL_TENANT, surface_for=self.surface)
        for turn in forgotten:
            self.hub.forget(turn.thread.thread_id, turn.id)

    async def rate(self, turn_id: str, author: Author, value: int, reason: str) -> None:
        """Keep a thumb and, for a thumb down, why."""
        await self.dispatcher.rate(turn_id, author, tenant_id=LOCAL_TENANT, value=value, reason=reason.strip()[:1000])

    async def stop(self, turn_id: str, author: Author) -> None:
        """Stop an answer, whichever process writes it. Raises UsageError once it has ended."""
        await self.dispatcher.stop(turn_id, author, tenant_id=LOCAL_TENANT)

    def surface(self, turn: Turn) -> WebSurface:
        """Where a turn's reply goes."""
        return WebSurface(self.hub, turn, self.clock, self.beside)

    def _begin(self, turn: Turn, files: tuple[str, ...] = ()) -> None:
        at = stamp(self.clock())
        thread_id = turn.thread.thread_id
        self.hub.touch(ThreadView(thread_id, _title(turn.question), at))
        self.hub.put(
            MessageView(
                id=f"q-{turn.id}",
                thread=thread_id,
                role="user",
                author=turn.author.name,
                at=at,
                blocks=render.plain(turn.question),
                turn=turn.id,
                final=False,
                notes=files,
            )
        )
        self._keep(self._watch(turn, self.dispatcher.start(turn, self.surface(turn))))

    async def _watch(self, turn: Turn, running: asyncio.Task[Outcome]) -> None:
        """See a turn to its end, so that a page never waits for an answer that does not come."""
        await asyncio.wait([running])
        state, refused = _ending(turn, running)
        question = self.hub.message(f"q-{turn.id}")
        if question is not None and state not in ("queued", "running"):
            self.hub.put(replace(question, final=True))
        shown = [view for view in self.hub.of_turn(turn.id) if view.role == "assistant"]
        failed = state in ("failed", "refused")
        for view in shown:
            if not view.final and state not in ("queued", "running"):
                self.hub.put(replace(view, final=True, failed=failed, actions=ENDED_ACTIONS))
            elif view.final and failed:
                self.hub.put(replace(view, failed=True))
        if not shown:
            self._note(turn, user_messages.ended(state, refused), failed=state != "queued")

    def _note(self, turn: Turn, text: str, *, failed: bool) -> None:
        self.hub.put(
            MessageView(
                id=f"a-{turn.id}-1",
                thread=turn.thread.thread_id,
                role="assistant",
                author="Parley",
                at=stamp(self.clock()),
                blocks=render.blocks(text),
                turn=turn.id,
                failed=failed,
                actions=("again",) if failed else (),
            )
        )

    # --- commands

    def command(
        self, name: str, args: str, *, thread_id: str, author: Author, attachments: tuple[Attachment, ...] = ()
    ) -> str:
        """Run a command in the background, its reply shown in the thread; returns the reply's id. Raises UsageError."""
        if name not in {command.name for command in self.commands.known}:
            raise commands.no_such(name)
        at = stamp(self.clock())
        key = secrets.token_hex(8)
        line = " ".join([f"/{name}", *(attachment.name for attachment in attachments), args]).strip()
        self.hub.touch(ThreadView(thread_id, _title(line), at))
        self.hub.put(MessageView(f"q-{key}", thread_id, "user", author.name, at, render.plain(line)))
        reply = MessageView(f"c-{key}", thread_id, "command", "Parley", at, final=False)
        self.hub.put(replace(reply, notes=(user_messages.WORKING,)))
        self._keep(self._run(name, args, reply, author, attachments))
        return reply.id

    async def _run(
        self, name: str, args: str, reply: MessageView, author: Author, attachments: tuple[Attachment, ...]
    ) -> None:
        async def update(text: str, /, stop: str = "") -> None:
            self.hub.put(replace(reply, notes=(text,), reading=stop, actions=("stop",) if stop else ()))

        context = self.commands.context(thread_id=reply.thread, author=author, attachments=attachments, update=update)
        self.hub.put(await self._answer(name, args, reply, context))

    async def told(self, name: str, turn_id: str, *, thread_id: str, author: Author) -> MessageView:
        """What the command ``why`` or ``sources`` tells of an answer, for the panel under it."""
        blank = MessageView(f"w-{turn_id}", thread_id, "command", "Parley", stamp(self.clock()))
        context = self.commands.context(thread_id=thread_id, author=author, attachments=(), update=_unseen)
        return await self._answer(name, turn_id, blank, context)

    async def stop_reading(self, names: str, *, thread_id: str, author: Author) -> None:
        """Stop what a command reads; the card of that command tells how it ends. Raises UsageError, NotAllowed."""
        context = self.commands.context(thread_id=thread_id, author=author, attachments=(), update=_unseen)
        await self.commands.run("ingest", f"stop {names}", context)

    async def _answer(self, name: str, args: str, blank: MessageView, context: Context) -> MessageView:
        try:
            reply = await self.commands.run(name, args, context)
        except (ParleyError, KnowledgeError) as error:
            return replace(blank, blocks=render.blocks(str(error)), final=True, failed=True)
        except Exception:
            trace = secrets.token_hex(4)
            log.exception("command %s failed, trace %s", name, trace)
            return replace(
                blank, blocks=render.blocks(user_messages.TRACE.format(trace=trace)), final=True, failed=True
            )
        shown = render.blocks(reply.text) + ((render.table(reply.table),) if reply.table else ())
        file = self._kept(reply.file) if reply.file else None
        return replace(blank, blocks=shown, final=True, private=reply.private, file=file)

    # --- files that commands hand over

    def file(self, key: str) -> File | None:
        return self._files.get(key)

    def _kept(self, file: File) -> FileView:
        key = secrets.token_urlsafe(16)
        self._files[key] = file
        while len(self._files) > KEPT_FILES:
            self._files.popitem(last=False)
        image = file.content_type in ("image/png", "image/jpeg")
        return FileView(file.name, f"/api/files/{key}", image)

    # --- background

    def _keep(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel what commands are running; turns belong to the desk."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
