"""Discord, wired: logs in, connects, serves until cancelled."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import discord

from bot import commands as shipped
from bot.errors import ConfigError
from bot.platforms.discord import user_messages
from bot.platforms.discord.client import Parley
from bot.platforms.discord.command_runner import Commands
from bot.platforms.discord.connection import addressed, explained, terse

if TYPE_CHECKING:
    from bot.commands.services import Services
    from bot.config import Settings
    from bot.engine.dispatch.dispatcher import Dispatcher

log = logging.getLogger(__name__)

RESUME_EVERY = 10.0
"""Seconds between two looks for turns that no live process holds."""


async def serve(
    dispatcher: Dispatcher,
    services: Services,
    settings: Settings,
    *,
    ready: asyncio.Event | None = None,
    commands: Commands = shipped,
) -> None:
    """Serve Discord until cancelled; ``ready`` is set once it is connected and old turns are taken up.

    When it is cancelled it closes the desk first, so that answers that are being written can be shown to their end.
    Without the Message Content Intent it serves mentions and direct messages, and says so in the log.
    Raises ConfigError, in one line with the cure: no token, a wrong one, Discord out of reach.
    """
    if settings.discord_token is None:
        raise ConfigError(user_messages.LOGIN_MISSING)
    token = settings.discord_token.get_secret_value()
    with addressed(settings), explained(), terse():
        try:
            await _run(Parley(dispatcher, services, settings, commands=commands, ready=ready), token)
        except discord.PrivilegedIntentsRequired:
            log.warning(user_messages.NO_INTENT)
            await _run(Parley(dispatcher, services, settings, commands=commands, ready=ready, content=False), token)


async def _run(client: Parley, token: str) -> None:
    taking_up = asyncio.create_task(_keep_taking_up(client))
    try:
        async with client:
            try:
                await client.start(token)
            except asyncio.CancelledError:
                await client.drain()
                raise
            finally:
                await client.settle()
    finally:
        taking_up.cancel()
        await asyncio.gather(taking_up, return_exceptions=True)


async def _keep_taking_up(client: Parley) -> None:
    while True:
        await asyncio.sleep(RESUME_EVERY)
        if client.is_ready():
            await client.take_up()
