"""Handles the events of one Slack workspace: messages, edits, slash commands and buttons.

Each listener stores an event before it acknowledges it, so that Slack redelivers events that could not be stored.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.commands import registry as commands
from bot.commands import summarize
from bot.engine.dispatch.auto_answer import may_be_question
from bot.engine.ports.surface import Surface
from bot.errors import ParleyError, Refused, UsageError
from bot.platforms.json_input import text_field
from bot.platforms.question_about_message import question_about
from bot.platforms.slack import errors, modals, payloads, shared_files, user_messages
from bot.platforms.slack.background_tasks import BackgroundTasks
from bot.platforms.slack.channel_readers import ChannelReaders
from bot.platforms.slack.command_replies import ReplySender, ReplyTarget
from bot.platforms.slack.command_runner import CommandRunner
from bot.platforms.slack.name_directory import NameDirectory
from bot.platforms.slack.payloads import BotUser, ButtonClick, DeletedMessage, SlashCommand, UserMessage
from bot.platforms.slack.shared_files import SharedFiles
from bot.platforms.slack.thread_context import ThreadContext
from bot.platforms.slack.users import UserDirectory
from bot.platforms.unmentioned_message_limit import UnmentionedMessageLimit
from bot.types.bounded_mapping import RecentEntries
from bot.types.conversation import Author, Incoming
from bot.types.turns import Turn
from bot.types.usage import Tier

if TYPE_CHECKING:
    from bot.engine.dispatch.dispatcher import Dispatcher

log = logging.getLogger(__name__)

MatchCommand = Callable[[str], tuple[str, str] | None]

MAX_RECENT_KEYS = 2_000


class RecentKeys:
    """A set of the most recent keys, to recognize repetitions."""

    def __init__(self, size: int = MAX_RECENT_KEYS) -> None:
        self._keys: RecentEntries[Hashable, None] = RecentEntries(size)

    def add(self, key: Hashable) -> bool:
        """Add the key. Return False if it was already there."""
        if key in self._keys:
            return False
        self._keys[key] = None
        return True


class EventListeners:
    """The event listeners of one workspace; the workspace router calls them."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        bot: BotUser,
        *,
        client: AsyncWebClient,
        users: UserDirectory,
        names: NameDirectory,
        context: ThreadContext,
        readers: ChannelReaders,
        files: SharedFiles,
        replies: ReplySender,
        command_runner: CommandRunner,
        background: BackgroundTasks,
        surface_for: Callable[[Turn], Surface],
        match_command: MatchCommand | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._bot = bot
        self._client = client
        self._users = users
        self._names = names
        self._context = context
        self._readers = readers
        self._files = files
        self._replies = replies
        self._command_runner = command_runner
        self._background = background
        self._unmentioned = UnmentionedMessageLimit()
        self._surface_for = surface_for
        self._match_command = match_command or commands.match
        self._notices = RecentKeys()

    # --- messages

    async def on_message(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        """Store a question and start its turn. Raises if it cannot be stored, so that Slack redelivers the event."""
        is_shared = bool(body.get("is_ext_shared_channel"))
        if event.get("subtype") in ("message_changed", "message_deleted"):
            await self._on_change(payloads.parse_change(event, self._bot, shared=is_shared))
            return
        message = payloads.parse_message(event, self._bot, shared=is_shared)
        if event.get("type") == "app_mention" and event.get("edited"):
            # Slack repeats this event for an edited message, next to that of the change.
            await self._on_change(message)
            return
        if message is None or (message.kind == "follow_up" and not await self._dispatcher.follows(message.thread)):
            return
        if message.kind == "overheard":
            if self._unmentioned.begin():
                self._background.start(self._consider_answering(message))
            return
        command = self._match_command(message.args) if message.kind in ("mention", "dm") else None
        if command is not None and command[0] == summarize.NAME:
            await self._summarize(message, command[1])
            return
        if command is not None:
            await self._run_typed_command(message, command)
            return
        await self._accept(message, self._dispatcher.accept)

    async def _on_change(self, change: UserMessage | DeletedMessage | None) -> None:
        """Answer an edited question again and delete a deleted one. An edited command does not run again."""
        if isinstance(change, DeletedMessage):
            await self._dispatcher.deleted(change.thread, change.ts, self._surface_for)
            return
        if change is None or self._match_command(change.args) is not None:
            return
        if change.kind in ("mention", "dm") or await self._dispatcher.follows(change.thread):
            await self._accept(change, self._dispatcher.edited)

    async def _summarize(self, message: UserMessage, args: str) -> None:
        """Accept the wish for a summary as a question about messages, which is answered in the thread."""
        try:
            question, messages = summarize.request(args, in_thread=message.in_thread)
        except UsageError as refusal:
            self._send_notice_once(message, str(refusal))
            return
        incoming = await self._incoming(message)
        await self._store(message, replace(incoming, text=question, attachments=(messages,)), self._dispatcher.accept)

    async def _accept(self, message: UserMessage, store: Callable[[Incoming], Awaitable[Turn | None]]) -> None:
        await self._store(message, await self._incoming(message), store)

    async def _store(
        self, message: UserMessage, incoming: Incoming, store: Callable[[Incoming], Awaitable[Turn | None]]
    ) -> None:
        try:
            turn = await store(incoming)
        except (UsageError, Refused) as refusal:
            self._send_notice_once(message, str(refusal))
            return
        except Exception:
            self._send_notice_once(message, user_messages.NOT_STORED)
            raise
        if turn is not None:
            self._dispatcher.start(turn, self._surface_for(turn))

    async def _consider_answering(self, message: UserMessage) -> None:
        """Let the dispatcher decide whether to answer a message that does not mention the bot.

        Ask Slack who wrote it and who reads it only where an answer is possible: people write more messages than the
        rate limits of Slack allow calls.
        """
        try:
            may_ask = may_be_question(f"{message.raw} {message.beside}") or message.files
            if not may_ask or not await self._dispatcher.considers(message.thread):
                return
            turn = await self._dispatcher.accept_unmentioned(await self._incoming(message))
            if turn is not None:
                self._dispatcher.start(turn, self._surface_for(turn))
        finally:
            self._unmentioned.end()

    async def _incoming(self, message: UserMessage) -> Incoming:
        """Return the message as the dispatcher accepts it: with its asker, readers and files, and names in its text.

        What is said in a voice clip belongs to the question. A mention alone in a thread is about the message above it.
        """
        (author, audience), typed, beside, files = await asyncio.gather(
            self._readers.asker(message.user_id, message.thread.channel_id, shared=message.shared),
            self._names.readable(message.raw, self._bot.user_id),
            self._names.readable(message.beside),
            self._files.described(message.files),
        )
        attachments = self._files.attachments(files)
        typed = "\n\n".join(filter(None, (typed, shared_files.spoken_in(files))))
        if not typed and any(map(shared_files.is_clip, files)):
            typed = user_messages.VOICE_CLIP
        if not typed and not beside and not attachments and message.in_thread:
            beside = await self._context.last_above(message.thread.channel_id, message.thread.thread_id, message.ts)
        return message.incoming(question_about(typed, beside), author, audience, attachments)

    async def _run_typed_command(self, message: UserMessage, command: tuple[str, str]) -> None:
        """Run a command from a message, once among all processes, even if Slack delivers the message repeatedly."""
        if not await self._dispatcher.note_command(message.thread, message.ts):
            return
        name, args = command
        author = await self._users.author(message.user_id)
        self._background.start(
            self._command_runner.run(
                name,
                args,
                _target_of_message(message),
                author,
                message.thread.tenant_id,
                thread_id=message.thread.thread_id if message.in_thread else None,
                attachments=self._files.attachments(await self._files.described(message.files)),
            )
        )

    def _send_notice_once(self, message: UserMessage, text: str) -> None:
        if self._notices.add((message.thread.tenant_id, message.thread.channel_id, message.ts, text)):
            self._background.start(self._send_text(_target_of_message(message), text))

    async def _send_text(self, target: ReplyTarget, text: str) -> None:
        try:
            await self._replies.send_text(target, text)
        except ParleyError as error:
            log.warning("A notice to %s could not be shown: %s", target.user_id, error)

    async def on_stopped(self, event: dict[str, Any]) -> None:
        """Run the ``stop`` command in the thread where a user pressed Slack's own stop button."""
        channel, user, thread_ts = (text_field(event, name) for name in ("channel", "user", "thread_ts"))
        if not channel or not user or not thread_ts:
            return
        author = await self._users.author(user)
        target = ReplyTarget(channel, user, thread_ts)
        self._background.start(
            self._command_runner.run("stop", "", target, author, self._bot.tenant_id, thread_id=thread_ts)
        )

    # --- slash commands

    async def on_command(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Acknowledge immediately and run the command in the background."""
        command = payloads.parse_slash_command(body, self._bot)
        await ack()
        if command is not None:
            self._background.start(self._run_slash_command(command))

    async def _run_slash_command(self, command: SlashCommand) -> None:
        author = await self._users.author(command.user_id)
        target = ReplyTarget(command.channel_id, command.user_id, response_url=command.response_url)
        await self._command_runner.run(command.name, command.args, target, author, command.tenant_id)

    # --- buttons

    async def on_click(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Run the button's action, then acknowledge. Only the user who clicked sees a refusal."""
        click = payloads.parse_click(body, self._bot)
        if click is not None:
            try:
                await self._run_action(click, await self._users.author(click.user_id))
            except ParleyError as refusal:
                self._background.start(self._send_text(_target_of_click(click), str(refusal)))
        await ack()

    async def _run_action(self, click: ButtonClick, by: Author) -> None:
        turn_id, tenant_id, target = click.turn_id, click.tenant_id, _target_of_click(click)
        match click.action:
            case "stop":
                await self._dispatcher.stop(turn_id, by, tenant_id=tenant_id)
            case "again" | "strong":
                wish: Tier | None = "strong" if click.action == "strong" else None
                _, audience = await self._readers.asker(by.id, click.channel_id)
                turn = await self._dispatcher.repeat(turn_id, by, tenant_id=tenant_id, wish=wish, audience=audience)
                self._dispatcher.start(turn, self._surface_for(turn))
            case "up":
                await self._dispatcher.rate(turn_id, by, tenant_id=tenant_id, value=1)
                self._background.start(self._send_text(target, user_messages.THANKS))
            case "down":
                await self._dispatcher.rate(turn_id, by, tenant_id=tenant_id, value=-1)
                self._background.start(self._ask_for_reason(click))
            case "why" | "sources":
                self._background.start(
                    self._command_runner.run(click.action, turn_id, target, by, tenant_id, thread_id=click.thread_ts)
                )
            case "halt":
                # The value of this button is the ID of an ingest run.
                self._background.start(self._command_runner.run("ingest", f"stop {turn_id}", target, by, tenant_id))
            case "accept" | "save" | "verify":
                # The value of these buttons is the ID of a source, or that of an answer to save or to verify.
                command = f"{click.action} {turn_id}"
                self._background.start(self._command_runner.run("docs", command, target, by, tenant_id))
            case _:
                raise UsageError(user_messages.OUTDATED_BUTTON)

    async def _ask_for_reason(self, click: ButtonClick) -> None:
        try:
            with errors.translated():
                view = modals.reason_view(click.turn_id, click.channel_id, click.thread_ts)
                await self._client.views_open(trigger_id=click.trigger_id, view=view)
        except ParleyError as error:
            log.info("The reason modal could not be opened: %s", error)
            await self._send_text(_target_of_click(click), user_messages.THANKS)

    async def on_reason(self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        """Store the reason that a user gave for a 👎."""
        rated = json.loads(view.get("private_metadata") or "{}")
        reason = str(view["state"]["values"]["reason"]["text"].get("value") or "").strip()
        by = await self._users.author(body["user"]["id"])
        target = ReplyTarget(rated["channel_id"], by.id, rated["thread_ts"])
        try:
            await self._dispatcher.rate(rated["turn_id"], by, tenant_id=self._bot.tenant_id, value=-1, reason=reason)
            self._background.start(self._send_text(target, user_messages.THANKS))
        except ParleyError as refusal:
            self._background.start(self._send_text(target, str(refusal)))
        await ack()


def _target_of_message(message: UserMessage) -> ReplyTarget:
    return ReplyTarget(message.thread.channel_id, message.user_id, message.thread.thread_id)


def _target_of_click(click: ButtonClick) -> ReplyTarget:
    return ReplyTarget(click.channel_id, click.user_id, click.thread_ts)
