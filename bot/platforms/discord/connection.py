"""Points discord.py at the configured URLs, shortens its connection logs, and translates its login errors."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import aiohttp
import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.config import Settings
from bot.errors import ConfigError, Unreachable
from bot.platforms.discord import user_messages

log = logging.getLogger(__name__)

AUTHENTICATION_FAILED = 4004
"""Discord's gateway close code for a refused token."""
REFUSED_FOR_GOOD = range(4010, 4015)
"""Close codes for a wrong shard, API version or intent. https://discord.com/developers/docs/topics/opcodes-and-status-codes"""

_MESSAGE_FIELDS = {
    "content": str,
    "mentions": list,
    "mention_roles": list,
    "attachments": list,
    "embeds": list,
}
"""Fields of every message whose types the library does not check, and leaves out of its objects if they are missing.

https://discord.com/developers/docs/resources/message#message-object
"""

_ACTIVE_OVERRIDES: set[object] = set()
_LIBRARY_DEFAULTS: list[Any] = []


@contextlib.contextmanager
def configured_urls(settings: Settings) -> Iterator[None]:
    """Point the library at DISCORD_API_URL and DISCORD_GATEWAY_URL while the block runs.

    The library keeps both on its classes. Several blocks may overlap, in any order; the last one to end restores the
    library's own URLs.
    """
    if not _ACTIVE_OVERRIDES:
        _LIBRARY_DEFAULTS[:] = [Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY]
    override = object()
    _ACTIVE_OVERRIDES.add(override)
    if settings.discord_api_url:
        Route.BASE = settings.discord_api_url.rstrip("/")
    if settings.discord_gateway_url:
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(settings.discord_gateway_url)
    try:
        yield
    finally:
        _ACTIVE_OVERRIDES.discard(override)
        if not _ACTIVE_OVERRIDES:
            Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = _LIBRARY_DEFAULTS


@contextlib.contextmanager
def one_line_logs() -> Iterator[None]:
    """Reduce the library's log records of failed connections to one line: it logs tracebacks, and retries by itself.

    It puts the traceback of a blocked heartbeat into the format string, where each percent sign would be an error.
    """

    def shorten(record: logging.LogRecord) -> bool:
        record.msg = str(record.msg).partition("\n")[0]
        if record.exc_info and record.exc_info[1] is not None:
            record.msg = f"{record.getMessage()} ({record.exc_info[1] or record.exc_info[1].__class__.__name__})"
            record.args, record.exc_info, record.exc_text = (), None, None
        return True

    names = ("discord.shard", "discord.gateway", "discord.app_commands.tree")
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(shorten)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(shorten)


@contextlib.contextmanager
def translated_login_errors() -> Iterator[None]:
    """Raise a ConfigError of one line, with the fix, for each error that keeps the bot from connecting."""
    try:
        yield
    except discord.LoginFailure:
        raise ConfigError(user_messages.LOGIN_REFUSED) from None
    except discord.PrivilegedIntentsRequired:
        raise ConfigError(user_messages.NO_INTENT) from None
    except discord.ConnectionClosed as error:
        if error.code == AUTHENTICATION_FAILED:
            raise ConfigError(user_messages.LOGIN_REFUSED) from None
        if error.code in REFUSED_FOR_GOOD:
            raise ConfigError(user_messages.closed(error.code)) from None
        raise Unreachable(user_messages.closed(error.code)) from None
    except discord.GatewayNotFound:
        raise Unreachable(user_messages.unreachable(Route.BASE, user_messages.NO_GATEWAY)) from None
    except discord.HTTPException as error:
        raise Unreachable(user_messages.unreachable(Route.BASE, f"status {error.status}")) from None
    except (aiohttp.ClientError, OSError) as error:
        raise Unreachable(user_messages.unreachable(Route.BASE, error or type(error).__name__)) from None
    except (KeyError, TypeError, ValueError) as error:
        # The library expects Discord's fields in every response. Another server at this address sends others.
        log.debug("Discord: a response could not be read", exc_info=error)
        raise Unreachable(user_messages.unreachable(Route.BASE, user_messages.NOT_DISCORD)) from None


def skip_unparsable_events(parsers: dict[str, Callable[[Any], None]]) -> None:
    """Make an event that the library cannot parse cost that event, in place of the whole connection.

    The events that begin a session are excepted: without them the connection is of no use and must be opened anew.
    """
    for event, parse in parsers.items():
        if event not in ("READY", "RESUMED"):
            parsers[event] = partial(_parse_or_skip, event, parse)


def _parse_or_skip(event: str, parse: Callable[[Any], None], data: Any) -> None:
    try:
        if check := _CHECKS.get(event):
            check(data)
        parse(data)
    except Exception as error:
        log.error("Discord: an event %s could not be read and is left out: %r", event, error)


def _check_message(message: Any) -> None:
    """Raise KeyError or TypeError if a message, or the one that it answers, lacks a field that every message has."""
    for name, kind in _MESSAGE_FIELDS.items():
        if not isinstance(message[name], kind):
            raise TypeError(f"{name} is no {kind.__name__}")
    for person in (message["author"], *message["mentions"]):
        _check_user(person)
    if message.get("poll") is not None and not isinstance(message["poll"]["question"]["text"], str):
        raise TypeError("a poll without a question")
    if message.get("referenced_message") is not None:
        _check_message(message["referenced_message"])


def _check_user(user: Any) -> None:
    if not isinstance(user, dict) or not isinstance(user["id"], str) or not isinstance(user["username"], str):
        raise TypeError("a user without ID or name")


def _check_interaction(interaction: Any) -> None:
    """Raise KeyError or TypeError if an interaction names nobody, or has data that are no object."""
    _check_user(interaction["member"]["user"] if interaction.get("guild_id") else interaction["user"])
    if not isinstance(interaction.get("data", {}), dict):
        raise TypeError("data is no dict")


_CHECKS: Mapping[str, Callable[[Any], None]] = {
    "MESSAGE_CREATE": _check_message,
    "MESSAGE_UPDATE": _check_message,
    "INTERACTION_CREATE": _check_interaction,
}
"""What is checked before the library parses an event: it accepts these without what the handlers need."""
