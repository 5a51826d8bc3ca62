"""Messages of Slack, as its exports and its API write them.

A channel that was read through the API is a JSON object with ``slack_channel``, its name, and ``messages``.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

from knowledge.parsing import chat_messages
from knowledge.parsing.chat_messages import Message
from knowledge.parsing.document_builder import Builder

_MARK = re.compile(r"<([^<>|]+)(?:\|([^<>]*))?>")
MENTION = re.compile(r"<@([A-Z0-9]+)>")
"""A person, without a name."""
NO_CONTENT = frozenset(
    """channel_join channel_leave channel_topic channel_purpose channel_name channel_archive channel_unarchive
    channel_convert_to_private channel_posting_permissions group_join group_leave group_topic group_purpose group_name
    bot_add bot_remove pinned_item unpinned_item reminder_add tombstone""".split()
)
"""Subtypes of what no person wrote."""


def is_channel(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("slack_channel"), str)
        and isinstance(value.get("messages"), list)
    )


def name_of(value: dict[str, Any]) -> str:
    """``#channel``"""
    return f"#{value['slack_channel']}"


def write(builder: Builder, value: dict[str, Any]) -> int:
    """The messages of a channel. Returns how many."""
    return chat_messages.write(builder, name_of(value), messages(value["messages"], {}))


def messages(entries: Iterable[Any], people: Mapping[str, str]) -> list[Message]:
    """What people said; ``people`` are names by id, for those whom the messages themselves do not name."""
    told = [_message(entry, people) for entry in entries if isinstance(entry, dict)]
    return [message for message in told if message is not None]


def people_of(users: Any) -> dict[str, str]:
    """Names by id, of a list of users."""
    known = [user for user in users if isinstance(user, dict)] if isinstance(users, list) else []
    return {str(user.get("id")): name_of_user(user) for user in known}


def name_of_user(user: Mapping[str, Any]) -> str:
    profile = user.get("profile")
    shown = profile if isinstance(profile, dict) else {}
    return str(shown.get("display_name") or shown.get("real_name") or user.get("real_name") or user.get("name") or "")


def _message(entry: dict[str, Any], people: Mapping[str, str]) -> Message | None:
    """None for what no person wrote, such as joining a channel, and for entries without a time."""
    if entry.get("subtype") in NO_CONTENT:
        return None
    try:
        key = str(entry["ts"])
        time = chat_messages.moment(float(key))
    except (KeyError, ValueError):
        return None
    files = [file for file in entry.get("files") or [] if isinstance(file, dict) and file.get("name")]
    lines = [_text(str(entry.get("text") or ""), people), *(f"[file: {file['name']}]" for file in files)]
    thread = entry.get("thread_ts")
    return Message(key, _author(entry, people), time, "\n".join(filter(None, lines)), str(thread) if thread else None)


def _author(entry: dict[str, Any], people: Mapping[str, str]) -> str:
    user = str(entry.get("user") or "")
    profile = entry.get("user_profile")
    shown = name_of_user({"profile": profile}) if isinstance(profile, dict) else ""
    return people.get(user) or shown or str(entry.get("username") or "") or user or "unknown"


def _text(text: str, people: Mapping[str, str]) -> str:
    """Slack's own marks as a person reads them."""

    def plain(mark: re.Match[str]) -> str:
        target, label = mark[1], mark[2] or ""
        if target.startswith("@"):
            return "@" + (label or people.get(target[1:]) or target[1:])
        if target.startswith(("#", "!")):
            return target[0].replace("!", "@") + (label.lstrip("@") or target[1:].split("^")[0])
        return f"{label} ({target})" if label and label != target else target

    return html.unescape(_MARK.sub(plain, text))
