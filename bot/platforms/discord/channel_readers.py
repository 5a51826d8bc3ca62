"""Finds out who reads a Discord channel, and whether a person is a member of the server that a message belongs to.

Everybody in a channel means the members of its server who may view it. Who may join the server is up to its admins, so
its members are the team, with two exceptions. On a server that anybody can join, a channel that @everyone may view is
read by anybody, and so are direct messages. And a person who has not passed the server's screening, or who was only
invited to a voice channel, is a guest.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import aiohttp
import discord

from bot.platforms.discord import parse
from bot.types.audience import Audience, Readers, Standing, decide
from bot.types.bounded_mapping import RecentEntries
from bot.types.conversation import Author

log = logging.getLogger(__name__)

CACHE_SECONDS = 60.0
"""How long it is remembered whether a person is a member of a server."""
TIMEOUT_SECONDS = 1.5
"""Discord waits 3 s for the acknowledgment of a command."""
JOINED_BY_ANYBODY = frozenset({"DISCOVERABLE", "PREVIEW_ENABLED", "VANITY_URL"})
"""Features of servers that anybody can join, or read, without an invitation by a member."""

Person = discord.Member | discord.User
Place = discord.abc.GuildChannel | None


class ChannelReaders:
    """Decides who reads an answer. Members are looked up only where Discord does not send them with the event."""

    def __init__(
        self,
        client: discord.Client,
        tenant_of: Callable[[int | None], str],
        admins: Sequence[str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._tenant_of = tenant_of
        self._admins = admins
        self._clock = clock
        self._cache: RecentEntries[tuple[int, int], tuple[float, Standing]] = RecentEntries()

    async def of_message(self, message: discord.Message, channel_id: str, author: Author) -> tuple[Author, Audience]:
        """Return the author of a message with their standing, and who reads an answer to it. Never raises."""
        guild_id = message.guild.id if message.guild else None
        return await self._decide(message.author, guild_id, channel_id, author)

    async def of_interaction(self, interaction: discord.Interaction, channel_id: str) -> tuple[Author, Audience]:
        """Return the user of an interaction, and who reads an answer in its channel. Never raises."""
        author = parse.interaction_author(interaction, self._admins)
        return await self._decide(interaction.user, interaction.guild_id, channel_id, author)

    async def _decide(
        self, person: Person, guild_id: int | None, channel_id: str, author: Author
    ) -> tuple[Author, Audience]:
        if guild_id is None:
            standing, readers = await self._in_direct_message(person.id)
        else:
            guild = self._client.get_guild(guild_id)
            standing = (
                standing_of(person) if isinstance(person, discord.Member) else await self._looked_up(guild, person.id)
            )
            readers = readers_of(guild, guild.get_channel(int(channel_id)) if guild else None)
        administers = author.is_admin or (guild_id is None and self._owns_home(person.id))
        is_admin = administers and standing not in ("guest", "outsider")
        return (
            replace(author, is_admin=is_admin, standing=standing),
            decide(standing, readers, direct=guild_id is None),
        )

    def _owns_home(self, user_id: int) -> bool:
        """Return whether the person owns a server that direct messages belong to. Its other admins show only there."""
        tenant = self._tenant_of(None)
        return any(guild.owner_id == user_id and self._tenant_of(guild.id) == tenant for guild in self._client.guilds)

    async def _in_direct_message(self, user_id: int) -> tuple[Standing, Readers]:
        """Return the person's standing in the servers that direct messages belong to, and who may write such messages.

        A person is what they are in the server where they are most.
        """
        tenant = self._tenant_of(None)
        homes = [guild for guild in self._client.guilds if self._tenant_of(guild.id) == tenant]
        found = await asyncio.gather(*(self._looked_up(guild, user_id) for guild in homes))
        for standing in ("member", "guest", "unknown"):
            there = [guild for guild, known in zip(homes, found, strict=True) if known == standing]
            if there:
                return standing, "public" if all(map(can_be_joined_by_anybody, there)) else "members"
        return "outsider", "members"

    async def _looked_up(self, guild: discord.Guild | None, user_id: int) -> Standing:
        """Return a person's standing in a server; unknown if Discord does not say."""
        if guild is None:
            return "unknown"
        cached = self._cache.get((guild.id, user_id))
        if cached and self._clock() - cached[0] < CACHE_SECONDS:
            return cached[1]
        standing: Standing
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                standing = standing_of(await guild.fetch_member(user_id))
        except discord.NotFound:
            standing = "outsider"
        except (discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("Discord did not say whether %s is a member: %s", user_id, type(error).__name__)
            return "unknown"
        self._cache[guild.id, user_id] = (self._clock(), standing)
        return standing


def standing_of(member: discord.Member) -> Standing:
    """Return what a member of a server is."""
    return "guest" if member.pending or member.flags.guest else "member"


def readers_of(guild: discord.Guild | None, channel: Place) -> Readers:
    """Return who reads a channel of a server; unknown if the bot does not see what decides it."""
    if guild is None:
        return "unknown"
    if not can_be_joined_by_anybody(guild):
        return "members"
    if channel is None:
        return "unknown"
    return "public" if channel.permissions_for(guild.default_role).view_channel else "members"


def can_be_joined_by_anybody(guild: discord.Guild) -> bool:
    """Return whether people can join the server without an invitation by a member."""
    return bool(JOINED_BY_ANYBODY.intersection(guild.features) or guild.vanity_url_code)
