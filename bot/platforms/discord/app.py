"""Discord, wired: logs in, connects, serves until cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bot import commands as shipped
from bot.errors import ConfigError
from bot.platforms.discord import words
from bot.platforms.discord.client import Parley
from bot.platforms.discord.connection import addressed, explained, terse
from bot.platforms.discord.orders import Commands

if TYPE_CHECKING:
    from bot.commands.services import Services
    from bot.config import Settings
    from bot.engine.desk import Desk

RESUME_EVERY = 10.0
"""Seconds between two looks for turns that no live process holds."""


async def serve(
    desk: Desk,
    services: Services,
    settings: Settings,
    *,
    ready: asyncio.Event | None = None,
    commands: Commands = shipped,
) -> None:
    """Serve Discord until cancelled; ``ready`` is set once it is connected and old turns are taken up.

    When it is cancelled it closes the desk first, so that answers that are being written can be shown to their end.
    Raises ConfigError, in one line with the cure: no token, a wrong one, a missing intent, Discord out of reach.
    """
    if settings.discord_token is None:
        raise ConfigError(words.LOGIN_MISSING)
    with addressed(settings), explained(), terse():
        client = Parley(desk, services, settings, commands=commands, ready=ready)
        await _run(client, settings.discord_token.get_secret_value())


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
