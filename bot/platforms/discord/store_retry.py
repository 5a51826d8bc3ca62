"""Retries storing a message while the database or Discord is away, because Discord delivers each message only once."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

import discord

from bot.errors import PlatformAway, StoreAway, for_operator
from bot.platforms.discord import user_messages
from bot.platforms.discord.render import NO_MENTIONS, markdown, short_nonce

log = logging.getLogger(__name__)

RETRY_SECONDS = 300.0
"""Seconds to retry storing a message. Five minutes, like Slack's redeliveries."""
NOTIFY_AFTER = 10.0
"""Seconds after which the asker is notified of the delay."""
FIRST_PAUSE, MAX_PAUSE = 0.5, 5.0


async def retry_until_stored(
    store: Callable[[], Awaitable[None]],
    notify: Callable[[str], Awaitable[None]],
    *,
    seconds: float = RETRY_SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    rand: Callable[[], float] = random.random,
) -> None:
    """Await ``store``, and retry it while the database or Discord is unavailable.

    Awaits ``notify`` once if this takes long. Raises StoreAway or PlatformAway after ``seconds``.
    """
    started, pause, notified = monotonic(), FIRST_PAUSE, False
    while True:
        try:
            return await store()
        except (StoreAway, PlatformAway) as away:
            waited = monotonic() - started
            log.warning("a message could not be stored (%s); retrying", for_operator(away))
            if waited + pause > seconds:
                raise
        if waited > NOTIFY_AFTER and not notified:
            notified = True
            await notify(user_messages.NOT_STORED_YET)
        await sleep(pause * (0.5 + rand()))
        pause = min(2 * pause, MAX_PAUSE)


async def reply_once(message: discord.Message, text: str) -> None:
    """Reply to a message once among all processes. Discord remembers the nonce for some minutes. Never raises."""
    try:
        await message.channel.send(
            markdown(text),
            reference=message.to_reference(fail_if_not_exists=False),
            allowed_mentions=NO_MENTIONS,
            nonce=short_nonce(f"away {message.id}"),
        )
    except (discord.DiscordException, OSError) as error:
        log.warning("could not send %r to channel %s: %s", text, message.channel.id, error)
