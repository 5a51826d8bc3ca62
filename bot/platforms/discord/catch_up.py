"""Reads the messages that were sent while no process was connected to Discord."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta

import aiohttp
import discord

from bot.errors import PlatformAway, for_operator
from bot.platforms.discord import user_messages

log = logging.getLogger(__name__)

_Channel = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.Thread

MAX_AGE = timedelta(hours=24)
"""Messages older than this are not answered late."""
OVERLAP = timedelta(seconds=60)
"""Period before the last process disappeared in which it may have received messages without storing them."""
STORE_RETRY_SECONDS = 2.0
"""Pause before the next attempt while the database is unavailable, and the first one while Discord is."""
LONGEST_PAUSE = 60.0
"""The longest pause, in seconds, before channels for which Discord did not answer are read again."""
MAX_ATTEMPTS = 60
"""How often they are read. The pauses between add up to about an hour."""
MAX_MESSAGES = 500
"""Maximum number of messages to read in each channel."""


def missed_since(last_connected: datetime | None, now: datetime) -> datetime | None:
    """Return the time since when messages may have been missed; None if no process was ever connected."""
    return None if last_connected is None else max(last_connected - OVERLAP, now - MAX_AGE)


async def missed_messages(
    guilds: Iterable[discord.Guild], direct: Iterable[discord.PartialMessageable], since: datetime
) -> AsyncIterator[discord.Message]:
    """Yield the messages of people since then, channel by channel: channels with newer messages, then ``direct``.

    Raises PlatformAway at the end if Discord did not answer for some channel, so that reading again may find more.
    """
    unanswered = 0
    start = discord.Object(discord.utils.time_snowflake(since.astimezone(UTC)))
    for channel in [*_channels_with_news(guilds, start.id), *direct]:
        try:
            async for message in channel.history(limit=MAX_MESSAGES, after=start, oldest_first=True):
                if not message.author.bot:
                    yield message
        except discord.Forbidden as error:
            log.info("missed messages of channel %s may not be read: %s", channel.id, for_operator(error))
        except (discord.DiscordServerError, aiohttp.ClientError, OSError) as error:
            log.warning("missed messages of channel %s could not be read yet: %s", channel.id, for_operator(error))
            unanswered += 1
        except discord.DiscordException as error:
            log.warning("missed messages of channel %s could not be read: %s", channel.id, for_operator(error))
    if unanswered:
        raise PlatformAway(user_messages.missed_not_read(unanswered))


def _channels_with_news(guilds: Iterable[discord.Guild], since: int) -> list[_Channel]:
    channels: list[_Channel] = []
    for guild in guilds:
        channels += [*guild.text_channels, *guild.voice_channels, *guild.stage_channels, *guild.threads]
    return [channel for channel in channels if (channel.last_message_id or 0) >= since]
