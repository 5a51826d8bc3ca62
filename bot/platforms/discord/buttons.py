"""What happens when a button under an answer is pressed. Works after a restart: the button's id says everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import discord

from bot.errors import ParleyError
from bot.platforms.discord import parse, render, user_messages
from bot.types.turns import Turn
from bot.types.usage import Tier

if TYPE_CHECKING:
    from bot.engine.dispatch.dispatcher import Dispatcher
    from bot.engine.ports.surface import Surface

REASON_CHARS = 1000

SurfaceFor = Callable[[Turn], "Surface"]
TenantOf = Callable[[int | None], str]


class Buttons:
    """Stop, ask again, stronger model, thumbs. (``why`` is a command and goes its way.)"""

    def __init__(
        self, dispatcher: Dispatcher, surface_for: SurfaceFor, tenant_of: TenantOf, admins: tuple[str, ...]
    ) -> None:
        self._dispatcher = dispatcher
        self._tenant_of = tenant_of
        self._surface_for = surface_for
        self._admins = admins

    async def press(self, interaction: discord.Interaction, action: str, turn_id: str) -> None:
        """Acknowledge at once, then act; a refusal is told to the presser alone. Raises what is no refusal."""
        if action == "down":
            await self._ask_reason(interaction, turn_id)
        else:
            await interaction.response.defer()
        try:
            told = await self._act(interaction, action, turn_id)
        except ParleyError as error:
            told = str(error)
        if told:
            await whisper(interaction, told)

    async def _act(self, interaction: discord.Interaction, action: str, turn_id: str) -> str:
        by = parse.interaction_author(interaction, self._admins)
        tenant = self._tenant_of(interaction.guild_id)
        if action == "stop":
            await self._dispatcher.stop(turn_id, by, tenant_id=tenant)
        elif action in ("again", "strong"):
            wish: Tier | None = "strong" if action == "strong" else None
            turn = await self._dispatcher.repeat(turn_id, by, tenant_id=tenant, wish=wish)
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

    async def reason(self, interaction: discord.Interaction, turn_id: str) -> None:
        """Keep the words that came with a 👎."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        told = user_messages.THANKS_DOWN
        try:
            await self._dispatcher.rate(
                turn_id,
                parse.interaction_author(interaction, self._admins),
                tenant_id=self._tenant_of(interaction.guild_id),
                value=-1,
                reason=typed(interaction.data or {}, "reason"),
            )
        except ParleyError as error:
            told = str(error)
        await interaction.edit_original_response(content=told)


async def whisper(interaction: discord.Interaction, text: str) -> None:
    """Say something to the one who pressed, and to nobody else."""
    await interaction.followup.send(text, ephemeral=True, allowed_mentions=discord.AllowedMentions.none())


def typed(data: Any, field: str) -> str:
    """The text that was typed into that field of a modal; rows and labels wrap the input."""
    if isinstance(data, dict):
        if data.get("custom_id") == field and "value" in data:
            return str(data["value"]).strip()
        return typed(data.get("components") or data.get("component") or [], field)
    return next((text for one in data if (text := typed(one, field))), "") if isinstance(data, list) else ""
