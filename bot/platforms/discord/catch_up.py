"""Messages that would be lost: Discord delivers each once, whether or not the bot could take it in.

What cannot be stored is tried again for a while; what was said while no process was connected is read afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta

import discord

from bot.errors import StoreAway, for_operator
from bot.platforms.discord import user_messages
from bot.platforms.discord.surface import NO_MENTIONS, short

log = logging.getLogger(__name__)

KEEP_TRYING = 300.0
"""Seconds that a message which cannot be stored is tried again; Slack delivers its own again for five minutes."""
SAY_AFTER = 10.0
"""Seconds after which the asker is told that it takes longer."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0

LONGEST_AWAY = timedelta(hours=24)
_Channel = discord.TextChannel | discord.VoiceChannel | discord.Thread

OVERLAP = timedelta(seconds=60)
"""What the last process may have heard and not have stored when it died."""
LOOK_AGAIN = 2.0
"""Seconds until a database that is away is asked again what was missed."""
MOST_MISSED = 500
"""Messages that are read afterwards in one channel."""


async def persistently(
    take: Callable[[], Awaitable[None]],
    tell: Callable[[str], Awaitable[None]],
    *,
    seconds: float = KEEP_TRYING,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    rand: Callable[[], float] = random.random,
) -> None:
    """Take a message in, and try again while the database is away; ``tell`` is awaited once where that takes long.

    Raises StoreAway after ``seconds``.
    """
    begun, pause, told = monotonic(), FIRST_PAUSE, False
    while True:
        try:
            return await take()
        except StoreAway as away:
            waited = monotonic() - begun
            log.warning("a message could not be stored (%s); trying again", for_operator(away))
            if waited + pause > seconds:
                raise
        if waited > SAY_AFTER and not told:
            told = True
            await tell(user_messages.NOT_STORED_YET)
        await sleep(pause * (0.5 + rand()))
        pause = min(2 * pause, LONGEST_PAUSE)


async def say_once(message: discord.Message, text: str) -> None:
    """Reply to a message, once among all processes: Discord knows the nonce for some minutes. Never raises."""
    try:
        await message.channel.send(
            text,
            reference=message.to_reference(fail_if_not_exists=False),
            allowed_mentions=NO_MENTIONS,
            nonce=short(f"away {message.id}"),
        )
    except (discord.DiscordException, OSError) as error:
        log.warning("could not tell %s in channel %s: %s", text, message.channel.id, error)


def away_since(last: datetime | None, now: datetime) -> datetime | None:
    """Since when messages may have been missed; ``last`` is when somebody was there, None where nobody ever was."""
    return None if last is None else max(last - OVERLAP, now - LONGEST_AWAY)


async def missed(
    guilds: Iterable[discord.Guild], direct: Iterable[discord.PartialMessageable], since: datetime
) -> AsyncIterator[discord.Message]:
    """Messages of people since then, channel by channel: of every channel that has newer ones, and of DMs."""
    start = discord.Object(discord.utils.time_snowflake(since.astimezone(UTC)))
    for place in [*_channels(guilds, start.id), *direct]:
        try:
            async for message in place.history(limit=MOST_MISSED, after=start, oldest_first=True):
                if not message.author.bot:
                    yield message
        except discord.HTTPException as error:
            log.info("channel %s could not be read for what was missed: %s", place.id, error)


def _channels(guilds: Iterable[discord.Guild], since: int) -> list[_Channel]:
    places: list[_Channel] = []
    for guild in guilds:
        places += [*guild.text_channels, *guild.voice_channels, *guild.threads]
    return [place for place in places if (place.last_message_id or 0) >= since]
