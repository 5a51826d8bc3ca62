"""Reads Slack messages in the form of Slack exports and of the Slack API.

A channel read through the API is a JSON object with ``slack_channel`` (its name) and ``messages``.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

from knowledge.parsing.chats import chat_messages, slack_content
from knowledge.parsing.chats.chat_messages import Message
from knowledge.parsing.document_builder import Builder

_MARKUP = re.compile(r"<([^<>|]+)(?:\|([^<>]*))?>")
MENTION = re.compile(r"<@([A-Z0-9]+)>")
"""A mention of a user by ID, without a name."""
NO_CONTENT = frozenset(
    """channel_join channel_leave channel_topic channel_purpose channel_name channel_archive channel_unarchive
    channel_convert_to_private channel_posting_permissions group_join group_leave group_topic group_purpose group_name
    bot_add bot_remove pinned_item unpinned_item reminder_add tombstone
    message_deleted message_changed message_replied""".split()
)
"""Subtypes of messages that Slack wrote and not a person, such as joining a channel, and of deleted messages."""


def is_channel(value: Any) -> bool:
    """Return whether a JSON value is a channel that was read through the API."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("slack_channel"), str)
        and isinstance(value.get("messages"), list)
    )


def channel_name(value: dict[str, Any]) -> str:
    """Return ``#channel``."""
    return f"#{value['slack_channel']}"


def write(builder: Builder, value: dict[str, Any]) -> int:
    """Add the messages of a channel. Return how many."""
    deleted = deleted_keys(value["messages"])
    found = [message for message in messages(value["messages"], {}) if message.key not in deleted]
    return chat_messages.write_channel(builder, channel_name(value), found)


def messages(entries: Iterable[Any], names: Mapping[str, str]) -> list[Message]:
    """Return the messages that people wrote. ``names`` by user ID are for users whom the messages do not name."""
    read = [_message(entry, names) for entry in entries if isinstance(entry, dict)]
    return [message for message in read if message is not None]


def deleted_keys(entries: Iterable[Any]) -> set[str]:
    """Return the keys of the messages that other entries say were deleted. Full exports keep their texts."""
    events = [entry for entry in entries if isinstance(entry, dict)]
    keys = {str(event["deleted_ts"]) for event in events if event.get("deleted_ts")}
    return keys | {str(event.get("ts")) for event in events if event.get("is_deleted") or event.get("deleted") is True}


def names_by_id(users: Any) -> dict[str, str]:
    """Return the names of a list of users by user ID."""
    valid = [user for user in users if isinstance(user, dict)] if isinstance(users, list) else []
    by_id = {str(user.get("id")): user_name(user) for user in valid}
    bots = {str(user["profile"]["bot_id"]): user_name(user) for user in valid if _bot_id(user)}
    return bots | by_id


def _bot_id(user: Mapping[str, Any]) -> str:
    profile = user.get("profile")
    return str(profile.get("bot_id") or "") if isinstance(profile, dict) else ""


def user_name(user: Mapping[str, Any]) -> str:
    """Return the display name of a user, else the real name, else the account name."""
    profile = user.get("profile")
    fields = profile if isinstance(profile, dict) else {}
    return str(fields.get("display_name") or fields.get("real_name") or user.get("real_name") or user.get("name") or "")


def _message(entry: dict[str, Any], names: Mapping[str, str]) -> Message | None:
    """Parse a message. Return None if no person wrote it or it has no time."""
    if entry.get("subtype") in NO_CONTENT or entry.get("hidden"):
        return None
    try:
        key = str(entry["ts"])
        time = chat_messages.time_from_timestamp(float(key))
    except (KeyError, ValueError):
        return None
    thread = entry.get("thread_ts")
    text = "\n".join(_text(line, names) for line in slack_content.lines(entry))
    return Message(key, _author(entry, names), time, text, str(thread) if thread else None)


def _author(entry: dict[str, Any], names: Mapping[str, str]) -> str:
    user = str(entry.get("user") or "")
    profile = entry.get("user_profile")
    profile_name = user_name({"profile": profile}) if isinstance(profile, dict) else ""
    bot = entry.get("bot_profile")
    bot_id = str(entry.get("bot_id") or "")
    bot_name = str(bot.get("name") or "") if isinstance(bot, dict) else ""
    written = (names.get(user), profile_name, str(entry.get("username") or ""), bot_name, names.get(bot_id))
    return next(filter(None, written), "") or user or bot_id or "unknown"


def _text(text: str, names: Mapping[str, str]) -> str:
    """Convert Slack's markup for mentions, channels and links to readable text."""

    def plain(markup: re.Match[str]) -> str:
        target, label = markup[1], markup[2] or ""
        if target.startswith("@"):
            return "@" + (label or names.get(target[1:]) or target[1:])
        if target.startswith("!date^"):
            return label or _date(target)
        if target.startswith(("#", "!")):
            return target[0].replace("!", "@") + (label.lstrip("@") or target[1:].split("^")[0])
        return f"{label} ({target})" if label and label != target else target

    return html.unescape(_MARKUP.sub(plain, text))


def _date(target: str) -> str:
    """Return a date that lacks the text which Slack should send for it."""
    try:
        return f"{chat_messages.time_from_timestamp(float(target.split('^')[1])):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return ""
