"""The entries in the menu of a message, and the button that shares a private answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import discord

from bot.engine.dispatch.permissions import with_granted_role
from bot.errors import NotAllowed, UsageError
from bot.platforms.discord import parse, render, user_messages
from bot.platforms.discord.buttons import whisper
from bot.types.conversation import Author, ThreadKey
from bot.types.turns import Turn

if TYPE_CHECKING:
    from bot.commands.services import Services
    from bot.engine.dispatch.dispatcher import Dispatcher
    from bot.engine.ports.surface import Surface

QUESTION_CHARS = 1000
MESSAGE_CHARS = 4000
"""Discord's limit of a field of a modal."""
NO_MENTIONS = discord.AllowedMentions.none()


async def ask_about(interaction: discord.Interaction, message: discord.Message) -> None:
    """Ask what they want to know. The message stands in a field of its own: nothing needs to be read again later."""
    said = f"{message.author.display_name}: {parse.readable(message)}"[:MESSAGE_CHARS]
    modal = discord.ui.Modal(title=user_messages.ABOUT_TITLE, custom_id=render.custom_id("about", "this"))
    modal.add_item(
        discord.ui.TextInput(label=user_messages.ABOUT_LABEL, custom_id="question", max_length=QUESTION_CHARS)
    )
    modal.add_item(
        discord.ui.TextInput(
            label=user_messages.ABOUT_MESSAGE,
            custom_id="message",
            style=discord.TextStyle.paragraph,
            default=said,
            max_length=MESSAGE_CHARS,
        )
    )
    modal.stop()
    await interaction.response.send_modal(modal)


async def forget(
    dispatcher: Dispatcher,
    services: Services,
    thread: ThreadKey,
    by: Author,
    message: discord.Message,
    surface_for: Callable[[Turn], Surface],
) -> str:
    """Forget the question that the message is, or that it answers. Raises NotAllowed, UsageError, StoreAway."""
    by = await with_granted_role(services.stores.settings, by, thread.tenant_id)
    named = [
        await services.stores.inbox.turn(thread.tenant_id, turn_id) for turn_id in sorted(render.turns_of(message))
    ]
    turns = [turn for turn in named if turn is not None]
    if turns:
        if any(turn.author.id != by.id for turn in turns) and not by.is_admin:
            raise NotAllowed(user_messages.NOT_YOURS_TO_FORGET)
        asked = {(turn.thread, turn.message_id.partition(":")[0]) for turn in turns}
    elif str(message.author.id) == by.id or (by.is_admin and not message.author.bot):
        asked = {(thread, str(message.id))}
    else:
        raise UsageError(user_messages.NOTHING_TO_FORGET)
    forgotten = [turn for where, asked_id in asked for turn in await dispatcher.deleted(where, asked_id, surface_for)]
    if not forgotten:
        raise UsageError(user_messages.NOTHING_TO_FORGET)
    return user_messages.FORGOTTEN


async def share(interaction: discord.Interaction) -> None:
    """Show the channel the private answer under which the button stood, and take the button away."""
    await interaction.response.defer()
    message = interaction.message
    if message is None or not (message.content or message.attachments):
        await whisper(interaction, user_messages.NOTHING_TO_SHARE)
        return
    told = user_messages.shared_by(discord.utils.escape_markdown(interaction.user.display_name))
    content = f"{message.content}\n-# {told}"
    embeds = []
    if len(content) > render.CONTENT_CHARS:
        content, embeds = message.content, [discord.Embed(description=told)]
    files = [await file.to_file() for file in message.attachments]
    await interaction.followup.send(content, embeds=embeds, files=files, ephemeral=False, allowed_mentions=NO_MENTIONS)
    await interaction.edit_original_response(view=None)
