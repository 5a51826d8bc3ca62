"""Reads Discord messages as people do: names in place of IDs, and everything that stands beside the content."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import aiohttp
import discord

from bot.platforms.discord import message_text, parse
from bot.platforms.discord.message_text import NamedChannel, Names
from bot.platforms.question_about_message import question_about
from bot.types.bounded_mapping import RecentEntries

log = logging.getLogger(__name__)

CACHE_SECONDS = 600.0
MAX_LOOKUPS = 10
"""People in one text whose names are looked up, because Discord did not send them along."""
TIMEOUT_SECONDS = 3.0
ABOVE = 10
"""Messages above a mention without a question among which the one is searched that it is about."""


class MessageReader:
    """Reads messages. The names of people whom Discord does not send along are looked up and cached."""

    def __init__(
        self,
        client: discord.Client,
        *,
        channels: Mapping[int, NamedChannel] = MappingProxyType({}),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``channels`` are those of the server, for a client that is not connected and so knows none."""
        self._client = client
        self._channels = channels
        self._clock = clock
        self._users: RecentEntries[tuple[int, str], tuple[float, str]] = RecentEntries()

    async def question(self, message: discord.Message, channel: object, me: int) -> str:
        """Return the question in a message, with what it is about: a forwarded message, a poll, a forum post.

        A mention alone is about the message that it replies to, or about the last one above it in its thread. The
        result is empty if there is none, or if it is the bot's own.
        """
        guild = _guild_of(message, channel)
        typed = parse.without_own(message.content, parse.own_ids(message, me))
        beside = message_text.beside_content(message)
        if isinstance(channel, discord.Thread) and channel.id == message.id:
            typed = "\n\n".join(filter(None, (message_text.post_title(channel), typed)))
        if not typed.strip() and not beside and not message.attachments:
            return question_about("", await self._message_above(message, channel, me))
        readable = [await self._readable(text, message, guild) for text in (typed, beside)]
        return question_about(*readable)

    async def everything(self, message: discord.Message, guild: discord.Guild | None = None) -> str:
        """Return all that a reader of the message sees. Never raises for Discord's errors.

        ``guild`` is the server of the message, whose own one may lack roles and channels.
        """
        return await self._readable(message_text.everything(message), message, guild or message.guild)

    async def _message_above(self, message: discord.Message, channel: object, me: int) -> str:
        answered = message.reference.resolved if message.reference else None
        if isinstance(answered, discord.Message):
            above: discord.Message | None = answered
        elif isinstance(channel, discord.Thread):
            above = await self._last_before(message, channel)
        else:
            above = None
        is_other = above is not None and above.author.id != me
        return await self.everything(above, _guild_of(message, channel)) if above is not None and is_other else ""

    async def _last_before(self, message: discord.Message, thread: discord.Thread) -> discord.Message | None:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                async for above in thread.history(limit=ABOVE, before=message):
                    if message_text.everything(above):
                        return above
                if thread.starter_message is not None:
                    return thread.starter_message
                parent = thread.parent
                return await parent.fetch_message(thread.id) if isinstance(parent, discord.TextChannel) else None
        except (discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.info("the message above %s could not be read: %s", message.id, type(error).__name__)
            return None

    async def _readable(self, text: str, message: discord.Message, guild: discord.Guild | None) -> str:
        return message_text.with_names(text, await self._names(text, message, guild))

    async def _names(self, text: str, message: discord.Message, guild: discord.Guild | None) -> Names:
        known = message_text.known_names(message, guild, text, self._channels)
        people = [number for sign, number in message_text.markers(text) if sign == "@" and number not in known.users]
        wanted = people[:MAX_LOOKUPS]
        found = await asyncio.gather(*(self._user_name(guild, number) for number in wanted))
        named = {number: name for number, name in zip(wanted, found, strict=True) if name}
        return replace(known, users={**known.users, **named})

    async def _user_name(self, guild: discord.Guild | None, number: str) -> str:
        """Return the name of a person on a server, or without a server; empty if Discord does not tell it."""
        key = (guild.id if guild else 0, number)
        cached = self._users.get(key)
        if cached is None or self._clock() - cached[0] >= CACHE_SECONDS:
            cached = (self._clock(), await self._looked_up(guild, int(number)))
            self._users[key] = cached
        return cached[1]

    async def _looked_up(self, guild: discord.Guild | None, user_id: int) -> str:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                found = await (guild.fetch_member(user_id) if guild else self._client.fetch_user(user_id))
                return found.display_name
        except (discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.info("Discord did not tell the name of %s: %s", user_id, type(error).__name__)
            return ""


def _guild_of(message: discord.Message, channel: object) -> discord.Guild | None:
    return message.guild or (channel.guild if isinstance(channel, discord.Thread) else None)
