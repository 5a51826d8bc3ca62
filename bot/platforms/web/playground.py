"""Implements the page's actions: ask, edit, delete, rate and stop questions, run commands, and keep files."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from bot.commands import registry as commands
from bot.engine.answer.final_reply import ACTIONS_AFTER_FAILURE
from bot.engine.ports.clock import Clock
from bot.errors import LeaseLost, ParleyError, UsageError
from bot.platforms.web import render, user_messages
from bot.platforms.web.command_cards import CommandCard, CommandCards
from bot.platforms.web.command_replies import reply_of_command
from bot.platforms.web.conversation_files import PageFiles
from bot.platforms.web.conversations import Conversations
from bot.platforms.web.cross_process_events import CrossProcessPoller, LocalWork
from bot.platforms.web.document_pictures import DocumentPages
from bot.platforms.web.document_viewer import DocumentViewer
from bot.platforms.web.event_hub import EventHub
from bot.platforms.web.history import CHANNEL, OPEN_STATES, History, thread_key
from bot.platforms.web.json_views import MessageView, ThreadView, iso_timestamp
from bot.platforms.web.playground_ports import CommandRunner, DispatcherPort
from bot.platforms.web.question_branches import Branches, ask_in_branch, forget_copies
from bot.platforms.web.surface import WebSurface
from bot.platforms.web.welcome import WelcomeSource
from bot.types.audience import MEMBERS
from bot.types.conversation import LOCAL_TENANT, Attachment, Author, Incoming
from bot.types.turns import Outcome, Turn, TurnState
from bot.types.usage import Tier

log = logging.getLogger(__name__)

MAX_ATTACHMENTS = 8
MAX_TITLE_CHARS = 80
MAX_REASON_CHARS = 1000


async def _ignore_progress(_: str, /, stop: str = "") -> None:
    return None


def _title(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_TITLE_CHARS else line[: MAX_TITLE_CHARS - 1].rstrip() + "…"


def _final_state(turn: Turn, task: asyncio.Task[Outcome]) -> tuple[TurnState, str | None]:
    """Return the state and refusal of a turn whose task has ended.

    After a lost lease another process continues the turn, and after a shutdown the next process does, so the turn is
    still running.
    """
    if task.cancelled() or isinstance(error := task.exception(), LeaseLost):
        return "running", None
    if error is not None:
        log.error("turn %s failed", turn.id, exc_info=error)
        return "failed", user_messages.UNEXPECTED_ERROR.format(trace=turn.id)
    return task.result().state, task.result().refused


@dataclass(slots=True)
class Playground:
    """The playground's one channel. Publishes everything it shows through the event hub."""

    dispatcher: DispatcherPort
    history: History
    commands: CommandRunner
    hub: EventHub
    clock: Clock
    files: PageFiles
    cards: CommandCards
    welcome: WelcomeSource
    """Finds out what an empty page offers."""
    documents: DocumentViewer
    pages: DocumentPages
    branches: Branches
    unready: Callable[[], Mapping[str, str]] = dict
    """Returns the reason for each part of this process that does not work yet."""
    metrics: Callable[[], bytes] = bytes
    """Returns the metrics of this process in the text format of Prometheus."""
    poller: CrossProcessPoller = field(init=False)
    """Shows what other processes do."""
    conversations: Conversations = field(init=False)
    """What can be done with whole conversations."""
    _local: LocalWork = field(init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._local = LocalWork(self.dispatcher.runs_here)
        self.conversations = Conversations(self.history, self.hub, self.cards, self.delete)
        self.poller = CrossProcessPoller(self.hub, self.history, self.cards, self.clock, self._local)

    # --- questions

    async def ask(
        self, *, thread_id: str, message_id: str, text: str, author: Author, files: Sequence[str] = ()
    ) -> Turn | None:
        """Accept a question and start to answer it. Returns None if this message was accepted before.

        ``files`` are keys of uploaded files to attach. Raises UsageError.
        """
        if len(files) > MAX_ATTACHMENTS:
            raise UsageError(user_messages.TOO_MANY_FILES.format(most=MAX_ATTACHMENTS))
        attachments = tuple([await self.files.attachment(key) for key in files])
        return await self._accept(thread_id, message_id, text, author, attachments)

    async def branch(self, turn_id: str, author: Author, text: str, thread_id: str) -> Turn | None:
        """Ask an edited question in the conversation ``thread_id``, which begins like that of the question.

        Return None if the branch has its question already. Raises UsageError.
        """
        # A request that is sent again after a lost response names the same branch, whose first question has its ID.
        ask = partial(self._accept, thread_id, thread_id, text.strip(), author, edited=turn_id)
        return await ask_in_branch(self.branches, turn_id, thread_id, text, ask)

    async def _accept(
        self,
        thread_id: str,
        message_id: str,
        text: str,
        author: Author,
        attachments: tuple[Attachment, ...] = (),
        *,
        edited: str = "",
    ) -> Turn | None:
        """Accept a question; the attachments of the question that was ``edited`` are its own too."""
        incoming = Incoming(
            thread_key(thread_id),
            message_id,
            author,
            text,
            "ask",
            self.clock(),
            attachments=attachments,
            audience=MEMBERS,
            attachments_of=edited,
        )
        with self._accepting():
            turn = await self.dispatcher.accept(incoming)
            if turn is not None:
                self._start_turn(turn, tuple(file.name for file in attachments))
        return turn

    async def ask_again(self, turn_id: str, author: Author, tier: Tier | None) -> Turn:
        """Ask an earlier question again, on the given model tier if one is given."""
        with self._accepting():
            turn = await self.dispatcher.repeat(
                turn_id, author, tenant_id=LOCAL_TENANT, wish=tier, audience=MEMBERS, place=("web", CHANNEL)
            )
            self._start_turn(turn)
        return turn

    async def edit(self, turn_id: str, author: Author, text: str) -> None:
        """Replace the text of a question and answer it again in the same place. Its copies in branches are deleted."""
        with self._accepting():
            turn = await self.dispatcher.change(turn_id, author, text, tenant_id=LOCAL_TENANT, audience=MEMBERS)
            # An edit that is repeated after a crash deletes the copies that still have the earlier text.
            await forget_copies(self.branches, turn_id, partial(self._forget, author), other_than=text.strip())
            if turn is not None:
                question = self.hub.message(f"q-{turn.id}")
                self._start_turn(turn, question.notes if question else ())
                self.hub.retitle(turn.thread.thread_id, await self.history.title(turn.thread.thread_id))

    async def delete(self, turn_id: str, author: Author) -> None:
        """Delete a question, its answer and everything derived from them, also their copies in branches."""
        # The copies are found by their original, so that goes last: after a crash it can be deleted again.
        await forget_copies(self.branches, turn_id, partial(self._forget, author))
        await self._forget(author, turn_id)

    async def _forget(self, author: Author, turn_id: str) -> None:
        """Delete a question, and remove it from every open page."""
        deleted = await self.dispatcher.forget(turn_id, author, tenant_id=LOCAL_TENANT, surface_for=self.surface)
        for turn in deleted:
            self.hub.remove_turn(turn.thread.thread_id, turn.id)
        for thread_id in dict.fromkeys(turn.thread.thread_id for turn in deleted):
            self.hub.retitle(thread_id, await self.history.title(thread_id))

    async def rate(self, turn_id: str, author: Author, value: int, reason: str) -> None:
        """Store a thumb, 1 or -1, and the reason for it."""
        reason = reason.strip()[:MAX_REASON_CHARS]
        await self.dispatcher.rate(turn_id, author, tenant_id=LOCAL_TENANT, value=value, reason=reason)

    async def stop(self, turn_id: str, author: Author) -> None:
        """Stop an answer, whichever process writes it. Raises UsageError if it has already ended."""
        await self.dispatcher.stop(turn_id, author, tenant_id=LOCAL_TENANT)

    def surface(self, turn: Turn) -> WebSurface:
        """Return the surface that shows a turn's reply."""
        return WebSurface(self.hub, turn, self.clock, self.files)

    @contextmanager
    def _accepting(self) -> Iterator[None]:
        """Mark that a question is being stored that this process shows at once."""
        self._local.accepting += 1
        try:
            yield
        finally:
            self._local.accepting -= 1

    def _start_turn(self, turn: Turn, file_names: tuple[str, ...] = ()) -> None:
        """Show the question and start to answer it in the background."""
        thread_id = turn.thread.thread_id
        self.hub.bump_thread(ThreadView(thread_id, _title(turn.question), iso_timestamp(self.clock())))
        question = MessageView(
            id=f"q-{turn.id}",
            thread=thread_id,
            role="user",
            author=turn.author.name,
            at=iso_timestamp(turn.created_at),
            blocks=render.plain(turn.question),
            turn=turn.id,
            final=False,
            notes=file_names,
        )
        self.hub.put_message(question)
        self._local.turns[turn.id] = question
        self._run_in_background(self._finish_turn(turn, question, self.dispatcher.start(turn, self.surface(turn))))

    async def _finish_turn(self, turn: Turn, question: MessageView, task: asyncio.Task[Outcome]) -> None:
        """Wait for a turn's task and mark its messages final, so that no page waits for an answer that never comes.

        If the question was deleted or edited in the meantime, there is nothing to mark, or another task answers it.
        """
        await asyncio.wait([task])
        if self._local.turns.get(turn.id) is question:
            del self._local.turns[turn.id]
        if self.hub.message(question.id) is not question:
            return
        state, refusal = _final_state(turn, task)
        ended = state not in OPEN_STATES
        failed = state in ("failed", "refused")
        if ended:
            self.hub.put_message(replace(question, final=True))
        replies = [view for view in self.hub.messages_of_turn(turn.id) if view.role == "assistant"]
        for view in replies:
            if not view.final and ended:
                self.hub.put_message(replace(view, final=True, failed=failed, actions=ACTIONS_AFTER_FAILURE))
            elif view.final and failed:
                self.hub.put_message(replace(view, failed=True))
        if not replies:
            self._show_no_reply(turn, user_messages.no_reply(state, refusal), failed=state != "queued")

    def _show_no_reply(self, turn: Turn, text: str, *, failed: bool) -> None:
        self.hub.put_message(
            MessageView(
                id=f"a-{turn.id}-1",
                thread=turn.thread.thread_id,
                role="assistant",
                author="Parley",
                at=iso_timestamp(self.clock()),
                blocks=render.blocks(text),
                turn=turn.id,
                failed=failed,
                actions=("again",) if failed else (),
            )
        )

    # --- commands

    async def start_command(
        self, name: str, args: str, *, thread_id: str, author: Author, attachments: tuple[Attachment, ...] = ()
    ) -> str:
        """Run a command in the background, show its reply in the conversation, and return the reply's ID.

        Raises UsageError, and StoreAway if the other processes cannot be told.
        """
        if name not in {command.name for command in self.commands.available}:
            raise commands.no_such(name)
        at = iso_timestamp(self.clock())
        key = secrets.token_hex(8)
        line = " ".join([f"/{name}", *(attachment.name for attachment in attachments), args]).strip()
        card = CommandCard(
            author.id,
            ThreadView(thread_id, _title(line), at),
            MessageView(f"q-{key}", thread_id, "user", author.name, at, render.plain(line)),
            MessageView(f"c-{key}", thread_id, "command", "Parley", at, final=False, notes=(user_messages.WORKING,)),
        )
        self._local.commands[card.id] = card
        try:
            await self.cards.write(card)
        except BaseException:
            del self._local.commands[card.id]
            raise
        card.show(self.hub)
        self._run_in_background(self._run_with_progress(name, args, card, author, attachments))
        return card.id

    async def _run_with_progress(
        self, name: str, args: str, card: CommandCard, author: Author, attachments: tuple[Attachment, ...]
    ) -> None:
        """Run a command for the asker. The others see the command and its reply only if the reply is public."""
        empty = replace(card.reply, notes=())

        async def update(text: str, /, stop: str = "") -> None:
            reply = replace(empty, notes=(text,), reading=stop, actions=("stop",) if stop else ())
            await self._share(replace(card, reply=reply))

        context = self.commands.context(
            thread_id=card.reply.thread, author=author, attachments=attachments, update=update
        )
        result = await reply_of_command(self.commands, self.files, name, args, empty, context)
        await self._share(replace(card, reply=result, public=not (result.private or result.failed)))

    async def _share(self, card: CommandCard) -> None:
        """Show the card of a command that runs here, on the pages of every process."""
        self._local.commands[card.id] = card
        card.show(self.hub)
        try:
            await self.cards.write(card)
        except ParleyError as error:
            log.warning("other processes cannot show the command %s: %s", card.id, error)
            return
        if card.reply.final:
            # Meanwhile the poller may have stored the card too.
            self._local.commands.pop(card.id, None)

    async def command_panel(self, name: str, turn_id: str, *, thread_id: str, author: Author) -> MessageView:
        """Run the command ``why`` or ``sources`` for an answer and return its reply, for the panel under the answer."""
        reply = MessageView(f"w-{turn_id}", thread_id, "command", "Parley", iso_timestamp(self.clock()))
        context = self.commands.context(thread_id=thread_id, author=author, attachments=(), update=_ignore_progress)
        return await reply_of_command(self.commands, self.files, name, turn_id, reply, context)

    async def stop_ingestion(self, names: str, *, thread_id: str, author: Author) -> None:
        """Stop a command that ingests documents. Its own message reports the result. Raises UsageError, NotAllowed."""
        context = self.commands.context(thread_id=thread_id, author=author, attachments=(), update=_ignore_progress)
        await self.commands.run("ingest", f"stop {names}", context)

    # --- background tasks

    def _run_in_background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel running commands and say so. Turns belong to the dispatcher and are not cancelled here."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for card in list(self._local.commands.values()):
            await self._share(card if card.reply.final else card.interrupted())
