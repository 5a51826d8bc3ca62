"""Slack's answers of refusal to the tree of errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.errors import MessageGone, RateLimited, SurfaceError

GONE = {
    "message_not_found": "the message was deleted",
    "thread_not_found": "the thread was deleted",
    "channel_not_found": "the channel is gone, or the bot was never in it",
    "is_archived": "the channel is archived",
    "not_in_channel": "the bot is not in the channel; invite it with /invite",
    "cant_update_message": "the message belongs to somebody else",
    "edit_window_closed": "the workspace no longer allows to edit the message",
    "restricted_action": "the workspace does not allow the bot to post there",
    "restricted_action_read_only_channel": "the channel is read-only",
    "restricted_action_thread_locked": "the thread is locked",
    "restricted_action_thread_only_channel": "the channel allows posts in threads only",
    "user_not_in_channel": "the person is not in the channel",
    "token_revoked": "the bot's token was revoked; install the app again",
    "token_expired": "the bot's token has expired; install the app again",
    "account_inactive": "the app was removed from the workspace; install it again",
    "invalid_auth": "Slack does not accept SLACK_BOT_TOKEN; copy it again from 'OAuth & Permissions'",
    "not_authed": "Slack got no token; set SLACK_BOT_TOKEN",
    "team_access_not_granted": "the app has no access to this workspace; install it there",
}

CURES = {
    "missing_scope": "the app lacks a permission; run `parley doctor`, then install the app again",
    "msg_too_long": "the text is too long for a Slack message",
    "msg_blocks_too_long": "the text is too long for a Slack message",
    "invalid_blocks": "Slack does not take the message's layout",
    "no_text": "the message is empty",
}


def code(error: SlackApiError) -> str:
    """Slack's error code; the HTTP status where it sent none."""
    data = getattr(error.response, "data", None)
    found = data.get("error") if isinstance(data, dict) else None
    return str(found or f"http_{_status(error)}")


def surface_error(error: SlackApiError) -> SurfaceError:
    """The typed error for a refused call."""
    name = code(error)
    wait = retry_after(error)
    if wait is not None:
        return RateLimited("Slack asks to slow down.", retry_after=wait)
    if name in GONE:
        return MessageGone(f"Slack cannot show it ({name}): {GONE[name]}.")
    return SurfaceError(f"Slack refused it ({name}): {CURES.get(name, 'see the log, and try again')}.")


def retry_after(error: SlackApiError) -> float | None:
    """The seconds that Slack asks to wait; None where it asks for something else."""
    limited = code(error) in ("ratelimited", "rate_limited") or _status(error) == 429
    return _retry_after(error) if limited else None


UNCERTAIN = {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
"""Slack's errors after which some aspect of the call may have succeeded."""


def is_uncertain(error: SlackApiError) -> bool:
    """Whether the call may have been carried out all the same."""
    return code(error) in UNCERTAIN or _status(error) >= 500


@contextmanager
def reached() -> Iterator[None]:
    """Raise SurfaceError where Slack gave no answer; its refusals pass as they are."""
    try:
        yield
    except SlackApiError:
        raise
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise SurfaceError(f"Slack cannot be reached ({type(error).__name__}); check the network.") from error


@contextmanager
def translated() -> Iterator[None]:
    """Raise RateLimited, MessageGone or SurfaceError in place of whatever the SDK raises."""
    try:
        with reached():
            yield
    except SlackApiError as error:
        raise surface_error(error) from error


def _status(error: SlackApiError) -> int:
    status = getattr(error.response, "status_code", None) or getattr(error.response, "status", None)
    return int(status or 0)


def _retry_after(error: SlackApiError) -> float:
    headers = getattr(error.response, "headers", None) or {}
    value = next((value for key, value in headers.items() if key.lower() == "retry-after"), "")
    try:
        return max(0.0, float(value))
    except ValueError:
        return 1.0
