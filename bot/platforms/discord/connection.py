"""How the library reaches Discord: at which address, and what it says when it does not."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import aiohttp
import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.config import Settings
from bot.errors import ConfigError
from bot.platforms.discord import user_messages

AUTHENTICATION_FAILED = 4004

_ADDRESSED: set[object] = set()
_LIBRARYS_OWN: list[Any] = []


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

    chatty = [logging.getLogger(name) for name in ("discord.shard", "discord.gateway", "discord.app_commands.tree")]
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
        raise ConfigError(user_messages.LOGIN_REFUSED) from None
    except discord.PrivilegedIntentsRequired:
        raise ConfigError(user_messages.NO_INTENT) from None
    except discord.ConnectionClosed as error:
        if error.code == AUTHENTICATION_FAILED:
            raise ConfigError(user_messages.LOGIN_REFUSED) from None
        raise ConfigError(user_messages.closed(error.code)) from None
    except discord.GatewayNotFound:
        raise ConfigError(user_messages.unreachable(Route.BASE, "it names no gateway")) from None
    except discord.HTTPException as error:
        raise ConfigError(user_messages.unreachable(Route.BASE, f"status {error.status}")) from None
    except (aiohttp.ClientError, OSError) as error:
        raise ConfigError(user_messages.unreachable(Route.BASE, error or type(error).__name__)) from None
