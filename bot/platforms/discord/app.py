"""Runs the Discord connection: logs in, serves events until cancelled, then drains and closes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING

import discord

from bot.commands import registry as shipped
from bot.commands.regular_notices import NOTICE_SECONDS
from bot.errors import ConfigError
from bot.platforms.discord import user_messages
from bot.platforms.discord.client import ParleyClient
from bot.platforms.discord.command_runner import Commands
from bot.platforms.discord.connection import configured_urls, one_line_logs, translated_login_errors

if TYPE_CHECKING:
    from bot.commands.services import Services
    from bot.config import Settings
    from bot.engine.dispatch.dispatcher import Dispatcher

log = logging.getLogger(__name__)

RESUME_INTERVAL = 10.0
"""Seconds between two checks for orphaned turns."""


async def serve(
    dispatcher: Dispatcher,
    services: Services,
    settings: Settings,
    *,
    ready: asyncio.Event | None = None,
    commands: Commands = shipped,
    notice_seconds: float = NOTICE_SECONDS,
) -> None:
    """Serve Discord until cancelled; set ``ready`` once connected and once orphaned turns are resumed.

    On cancellation it closes the dispatcher first, so that running answers can be shown to their end.
    Without the Message Content Intent it serves mentions and direct messages, and logs a warning.
    Raises ConfigError, one line with the fix: token missing or refused, Discord unreachable.
    """
    if settings.discord_token is None:
        raise ConfigError(user_messages.LOGIN_MISSING)
    token = settings.discord_token.get_secret_value()
    created = partial(
        ParleyClient, dispatcher, services, settings, commands=commands, ready=ready, notice_seconds=notice_seconds
    )
    with configured_urls(settings), translated_login_errors(), one_line_logs():
        try:
            await _run(created(), token)
        except discord.PrivilegedIntentsRequired:
            log.warning(user_messages.NO_INTENT)
            await _run(created(content=False), token)


async def _run(client: ParleyClient, token: str) -> None:
    background = asyncio.gather(_resume_turns_regularly(client), client.tell_regularly())
    try:
        async with client:
            try:
                await client.start(token)
            except asyncio.CancelledError:
                await client.drain()
                raise
            finally:
                await client.cancel_handlers()
    finally:
        background.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await background


async def _resume_turns_regularly(client: ParleyClient) -> None:
    while True:
        await asyncio.sleep(RESUME_INTERVAL)
        if client.is_ready():
            await client.resume_turns()
