"""Translates Slack API errors into the bot's own exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.errors import EditRefused, LayoutRefused, MessageGone, PlatformAway, RateLimited, SurfaceError
from bot.platforms.slack import user_messages

UNCERTAIN = {
    "fatal_error",
    "internal_error",
    "messaging_processing_failed",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
    "update_failed",
}
"""Slack error codes after which some part of the call may have succeeded."""
BUSY = {"accesslimited", "external_channel_migrating"}
"""Slack error codes of calls that had no effect, and may succeed later."""


def code(error: SlackApiError) -> str:
    """Return Slack's error code, or ``http_STATUS`` if Slack sent none."""
    data = getattr(error.response, "data", None)
    slack_code = data.get("error") if isinstance(data, dict) else None
    return str(slack_code or f"http_{_status(error)}")


def surface_error(error: SlackApiError) -> SurfaceError:
    """Return the typed error for a refused call."""
    name = code(error)
    wait = retry_after(error)
    if wait is not None:
        return RateLimited(user_messages.RATE_LIMITED, retry_after=wait)
    if name in user_messages.GONE:
        return MessageGone(user_messages.message_gone(name))
    return _refusal(name, error)(user_messages.call_refused(name))


def _refusal(name: str, error: SlackApiError) -> type[SurfaceError]:
    if name in user_messages.EDIT_REFUSED:
        return EditRefused
    if name in user_messages.LAYOUT_REFUSED:
        return LayoutRefused
    return PlatformAway if is_uncertain(error) or name in BUSY else SurfaceError


def retry_after(error: SlackApiError) -> float | None:
    """Return the seconds that Slack asks to wait; None if the error is not a rate limit."""
    is_rate_limited = code(error) in ("ratelimited", "rate_limited") or _status(error) == 429
    return _retry_after_seconds(error) if is_rate_limited else None


def may_pass(error: SlackApiError) -> bool:
    """Return whether the same call may be accepted later: Slack fails, or is asked too often."""
    return is_uncertain(error) or code(error) in BUSY or retry_after(error) is not None


def is_uncertain(error: SlackApiError) -> bool:
    """Return whether the call may have succeeded despite the error."""
    return code(error) in UNCERTAIN or _status(error) >= 500


@contextmanager
def reached() -> Iterator[None]:
    """Raise PlatformAway if Slack gives no answer. Errors that Slack returns pass unchanged."""
    try:
        yield
    except SlackApiError:
        raise
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise PlatformAway(user_messages.unreachable(error, "Check the network.")) from error


@contextmanager
def translated() -> Iterator[None]:
    """Raise the error of ``surface_error`` in place of every SDK error, and PlatformAway if Slack gives no answer."""
    try:
        with reached():
            yield
    except SlackApiError as error:
        raise surface_error(error) from error


def _status(error: SlackApiError) -> int:
    status = getattr(error.response, "status_code", None) or getattr(error.response, "status", None)
    return int(status or 0)


def _retry_after_seconds(error: SlackApiError) -> float:
    headers = getattr(error.response, "headers", None) or {}
    value = next((value for key, value in headers.items() if key.lower() == "retry-after"), "")
    try:
        return max(0.0, float(value))
    except ValueError:
        return 1.0
