"""Translates Discord's errors into the bot's own exceptions.

The codes are those of https://docs.discord.com/developers/topics/opcodes-and-status-codes (JSON Error Codes).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aiohttp
import discord

from bot.errors import EditRefused, LayoutRefused, MessageGone, PlatformAway, RateLimited, SurfaceError
from bot.platforms.discord import user_messages

UNKNOWN_CHANNEL = 10003
UNKNOWN_MESSAGE = 10008
EXPLICIT_CONTENT = 20009
TOO_MANY_EDITS = 30046
SENDING_DISABLED = 40004
FEATURE_DISABLED = 40006
FORUM = 40058
MISSING_ACCESS = 50001
MESSAGE_OF_ANOTHER_USER = 50005
EMPTY_MESSAGE = 50006
NOT_A_TEXT_CHANNEL = 50008
VERIFICATION_LEVEL = 50009
MISSING_PERMISSIONS = 50013
SYSTEM_MESSAGE = 50021
WRONG_CHANNEL_KIND = 50024
INVALID_FORM = 50035
ARCHIVED = 50083
THREAD_EXISTS = 160004
CANNOT_REPLY = 160002
LOCKED = 160005
BLOCKED_BY_MODERATION = 200000
BLOCKED_LINK = 240000

WRONG_PLACE = frozenset((WRONG_CHANNEL_KIND, NOT_A_TEXT_CHANNEL, FORUM))
CLOSED = WRONG_PLACE | {MISSING_ACCESS, VERIFICATION_LEVEL, MISSING_PERMISSIONS, ARCHIVED, LOCKED}
"""Codes of places where the bot may not write: the asker is told by direct message."""
NOT_EDITABLE = frozenset((TOO_MANY_EDITS, MESSAGE_OF_ANOTHER_USER, SYSTEM_MESSAGE))
"""Codes of messages that can no longer be edited: the answer is posted anew."""
NOT_ACCEPTED = frozenset((INVALID_FORM, EMPTY_MESSAGE, EXPLICIT_CONTENT, BLOCKED_BY_MODERATION, BLOCKED_LINK))
"""Codes of messages whose content Discord refuses however often it is sent: simpler ones follow."""
BUSY = frozenset((SENDING_DISABLED, FEATURE_DISABLED))
"""Codes of what Discord has switched off for the moment: it may succeed later."""


@contextlib.asynccontextmanager
async def translated_errors() -> AsyncIterator[None]:
    """Raise RateLimited, MessageGone or another SurfaceError in place of the library's errors.

    The library raises RuntimeError for a closed session; a reference of another platform raises ValueError.
    """
    try:
        yield
    except discord.RateLimited as error:
        raise RateLimited(user_messages.RATE_LIMITED, retry_after=error.retry_after) from error
    except discord.HTTPException as error:
        raise _translated(error) from error
    except ValueError as error:
        raise SurfaceError(user_messages.connection_failed(error or type(error).__name__)) from error
    except (aiohttp.ClientError, OSError, RuntimeError) as error:
        raise PlatformAway(user_messages.connection_failed(error or type(error).__name__)) from error


def _translated(error: discord.HTTPException) -> SurfaceError:
    if error.status == 429:
        wait = error.response.headers.get("Retry-After", "5")
        return RateLimited(user_messages.RATE_LIMITED, retry_after=float(wait))
    if error.code in user_messages.REASONS_GONE:
        return MessageGone(user_messages.cannot_show(error.code))
    if error.status == 401:
        return MessageGone(user_messages.token_no_longer_accepted())
    return _refusal(error)(user_messages.refused(error.status, error.code, error.text))


def _refusal(error: discord.HTTPException) -> type[SurfaceError]:
    if error.code in NOT_EDITABLE:
        return EditRefused
    if error.code in NOT_ACCEPTED:
        return LayoutRefused
    return PlatformAway if error.status >= 500 or error.code in BUSY else SurfaceError
