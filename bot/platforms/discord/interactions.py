"""Handles Discord interactions: slash commands, autocomplete, buttons, modals and message context menus."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, cast

import discord
from discord import app_commands

from bot.commands import ask
from bot.commands.base import Command
from bot.errors import ParleyError, for_operator
from bot.platforms.discord import command_replies, context_menus, parse, render, slash_commands, user_messages
from bot.platforms.discord.autocomplete import Choices, suggest
from bot.platforms.discord.buttons import Buttons, SurfaceFor, TenantOf, modal_value, send_ephemeral
from bot.platforms.discord.channel_readers import ChannelReaders
from bot.platforms.discord.command_options import Suggested
from bot.platforms.discord.command_runner import CommandRequest, CommandRunner
from bot.platforms.discord.handler_tasks import HandlerTasks
from bot.platforms.discord.message_reader import MessageReader
from bot.platforms.discord.render import NO_MENTIONS
from bot.platforms.discord.transcripts import PlaceTranscripts
from bot.platforms.question_about_message import question_about
from bot.types.audience import Audience
from bot.types.conversation import Attachment, Author, ThreadKey

if TYPE_CHECKING:
    from bot.engine.dispatch.dispatcher import Dispatcher

log = logging.getLogger(__name__)

HANDLED_ELSEWHERE = frozenset({10062, 40060})
"""Error codes of an interaction that expired, or that another process acknowledged first.

