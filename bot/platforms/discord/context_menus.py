"""Handles the entries in a message's context menu ("Ask about this", "Forget this"), and shares private answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import discord

from bot.engine.dispatch.permissions import with_granted_role
from bot.errors import UsageError
from bot.platforms.discord import message_text, render, text_limits, user_messages
from bot.platforms.discord.buttons import send_ephemeral
from bot.platforms.discord.render import NO_MENTIONS
from bot.types.conversation import Author, ThreadKey
from bot.types.turns import Turn

if TYPE_CHECKING:
    from bot.commands.services import Services
    from bot.engine.dispatch.dispatcher import Dispatcher
    from bot.engine.ports.surface import Surface

QUESTION_CHARS = 1000


async def ask_about(interaction: discord.Interaction, message: discord.Message) -> None:
    """Show a modal for a question about a message.

    The modal contains the message as a field, so it is not fetched again.
    """
    said = message_text.everything(message)
    said = message_text.with_names(said, message_text.known_names(message, interaction.guild, said))
    quoted = text_limits.cut(f"{message.author.display_name}: {said}", text_limits.MODAL_VALUE)
    modal = discord.ui.Modal(title=user_messages.ABOUT_TITLE, custom_id=render.custom_id("about", "this"))
    modal.add_item(
        discord.ui.TextInput(label=user_messages.ABOUT_LABEL, custom_id="question", max_length=QUESTION_CHARS)
    )
    modal.add_item(
        discord.ui.TextInput(
            label=user_messages.ABOUT_MESSAGE,
            custom_id="message",
            style=discord.TextStyle.paragraph,
            default=quoted,
            max_length=text_limits.MODAL_VALUE,
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
    """Delete the question in a message, or the question that the message answers; return the confirmation.

    Raises NotAllowed, UsageError, StoreAway.
    """
    answered = sorted(render.turn_ids(message))
    for turn_id in answered:
        await dispatcher.forget(turn_id, by, tenant_id=thread.tenant_id, surface_for=surface_for)
    if answered:
        return user_messages.FORGOTTEN
    by = await with_granted_role(services.stores.settings, by, thread.tenant_id)
    may_delete = str(message.author.id) == by.id or (by.is_admin and not message.author.bot)
    if not may_delete or not await dispatcher.deleted(thread, str(message.id), surface_for):
        raise UsageError(user_messages.NOTHING_TO_FORGET)
    return user_messages.FORGOTTEN


async def share(interaction: discord.Interaction) -> None:
    """Post the private answer above the pressed button to the channel, and remove the button.

    The interaction must be deferred, and it must have been checked that everybody there may read the answer.
    """
    message = interaction.message
    if message is None or not (message.content or message.attachments):
        await send_ephemeral(interaction, user_messages.NOTHING_TO_SHARE)
        return
    note = user_messages.shared_by(render.plain(interaction.user.display_name))
    content = f"{message.content}\n-# {note}"
    embeds = []
    if text_limits.size(content) > text_limits.CONTENT:
        content, embeds = message.content, [discord.Embed(description=note)]
    files = [await file.to_file() for file in message.attachments]
    await interaction.followup.send(content, embeds=embeds, files=files, ephemeral=False, allowed_mentions=NO_MENTIONS)
    await interaction.edit_original_response(view=None)
