"""Handles Discord's message events: new, edited and deleted messages become turns, commands and retractions."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import discord

from bot.commands import summarize
from bot.commands.base import Reply
from bot.errors import NotAllowed, ParleyError, for_operator
from bot.platforms.discord import command_replies, parse, user_messages
from bot.platforms.discord.bot_loop_guard import LoopGuard
from bot.platforms.discord.buttons import SurfaceFor, TenantOf
from bot.platforms.discord.channel_readers import ChannelReaders
from bot.platforms.discord.command_runner import CommandRequest, CommandRunner
from bot.platforms.discord.handler_tasks import HandlerTasks
from bot.platforms.discord.message_reader import MessageReader
from bot.platforms.discord.store_retry import reply_once, retry_until_stored
from bot.platforms.unmentioned_message_limit import UnmentionedMessageLimit
from bot.types.conversation import Incoming, ThreadKey
from bot.types.turns import Turn

if TYPE_CHECKING:
    from bot.engine.dispatch.dispatcher import Dispatcher

log = logging.getLogger(__name__)

PUBLIC_COMMANDS = frozenset({"stop", "help"})
"""Commands whose replies are not private. If such a command is a message, the reply is posted below it."""

AUTO_ANSWER_SECONDS = 120.0
"""Maximum age of a message without a mention that is answered. Later, the conversation has moved on."""


class MessageEvents:
    """Stores each message before anything is shown, then answers it or runs its command.

    ``content_intent``: whether Discord sends the content of messages that do not mention the bot.
    """

    def __init__(
        self,
        client: discord.Client,
        dispatcher: Dispatcher,
        commands: CommandRunner,
        *,
        surface_for: SurfaceFor,
        tenant_of: TenantOf,
        admins: Sequence[str],
        readers: ChannelReaders,
        reader: MessageReader,
        tasks: HandlerTasks,
        content_intent: bool,
    ) -> None:
        self._client = client
        self._dispatcher = dispatcher
        self._commands = commands
        self._surface_for = surface_for
        self._tenant_of = tenant_of
        self._admins = admins
        self._readers = readers
        self._reader = reader
        self._tasks = tasks
        self._unmentioned = UnmentionedMessageLimit()
        self._content_intent = content_intent
        self._loop_guard = LoopGuard()

    # --- new messages

    async def created(self, message: discord.Message) -> None:
        """Handle a new message; report a failure to its author. Never raises."""
        await self._handle(message, self._accept)

    async def _handle(self, message: discord.Message, handler: Callable[[discord.Message], Awaitable[None]]) -> None:
        with self._tasks.track():
            try:
                await retry_until_stored(partial(handler, message), partial(reply_once, message))
            except ParleyError as error:
                await self._report(message, str(error))
            except Exception:
                trace_id = secrets.token_hex(4)
                log.exception("message %s could not be handled, trace ID %s", message.id, trace_id)
                await self._report(message, user_messages.failed(trace_id))

    async def _accept(self, message: discord.Message) -> None:
        incoming = await self._incoming(message)
        if incoming is None:
            return
        if incoming.kind == "overheard":
            self._consider_auto_answer(incoming)
            return
        if await self._is_too_fast(message, incoming):
            return
        command = self._command_in(message) if incoming.kind != "follow_up" else None
        if command is not None and command[0] == summarize.NAME:
            incoming = await self._about_messages(message, incoming, command[1])
        elif command is not None:
            await self._run_command(message, incoming, *command)
            return
        self._start(await self._dispatcher.accept(incoming))

    async def _about_messages(self, message: discord.Message, incoming: Incoming, arguments: str) -> Incoming:
        """Return the wish for a summary as a question about messages. Raises UsageError, NotAllowed."""
        channel = await self._resolved_channel(message)
        question, messages = summarize.request(arguments, in_thread=isinstance(channel, discord.Thread))
        if not parse.may_read_history(message.author, channel):
            raise NotAllowed(user_messages.HISTORY_NOT_READABLE_BY_YOU)
        return replace(incoming, text=question, attachments=(messages,))

    def _start(self, turn: Turn | None) -> None:
        if turn is not None and not self._tasks.draining:
            self._dispatcher.start(turn, self._surface_for(turn))

    async def _is_too_fast(self, message: discord.Message, incoming: Incoming) -> bool:
        pair = (incoming.thread, incoming.author.id)
        verdict = self._loop_guard.check(pair, incoming.message_id, incoming.sent_at.timestamp())
        if verdict == "warn":
            await reply_once(message, user_messages.TOO_FAST)
        return verdict != "allow"

    # --- messages without a mention

    def _consider_auto_answer(self, incoming: Incoming) -> None:
        """Decide in the background whether to answer, because the decision requires a search."""
        age = (datetime.now(UTC) - incoming.sent_at).total_seconds()
        if not incoming.text.strip() or self._tasks.draining or age > AUTO_ANSWER_SECONDS:
            return
        if self._unmentioned.begin():
            self._tasks.start(self._auto_answer(incoming), name=f"auto-answer {incoming.message_id}")

    async def _auto_answer(self, incoming: Incoming) -> None:
        try:
            self._start(await self._dispatcher.accept_unmentioned(incoming))
        except Exception as error:
            log.warning("message %s without a mention was not answered: %s", incoming.message_id, for_operator(error))
        finally:
            self._unmentioned.end()

    # --- edited messages

    async def edited(self, payload: discord.RawMessageUpdateEvent) -> None:
        """Answer an edited question again. Never raises.

        Link previews arrive as edits, too, but without a time.
        """
        message = payload.message
        if message.edited_at is not None and _is_by_person(message):
            await self._handle(message, self._accept_edit)

    async def _accept_edit(self, message: discord.Message) -> None:
        incoming = await self._incoming(message)
        if incoming is None or self._command_in(message) is not None:
            return
        if incoming.kind == "overheard" and not await self._dispatcher.follows(incoming.thread):
            return
        self._start(await self._dispatcher.edited(incoming))

    # --- deleted messages

    async def deleted(self, guild_id: int | None, channel_id: int, message_ids: set[int]) -> None:
        """Delete the questions in deleted messages, and their answers. Never raises."""
        with self._tasks.track():
            try:
                thread = await self._thread_key(guild_id, channel_id)
                for message_id in sorted(message_ids):
                    await retry_until_stored(partial(self._delete, thread, str(message_id)), _ignore)
            except discord.NotFound:
                log.info("messages were deleted together with their channel %s", channel_id)
            except (ParleyError, discord.DiscordException) as error:
                log.error(
                    "questions in deleted messages of channel %s could not be deleted: %s",
                    channel_id,
                    for_operator(error),
                )

    async def _thread_key(self, guild_id: int | None, channel_id: int) -> ThreadKey:
        channel = self._client.get_channel(channel_id) or await self._client.fetch_channel(channel_id)
        parent = channel.parent_id if isinstance(channel, discord.Thread) else channel_id
        return parse.key(self._tenant_of(guild_id), str(parent), str(channel_id))

    async def _delete(self, thread: ThreadKey, message_id: str) -> None:
        await self._dispatcher.deleted(thread, message_id, self._surface_for)

    # --- parsing and replying

    async def _incoming(self, message: discord.Message) -> Incoming | None:
        """Parse a message; None if it is not for the bot, or if its content is withheld.

        The result says who reads an answer. That may take a request, so it is found out for the bot's messages alone.
        """
        if self._client.user is None:
            return None
        tenant = self._tenant_of(message.guild.id if message.guild else None)
        channel = await self._resolved_channel(message)
        incoming = parse.incoming(message, channel, self._client.user.id, tenant=tenant, admins=self._admins)
        if incoming is None or (incoming.kind in ("follow_up", "overheard") and not self._content_intent):
            return None
        if incoming.kind == "follow_up" and not await self._dispatcher.follows(incoming.thread):
            return None
        author, audience = await self._readers.of_message(message, incoming.thread.channel_id, incoming.author)
        if incoming.kind != "overheard":
            question = await self._reader.question(message, channel, self._client.user.id)
            incoming = replace(incoming, text=question)
        return replace(incoming, author=author, audience=audience)

    async def _resolved_channel(self, message: discord.Message) -> object:
        """Return the channel of a message; fetch it if the cache does not have it, like a thread just unarchived."""
        channel = message.channel
        if isinstance(channel, discord.PartialMessageable) and message.guild is not None and _is_by_person(message):
            return await self._client.fetch_channel(channel.id)
        return channel

    def _command_in(self, message: discord.Message) -> tuple[str, str] | None:
        """Return the name and arguments of the command in a message, if it is one."""
        assert self._client.user is not None
        return self._commands.commands.match(parse.command_text(message, self._client.user.id))

    async def _run_command(self, message: discord.Message, incoming: Incoming, name: str, arguments: str) -> None:
        if not await self._dispatcher.note_command(incoming.thread, incoming.message_id):
            return
        in_thread = incoming.thread.thread_id != incoming.message_id
        request = CommandRequest(
            incoming.thread,
            incoming.author,
            message.author,
            in_thread,
            incoming.audience,
            incoming.attachments,
            parse.is_private_thread(await self._resolved_channel(message)),
        )
        reply = command_replies.MessageReply(message, in_place=name in PUBLIC_COMMANDS)
        await command_replies.run_and_reply(self._commands.prepare(name, arguments, request), reply)

    async def _report(self, message: discord.Message, text: str) -> None:
        try:
            await command_replies.MessageReply(message).finish(Reply(text, private=False))
        except (discord.DiscordException, OSError) as error:
            log.warning("could not send %r to channel %s: %s", text, message.channel.id, error)


def _is_by_person(message: discord.Message) -> bool:
    return not message.author.bot and message.webhook_id is None


async def _ignore(_: str) -> None:
    """Do nothing, because no user waits for a deletion."""
