"""Handles the buttons below an answer: stop, ask again, stronger model, thumbs and the reason for a thumb down.

The buttons work after a restart, because a button's ID holds its action and its turn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import discord

from bot.errors import ParleyError
from bot.platforms.discord import render, user_messages
from bot.platforms.discord.render import NO_MENTIONS
from bot.types.audience import Audience
from bot.types.conversation import Author, ThreadKey
from bot.types.turns import Turn
from bot.types.usage import Tier

if TYPE_CHECKING:
    from bot.engine.dispatch.dispatcher import Dispatcher
    from bot.engine.ports.surface import Surface

REASON_CHARS = 1000

SurfaceFor = Callable[[Turn], "Surface"]
TenantOf = Callable[[int | None], str]
Origin = Callable[[discord.Interaction], Awaitable[tuple[ThreadKey, Author, Audience]]]
"""Returns where an interaction took place, its user, and who reads an answer there."""


class Buttons:
    """Carries out the buttons that act on a turn. (``why`` and ``sources`` run as commands instead.)"""

    def __init__(self, dispatcher: Dispatcher, surface_for: SurfaceFor, origin: Origin) -> None:
        self._dispatcher = dispatcher
        self._surface_for = surface_for
        self._origin = origin

    async def press(self, interaction: discord.Interaction, action: str, turn_id: str) -> None:
        """Acknowledge the button, then act. Only the user who pressed it sees a refusal. Raises unexpected errors."""
        if action == "down":
            await self._ask_reason(interaction, turn_id)
        else:
            await interaction.response.defer()
        try:
            message = await self._act(interaction, action, turn_id)
        except ParleyError as error:
            message = str(error)
        if message:
            await send_ephemeral(interaction, message)

    async def _act(self, interaction: discord.Interaction, action: str, turn_id: str) -> str:
        """Carry out an action; return the message to the user, empty if there is none."""
        thread, by, audience = await self._origin(interaction)
        tenant = thread.tenant_id
        if action == "stop":
            await self._dispatcher.stop(turn_id, by, tenant_id=tenant)
        elif action in ("again", "strong"):
            wish: Tier | None = "strong" if action == "strong" else None
            turn = await self._dispatcher.repeat(turn_id, by, tenant_id=tenant, wish=wish, audience=audience)
            self._dispatcher.start(turn, self._surface_for(turn))
        elif action == "up":
            await self._dispatcher.rate(turn_id, by, tenant_id=tenant, value=1)
            return user_messages.THANKS_UP
        elif action == "down":
            await self._dispatcher.rate(turn_id, by, tenant_id=tenant, value=-1)
        return ""

    async def _ask_reason(self, interaction: discord.Interaction, turn_id: str) -> None:
        modal = discord.ui.Modal(title=user_messages.REASON_TITLE, custom_id=render.custom_id("reason", turn_id))
        modal.add_item(
            discord.ui.TextInput(
                label=user_messages.REASON_LABEL,
                custom_id="reason",
                placeholder=user_messages.REASON_HINT,
                style=discord.TextStyle.paragraph,
                max_length=REASON_CHARS,
                required=False,
            )
        )
        modal.stop()
        await interaction.response.send_modal(modal)

    async def save_reason(self, interaction: discord.Interaction, turn_id: str) -> None:
        """Store the reason for a 👎 that was entered in the modal."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        message = user_messages.THANKS_DOWN
        thread, by, _ = await self._origin(interaction)
        try:
            await self._dispatcher.rate(
                turn_id,
                by,
                tenant_id=thread.tenant_id,
                value=-1,
                reason=modal_value(interaction.data or {}, "reason"),
            )
        except ParleyError as error:
            message = str(error)
        await interaction.edit_original_response(content=render.markdown(message), allowed_mentions=NO_MENTIONS)


async def send_ephemeral(interaction: discord.Interaction, text: str) -> None:
    """Send a message that only the user of the interaction sees."""
    await interaction.followup.send(render.markdown(text), ephemeral=True, allowed_mentions=NO_MENTIONS)


def modal_value(data: Any, field: str) -> str:
    """Return the text entered in a field of a modal. Rows and labels may wrap the input."""
    if isinstance(data, dict):
        if data.get("custom_id") == field and "value" in data:
            return str(data["value"]).strip()
        return modal_value(data.get("components") or data.get("component") or [], field)
    if isinstance(data, list):
        return next((text for one in data if (text := modal_value(one, field))), "")
    return ""
