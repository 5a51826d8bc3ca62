"""What Discord calls interactions: slash commands, buttons, modals and the menu of a message."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, cast

import discord
from discord import app_commands

from bot.commands.base import Command
from bot.errors import ParleyError
from bot.platforms.discord import command_replies, context_menus, parse, render, slash_commands, user_messages
from bot.platforms.discord.autocomplete import Offered, suggest
from bot.platforms.discord.buttons import Buttons, SurfaceFor, TenantOf, typed, whisper
from bot.platforms.discord.command_options import Suggested
from bot.platforms.discord.command_runner import Asked, Orders
from bot.types.conversation import Attachment, Author, ThreadKey

if TYPE_CHECKING:
    from bot.engine.dispatch.dispatcher import Dispatcher

log = logging.getLogger(__name__)

TAKEN = frozenset({10062, 40060})
"""An interaction is void, or another process was faster: every process that is connected gets every interaction."""

Handling = Callable[[], contextlib.AbstractContextManager[None]]


class Interactions:
    """Acknowledges each within Discord's 3 s, then acts. Keeps nothing: what is pressed says what it is about."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        orders: Orders,
        *,
        surface_for: SurfaceFor,
        tenant_of: TenantOf,
        admins: tuple[str, ...],
        handling: Handling,
    ) -> None:
        self._dispatcher = dispatcher
        self._orders = orders
        self._surface_for = surface_for
        self._tenant_of = tenant_of
        self._admins = admins
        self._handling = handling
        self._buttons = Buttons(dispatcher, surface_for, tenant_of, admins)

    def handlers(self) -> slash_commands.Handlers:
        """For the command tree."""
        chosen = {user_messages.ABOUT_MENU: self._about, user_messages.FORGET_MENU: self._forget}
        return slash_commands.Handlers(self._command, self._suggest, self._failed, chosen)

    # --- slash commands

    async def _command(
        self,
        interaction: discord.Interaction,
        command: Command,
        arguments: str,
        files: tuple[discord.Attachment, ...],
    ) -> None:
        with self._handling():
            try:
                await interaction.response.defer(ephemeral=True, thinking=True)
            except discord.HTTPException as error:
                log.info("/%s was not taken: %s", command.name, error)
                return
            await self._run(interaction, command.name, arguments, tuple(parse.attachment(file) for file in files))

    async def _run(
        self, interaction: discord.Interaction, name: str, arguments: str, attachments: tuple[Attachment, ...] = ()
    ) -> None:
        thread, author = self._who(interaction)
        inside = interaction.guild_id is None or thread.thread_id != thread.channel_id
        asked = Asked(thread, author, interaction.user, inside, attachments)
        await command_replies.carry_out(
            self._orders.runner(name, arguments, asked), command_replies.InteractionAnswer(interaction)
        )

    def _who(self, interaction: discord.Interaction) -> tuple[ThreadKey, Author]:
        thread = parse.interaction_key(interaction, self._tenant_of(interaction.guild_id))
        return thread, parse.interaction_author(interaction, self._admins)

    async def _suggest(self, interaction: discord.Interaction, what: Suggested, typed_so_far: str) -> Offered:
        with self._handling():
            return await suggest(self._orders.services, what, *self._who(interaction), typed_so_far)

    async def _failed(self, interaction: discord.Interaction, error: Exception) -> None:
        """Something went wrong before a command ran: say it to the person alone."""
        cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        if isinstance(cause, discord.HTTPException) and cause.code in TAKEN:
            return
        if isinstance(cause, app_commands.CommandSignatureMismatch | app_commands.CommandNotFound):
            told = user_messages.COMMANDS_CHANGED
        elif isinstance(cause, app_commands.TransformerError):
            told = user_messages.UNREADABLE_OPTION
        elif isinstance(cause, ParleyError):
            told = str(cause)
        else:
            await self._excuse(interaction, "a command", cause)
            return
        await _say(interaction, told)

    # --- the menu of a message

    async def _about(self, interaction: discord.Interaction, message: discord.Message) -> None:
        with self._handling():
            await context_menus.ask_about(interaction, message)

    async def _forget(self, interaction: discord.Interaction, message: discord.Message) -> None:
        with self._handling():
            await interaction.response.defer(ephemeral=True, thinking=True)
            thread, by = self._who(interaction)
            try:
                told = await context_menus.forget(
                    self._dispatcher, self._orders.services, thread, by, message, self._surface_for
                )
            except ParleyError as error:
                told = str(error)
            await interaction.edit_original_response(content=told)

    # --- buttons and modals

    async def pressed(self, interaction: discord.Interaction) -> None:
        """A button under an answer, or what was typed into a modal. Others', and slash commands, are passed over."""
        data: Mapping[str, object] = cast(Mapping[str, object], interaction.data or {})
        found = render.pressed(str(data.get("custom_id", "")))
        if found is None:
            return
        action, turn_id = found
        with self._handling():
            try:
                await self._press(interaction, action, turn_id)
            except discord.HTTPException as error:
                if error.code not in TAKEN:
                    await self._excuse(interaction, f"button {action}", error)
            except Exception as error:
                await self._excuse(interaction, f"button {action}", error)

    async def _press(self, interaction: discord.Interaction, action: str, turn_id: str) -> None:
        actions: Mapping[str, Callable[[], Awaitable[None]]] = {
            "reason": partial(self._buttons.reason, interaction, turn_id),
            "why": partial(self._privately, interaction, "why", turn_id),
            "sources": partial(self._privately, interaction, "sources", turn_id),
            "about": partial(self._privately, interaction, "ask", _asked_about(interaction)),
            "share": partial(context_menus.share, interaction),
            "halt": partial(self._privately, interaction, "ingest", f"stop {turn_id}"),
        }
        await actions.get(action, partial(self._buttons.press, interaction, action, turn_id))()

    async def _privately(self, interaction: discord.Interaction, name: str, arguments: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await self._run(interaction, name, arguments)

    async def _excuse(self, interaction: discord.Interaction, what: str, error: Exception) -> None:
        trace = secrets.token_hex(4)
        log.error("%s failed, trace %s", what, trace, exc_info=error)
        await _say(interaction, user_messages.failed(trace))


def _asked_about(interaction: discord.Interaction) -> str:
    data: Mapping[str, object] = cast(Mapping[str, object], interaction.data or {})
    return user_messages.about(typed(data, "question"), typed(data, "message"))


async def _say(interaction: discord.Interaction, text: str) -> None:
    with contextlib.suppress(discord.DiscordException, OSError):
        if interaction.response.is_done():
            await whisper(interaction, text)
        else:
            await interaction.response.send_message(text, ephemeral=True)
