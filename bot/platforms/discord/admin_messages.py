"""Sends notices with a button to the admins of Discord servers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import discord

from bot.commands.admin_notices import ButtonNotice
from bot.engine.ports.surface import Surface
from bot.platforms.discord import render
from bot.platforms.discord.channel_readers import readers_of
from bot.platforms.discord.errors import translated_errors
from bot.platforms.discord.render import NO_MENTIONS
from bot.platforms.discord.text_limits import CONTENT, cut
from bot.types.audience import UNCHECKED, Audience
from bot.types.conversation import Platform
from bot.types.turns import Turn


class DiscordAdminMessenger:
    """The ``AdminMessenger`` of the servers that this process serves. ``tenant_of`` returns the tenant of a server."""

    platform: Platform = "discord"

    def __init__(self, client: discord.Client, tenant_of: Callable[[int | None], str]) -> None:
        self._client = client
        self._tenant_of = tenant_of

    async def served(self) -> Sequence[str]:
        """Return the tenants of the servers; none while the client is not connected."""
        return list(dict.fromkeys(self._tenant_of(guild.id) for guild in self._client.guilds))

    async def admins(self, tenant_id: str) -> Sequence[str]:
        """Return the owners of the servers. Discord does not list the members of roles without a further intent."""
        return [str(guild.owner_id) for guild in self._client.guilds if self._tenant_of(guild.id) == tenant_id]

    def is_person(self, user_id: str) -> bool:
        """Return whether this is the ID of a user."""
        return user_id.isascii() and user_id.isdecimal()

    async def send(self, tenant_id: str, user_id: str, notice: ButtonNotice) -> None:
        """Send the notice as a direct message. Raises SurfaceError.

        It has its buttons where direct messages belong to the tenant; elsewhere a command in the server does the same.
        """
        is_home = self._tenant_of(None) == tenant_id
        text = notice.text if is_home else f"{notice.text} {notice.elsewhere}".strip()
        options: dict[str, Any] = {"view": _buttons(notice)} if is_home and notice.buttons else {}
        async with translated_errors():
            channel = await self._client.create_dm(discord.Object(int(user_id)))
            await channel.send(render.markdown(text), allowed_mentions=NO_MENTIONS, **options)


class DiscordMessenger(DiscordAdminMessenger):
    """The ``PlatformMessenger`` of the servers. ``surface_of`` returns where the reply to a turn is shown."""

    def __init__(
        self, client: discord.Client, tenant_of: Callable[[int | None], str], surface_of: Callable[[Turn], Surface]
    ) -> None:
        super().__init__(client, tenant_of)
        self._surface_of = surface_of

    def surface(self, turn: Turn) -> Surface:
        """Return where the reply to a turn is shown."""
        return self._surface_of(turn)

    async def post(self, tenant_id: str, channel_id: str, text: str) -> None:
        """Post a message of Markdown to a channel. Raises SurfaceError."""
        async with translated_errors():
            channel = self._client.get_partial_messageable(int(channel_id))
            await channel.send(cut(render.markdown(text), CONTENT), allowed_mentions=NO_MENTIONS)

    async def audience(self, tenant_id: str, channel_id: str) -> Audience:
        """Return who reads a channel of a server; unknown if the bot does not see it."""
        channel = self._client.get_channel(int(channel_id)) if channel_id.isdecimal() else None
        if not isinstance(channel, discord.abc.GuildChannel):
            return UNCHECKED
        return Audience(readers_of(channel.guild, channel))

    async def public_channels(self, tenant_id: str, channel_ids: Collection[str]) -> set[str]:
        """Return those of the channels that everybody in the server may read."""
        return {one for one in channel_ids if one.isdecimal() and self._is_public(int(one))}

    def _is_public(self, channel_id: int) -> bool:
        channel = self._client.get_channel(channel_id)
        if not isinstance(channel, discord.abc.GuildChannel):
            return False
        allowed = channel.permissions_for(channel.guild.default_role)
        return allowed.view_channel and allowed.read_message_history


def _buttons(notice: ButtonNotice) -> discord.ui.View:
    return render.buttons_view(
        *(
            discord.ui.Button[discord.ui.View](
                label=one.label,
                custom_id=render.custom_id(one.action, one.value),
                style=discord.ButtonStyle.danger if one.destructive else discord.ButtonStyle.primary,
            )
            for one in notice.buttons
        )
    )
