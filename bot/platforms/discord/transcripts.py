"""Reads the messages of a Discord thread, or of the last day of a channel, with their links."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import discord

from bot.errors import NotAllowed
from bot.platforms.discord import thread_context, user_messages
from bot.platforms.discord.errors import translated_errors
from bot.platforms.discord.message_reader import MessageReader
from bot.types.conversation import ChatMessage, Extent, ThreadKey

DAY = timedelta(hours=24)
MAX_MESSAGES = 400
"""The most messages of a day that are read, the newest."""


class PlaceTranscripts:
    """The ``TranscriptReader`` of one place: the messages before the message ``before``, an ID.

    ``allowed``: whether the person who asks may read the history of the channel.
    """

    def __init__(
        self, client: discord.Client, reader: MessageReader, place: ThreadKey, before: int, *, allowed: bool = True
    ) -> None:
        self._client = client
        self._reader = reader
        self._place = place
        self._before = before
        self._allowed = allowed

    async def transcript(self, extent: Extent) -> Sequence[ChatMessage]:
        """Return the messages of people and other bots, oldest first. Raises NotAllowed, SurfaceError."""
        if not self._allowed:
            raise NotAllowed(user_messages.HISTORY_NOT_READABLE_BY_YOU)
        async with translated_errors():
            messages = await (self._thread() if extent == "thread" else self._last_day())
            guild = self._guild()
            me = self._client.user.id if self._client.user else 0
            written = [one for one in messages if one.author.id != me and one.type in thread_context.CONTENT_TYPES]
            return [await self._read(one, guild) for one in written]

    async def _thread(self) -> list[discord.Message]:
        place = self._place
        parent = self._client.get_channel(int(place.channel_id))
        return await thread_context.messages_before(
            self._client, parent, int(place.channel_id), int(place.thread_id), self._before
        )

    async def _last_day(self) -> list[discord.Message]:
        channel = self._client.get_partial_messageable(int(self._place.channel_id))
        since = discord.utils.snowflake_time(self._before) - DAY
        before = discord.Object(self._before)
        found = [one async for one in channel.history(limit=MAX_MESSAGES, before=before, oldest_first=False)]
        return [one for one in reversed(found) if one.created_at >= since]

    def _guild(self) -> discord.Guild | None:
        channel = self._client.get_channel(int(self._place.channel_id))
        return channel.guild if isinstance(channel, discord.abc.GuildChannel) else None

    async def _read(self, message: discord.Message, guild: discord.Guild | None) -> ChatMessage:
        return ChatMessage(
            author=thread_context.name_of(message),
            author_id="" if message.author.bot else str(message.author.id),
            text=await self._reader.everything(message, guild),
            at=message.created_at,
            link=_link(message, guild),
        )


def _link(message: discord.Message, guild: discord.Guild | None) -> str:
    """Return the address that opens a message; ``jump_url`` lacks the server where the message does not name it."""
    place = guild.id if guild else "@me"
    return f"https://discord.com/channels/{place}/{message.channel.id}/{message.id}"