Every connected process receives every interaction.
"""


class Interactions:
    """Acknowledges each interaction within Discord's 3 s, then acts. Keeps no state between interactions."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        commands: CommandRunner,
        *,
        surface_for: SurfaceFor,
        tenant_of: TenantOf,
        readers: ChannelReaders,
        reader: MessageReader,
        tasks: HandlerTasks,
    ) -> None:
        self._dispatcher = dispatcher
        self._reader = reader
        self._commands = commands
        self._surface_for = surface_for
        self._tenant_of = tenant_of
        self._readers = readers
        self._tasks = tasks
        self._buttons = Buttons(dispatcher, surface_for, self._origin)

    def handlers(self) -> slash_commands.Handlers:
        """Return the callbacks for the command tree."""
        menus = {user_messages.ABOUT_MENU: self._ask_about, user_messages.FORGET_MENU: self._forget}
        return slash_commands.Handlers(self._command, self._suggest, self._command_failed, menus)

    # --- slash commands

    async def _command(
        self,
        interaction: discord.Interaction,
        command: Command,
        arguments: str,
        files: tuple[discord.Attachment, ...],
    ) -> None:
        with self._tasks.track():
            try:
                await interaction.response.defer(ephemeral=True, thinking=True)
            except discord.HTTPException as error:
                log.info("/%s could not be acknowledged: %s", command.name, for_operator(error))
                return
            await self._run(interaction, command.name, arguments, tuple(parse.attachment(file) for file in files))

    async def _run(
        self, interaction: discord.Interaction, name: str, arguments: str, attachments: tuple[Attachment, ...] = ()
    ) -> None:
        thread, author, audience = await self._origin(interaction)
        in_thread = interaction.guild_id is None or thread.thread_id != thread.channel_id
        private = parse.is_private_thread(interaction.channel)
        transcripts = self._transcripts(interaction, thread)
        request = CommandRequest(
            thread, author, interaction.user, in_thread, audience, attachments, private, transcripts
        )
        reply = command_replies.InteractionReply(interaction)
        await command_replies.run_and_reply(self._commands.prepare(name, arguments, request), reply)

    def _transcripts(self, interaction: discord.Interaction, place: ThreadKey) -> PlaceTranscripts:
        allowed = interaction.guild_id is None or interaction.permissions.read_message_history
        return PlaceTranscripts(interaction.client, self._reader, place, interaction.id, allowed=allowed)

    async def _origin(self, interaction: discord.Interaction) -> tuple[ThreadKey, Author, Audience]:
        """Return where an interaction took place, its user, and who reads an answer there."""
        thread = parse.interaction_key(interaction, self._tenant_of(interaction.guild_id))
        return thread, *await self._readers.of_interaction(interaction, thread.channel_id)

    async def _suggest(self, interaction: discord.Interaction, what: Suggested, typed: str) -> Choices:
        with self._tasks.track():
            return await suggest(self._commands.services, what, *await self._origin(interaction), typed)

    async def _command_failed(self, interaction: discord.Interaction, error: Exception) -> None:
        """Tell the user privately about an error before the command ran."""
        cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        if isinstance(cause, discord.HTTPException) and cause.code in HANDLED_ELSEWHERE:
            return
        if isinstance(cause, app_commands.CommandSignatureMismatch | app_commands.CommandNotFound):
            message = user_messages.COMMANDS_CHANGED
        elif isinstance(cause, app_commands.TransformerError):
            message = user_messages.UNREADABLE_OPTION
        elif isinstance(cause, ParleyError):
            message = str(cause)
        else:
            await self._report_failure(interaction, "a command", cause)
            return
        await _send_privately(interaction, message)

    # --- message context menus

    async def _ask_about(self, interaction: discord.Interaction, message: discord.Message) -> None:
        with self._tasks.track():
            await context_menus.ask_about(interaction, message)

    async def _forget(self, interaction: discord.Interaction, message: discord.Message) -> None:
        with self._tasks.track():
            await interaction.response.defer(ephemeral=True, thinking=True)
            thread, by, _ = await self._origin(interaction)
            try:
                result = await context_menus.forget(
                    self._dispatcher, self._commands.services, thread, by, message, self._surface_for
                )
            except ParleyError as error:
                result = str(error)
            await interaction.edit_original_response(content=render.markdown(result), allowed_mentions=NO_MENTIONS)

    # --- buttons and modals

    async def handle_component(self, interaction: discord.Interaction) -> None:
        """Handle a button of this bot, or a submitted modal. Ignores all other interactions. Never raises."""
        data: Mapping[str, object] = cast(Mapping[str, object], interaction.data or {})
        found = render.parse_custom_id(str(data.get("custom_id", "")))
        if found is None:
            return
        action, turn_id = found
        with self._tasks.track():
            try:
                await self._act(interaction, action, turn_id)
            except discord.HTTPException as error:
                if error.code not in HANDLED_ELSEWHERE:
                    await self._report_failure(interaction, f"button {action}", error)
            except Exception as error:
                await self._report_failure(interaction, f"button {action}", error)

    async def _act(self, interaction: discord.Interaction, action: str, turn_id: str) -> None:
        actions: Mapping[str, Callable[[], Awaitable[None]]] = {
            "reason": partial(self._buttons.save_reason, interaction, turn_id),
            "why": partial(self._run_privately, interaction, "why", turn_id),
            "sources": partial(self._run_privately, interaction, "sources", turn_id),
            "about": partial(self._run_privately, interaction, "ask", _question_about(interaction)),
            "share": partial(self._share, interaction, turn_id),
            "accept": partial(self._run_privately, interaction, "docs", f"accept {turn_id}"),
            "save": partial(self._run_privately, interaction, "docs", f"save {turn_id}"),
            "verify": partial(self._run_privately, interaction, "docs", f"verify {turn_id}"),
            "halt": partial(self._run_privately, interaction, "ingest", f"stop {turn_id}"),
        }
        await actions.get(action, partial(self._buttons.press, interaction, action, turn_id))()

    async def _share(self, interaction: discord.Interaction, turn_id: str) -> None:
        await interaction.response.defer()
        thread, by, audience = await self._origin(interaction)
        try:
            await ask.check_share(self._commands.services, thread, turn_id, by, audience)
        except ParleyError as error:
            await send_ephemeral(interaction, str(error))
            return
        await context_menus.share(interaction)

    async def _run_privately(self, interaction: discord.Interaction, name: str, arguments: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await self._run(interaction, name, arguments)

    async def _report_failure(self, interaction: discord.Interaction, what: str, error: Exception) -> None:
        trace_id = secrets.token_hex(4)
        log.error("%s failed, trace ID %s", what, trace_id, exc_info=error)
        await _send_privately(interaction, user_messages.failed(trace_id))


def _question_about(interaction: discord.Interaction) -> str:
    data: Mapping[str, object] = cast(Mapping[str, object], interaction.data or {})
    return question_about(modal_value(data, "question"), modal_value(data, "message"))


async def _send_privately(interaction: discord.Interaction, text: str) -> None:
    with contextlib.suppress(discord.DiscordException, OSError):
        if interaction.response.is_done():
            await send_ephemeral(interaction, text)
        else:
            await interaction.response.send_message(text, ephemeral=True)
