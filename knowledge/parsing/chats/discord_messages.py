"""Reads the messages of a DiscordChatExporter file: a JSON object with ``guild``, ``channel`` and ``messages``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from knowledge.errors import ParseError, PrivateChatError
from knowledge.parsing.chats import chat_messages, discord_content
from knowledge.parsing.chats.chat_messages import Message
from knowledge.parsing.chats.chat_visibility import Visibility, discord_visibility, may_read
from knowledge.parsing.document_builder import Builder

_USER_MESSAGE_TYPES = frozenset(
    """Default Reply ThreadStarterMessage ChatInputCommand ContextMenuCommand ApplicationCommand
    0 18 19 20 21 23""".split()
)
"""The exporter writes the names of types that it knows, and the numbers of Discord's API for the others."""
PRIVATE = (
    "it has only private conversations. Add a private thread for the members of a channel with --audience CHANNEL. "
    "Direct messages are never added"
)


def is_channel(value: Any) -> bool:
    """Return whether a JSON value is an export of a channel."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("channel"), dict)
        and isinstance(value.get("messages"), list)
        and "guild" in value
    )


def visibility(export: dict[str, Any]) -> Visibility:
    """Return who could read the channel."""
    return discord_visibility(export["channel"], export["guild"])


def require_readable(export: dict[str, Any], *, private_chats: bool) -> None:
    """Raise PrivateChatError if the channel may not be read."""
    if not may_read(visibility(export), private_chats=private_chats):
        raise PrivateChatError(PRIVATE)


def channel_key(export: dict[str, Any]) -> str:
    """Return what identifies the channel among the files of an export."""
    channel = export["channel"]
    return str(channel.get("id") or (guild_name(export), channel.get("type"), channel.get("name")))


def document_title(export: dict[str, Any]) -> str:
    """Return ``Guild #channel``."""
    return f"{guild_name(export)} {channel_name(export)}".strip()


def guild_name(export: dict[str, Any]) -> str:
    """Return the name of the Discord server; empty if the export has none."""
    guild = export["guild"] if isinstance(export["guild"], dict) else {}
    return str(guild.get("name") or "")


def channel_name(export: dict[str, Any]) -> str:
    """Return ``#name``, or the channel ID if the export has no name."""
    return f"#{export['channel'].get('name') or export['channel'].get('id') or 'channel'}"


def write(builder: Builder, parts: Sequence[dict[str, Any]]) -> int:
    """Add the messages of a channel's files, replies in one thread with what they reply to. Return how many.

    Raises ParseError.
    """
    entries = [entry for export in parts for entry in export["messages"] if isinstance(entry, dict)]
    try:
        return chat_messages.write_channel(builder, channel_name(parts[0]), _messages(entries))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ParseError(
            "it looks like a Discord export, but its messages are not in the expected form. Export it again"
        ) from None


def _messages(entries: list[dict[str, Any]]) -> list[Message]:
    reply_targets = {str(entry["id"]): _reply_target(entry) for entry in entries}
    replied_to = {target for target in reply_targets.values() if target}
    messages = []
    for entry in entries:
        key = str(entry["id"])
        root = _thread_root(key, reply_targets)
        thread = root if root != key or key in replied_to else None
        if str(entry.get("type", "Default")) in _USER_MESSAGE_TYPES:
            messages.append(
                Message(
                    key,
                    discord_content.author_name(entry),
                    _time(str(entry["timestamp"])),
                    "\n".join(discord_content.lines(entry)),
                    thread,
                )
            )
    return messages


def _reply_target(entry: dict[str, Any]) -> str:
    """Return the ID of the message that this one replies to; empty if it is no reply."""
    reference = entry.get("reference")
    return str(reference.get("messageId") or "") if isinstance(reference, dict) else ""


def _thread_root(key: str, reply_targets: dict[str, str]) -> str:
    """Follow a chain of replies back to the first message of it that the export contains."""
    seen = {key}
    while (target := reply_targets.get(key, "")) in reply_targets and target not in seen:
        seen.add(target)
        key = target
    return key


def _time(stamp: str) -> datetime:
    time = datetime.fromisoformat(stamp)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
