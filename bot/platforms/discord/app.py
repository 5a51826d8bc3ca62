"""Discord, wired: logs in, connects, serves until cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot import commands as shipped
from bot.errors import ConfigError
from bot.platforms.discord import words
from bot.platforms.discord.client import Commands, Parley

if TYPE_CHECKING:
    from bot.commands.services import Services
    from bot.config import Settings
    from bot.engine.desk import Desk

RESUME_EVERY = 10.0
"""Seconds between two looks for turns that no live process holds."""

_ADDRESSED: set[object] = set()
_LIBRARYS_OWN: list[Any] = []

DISALLOWED_INTENTS = 4014
AUTHENTICATION_FAILED = 4004


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


@contextlib.contextmanager
def addressed(settings: Settings) -> Iterator[None]:
    """Point the library at DISCORD_API_URL and DISCORD_GATEWAY_URL, which it keeps on its classes, while this lasts.

    Several may last at once, in any order; the last to end puts the library's own back.
    """
    if not _ADDRESSED:
        _LIBRARYS_OWN[:] = [Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY]
    lasting = object()
    _ADDRESSED.add(lasting)
    if settings.discord_api_url:
        Route.BASE = settings.discord_api_url.rstrip("/")
    if settings.discord_gateway_url:
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(settings.discord_gateway_url)
    try:
        yield
    finally:
        _ADDRESSED.discard(lasting)
        if not _ADDRESSED:
            Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = _LIBRARYS_OWN


@contextlib.contextmanager
def terse() -> Iterator[None]:
    """Let the library tell of connections that failed in one line each: it logs tracebacks, and tries again itself."""

    def shorten(record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None:
            record.msg = f"{record.getMessage()} ({record.exc_info[1] or record.exc_info[1].__class__.__name__})"
            record.args, record.exc_info, record.exc_text = (), None, None
        return True

    chatty = [logging.getLogger(name) for name in ("discord.shard", "discord.gateway")]
    for logger in chatty:
        logger.addFilter(shorten)
    try:
        yield
    finally:
        for logger in chatty:
            logger.removeFilter(shorten)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Say in one line what keeps Discord from serving, and the cure."""
    try:
        yield
    except discord.LoginFailure:
        raise ConfigError(words.LOGIN_REFUSED) from None
    except discord.PrivilegedIntentsRequired:
        raise ConfigError(words.NO_INTENT) from None
    except discord.ConnectionClosed as error:
        if error.code == AUTHENTICATION_FAILED:
            raise ConfigError(words.LOGIN_REFUSED) from None
        raise ConfigError(words.closed(error.code)) from None
    except discord.GatewayNotFound:
        raise ConfigError(words.unreachable(Route.BASE, "it names no gateway")) from None
    except discord.HTTPException as error:
        raise ConfigError(words.unreachable(Route.BASE, f"status {error.status}")) from None
    except (aiohttp.ClientError, OSError) as error:
        raise ConfigError(words.unreachable(Route.BASE, error or type(error).__name__)) from None
