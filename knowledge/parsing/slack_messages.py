"""Reads Slack messages in the form of Slack exports and of the Slack API.

A channel read through the API is a JSON object with ``slack_channel`` (its name) and ``messages``.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

from knowledge.parsing import chat_messages
from knowledge.parsing.chat_messages import Message
from knowledge.parsing.document_builder import Builder

_MARKUP = re.compile(r"<([^<>|]+)(?:\|([^<>]*))?>")
MENTION = re.compile(r"<@([A-Z0-9]+)>")
"""A mention of a user by ID, without a name."""
NO_CONTENT = frozenset(
    """channel_join channel_leave channel_topic channel_purpose channel_name channel_archive channel_unarchive
    channel_convert_to_private channel_posting_permissions group_join group_leave group_topic group_purpose group_name
    bot_add bot_remove pinned_item unpinned_item reminder_add tombstone""".split()
)
"""Subtypes of messages that Slack wrote and not a person, such as joining a channel."""


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
    return chat_messages.write_channel(builder, channel_name(value), messages(value["messages"], {}))


def messages(entries: Iterable[Any], names: Mapping[str, str]) -> list[Message]:
    """Return the messages that people wrote. ``names`` by user ID are for users whom the messages do not name."""
    read = [_message(entry, names) for entry in entries if isinstance(entry, dict)]
    return [message for message in read if message is not None]


def names_by_id(users: Any) -> dict[str, str]:
    """Return the names of a list of users by user ID."""
    valid = [user for user in users if isinstance(user, dict)] if isinstance(users, list) else []
    return {str(user.get("id")): user_name(user) for user in valid}


def user_name(user: Mapping[str, Any]) -> str:
    """Return the display name of a user, else the real name, else the account name."""
    profile = user.get("profile")
    fields = profile if isinstance(profile, dict) else {}
    return str(fields.get("display_name") or fields.get("real_name") or user.get("real_name") or user.get("name") or "")


def _message(entry: dict[str, Any], names: Mapping[str, str]) -> Message | None:
    """Parse a message. Return None if no person wrote it or it has no time."""
    if entry.get("subtype") in NO_CONTENT:
        return None
    try:
        key = str(entry["ts"])
        time = chat_messages.time_from_timestamp(float(key))
    except (KeyError, ValueError):
        return None
    files = [file for file in entry.get("files") or [] if isinstance(file, dict) and file.get("name")]
    lines = [_text(str(entry.get("text") or ""), names), *(f"[file: {file['name']}]" for file in files)]
    thread = entry.get("thread_ts")
    return Message(key, _author(entry, names), time, "\n".join(filter(None, lines)), str(thread) if thread else None)


def _author(entry: dict[str, Any], names: Mapping[str, str]) -> str:
    user = str(entry.get("user") or "")
    profile = entry.get("user_profile")
    profile_name = user_name({"profile": profile}) if isinstance(profile, dict) else ""
    return names.get(user) or profile_name or str(entry.get("username") or "") or user or "unknown"


def _text(text: str, names: Mapping[str, str]) -> str:
    """Convert Slack's markup for mentions, channels and links to readable text."""

    def plain(markup: re.Match[str]) -> str:
        target, label = markup[1], markup[2] or ""
        if target.startswith("@"):
            return "@" + (label or names.get(target[1:]) or target[1:])
        if target.startswith(("#", "!")):
            return target[0].replace("!", "@") + (label.lstrip("@") or target[1:].split("^")[0])
        return f"{label} ({target})" if label and label != target else target

    return html.unescape(_MARKUP.sub(plain, text))
