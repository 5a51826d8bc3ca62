"""Reads the messages of a DiscordChatExporter file: a JSON object with ``guild``, ``channel`` and ``messages``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from knowledge.errors import ParseError
from knowledge.parsing import chat_messages
from knowledge.parsing.chat_messages import Message
from knowledge.parsing.document_builder import Builder

_USER_MESSAGE_TYPES = ("Default", "Reply", "ThreadStarterMessage", "ChatInputCommand", "ContextMenuCommand")
_DIRECT_CHAT_TYPES = ("DirectTextChat", "DirectGroupTextChat")


def is_channel(value: Any) -> bool:
    """Return whether a JSON value is an export of a channel."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("channel"), dict)
        and isinstance(value.get("messages"), list)
        and "guild" in value
    )


def is_direct(export: dict[str, Any]) -> bool:
    """Return whether the export is a direct message conversation and not a channel of a server."""
    return export["channel"].get("type") in _DIRECT_CHAT_TYPES


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


def write(builder: Builder, export: dict[str, Any]) -> int:
    """Add the channel's messages, replies in one thread with what they reply to. Return how many. Raises ParseError."""
    entries = [entry for entry in export["messages"] if isinstance(entry, dict)]
    try:
        return chat_messages.write_channel(builder, channel_name(export), _messages(entries))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ParseError(
            "it looks like a Discord export, but its messages are not in the expected form; export it again"
        ) from None


def _messages(entries: list[dict[str, Any]]) -> list[Message]:
    reply_targets = {str(entry["id"]): _reply_target(entry) for entry in entries}
    replied_to = {target for target in reply_targets.values() if target}
    messages = []
    for entry in entries:
        key = str(entry["id"])
        root = _thread_root(key, reply_targets)
        thread = root if root != key or key in replied_to else None
        if entry.get("type", "Default") in _USER_MESSAGE_TYPES:
            messages.append(Message(key, _author(entry), _time(str(entry["timestamp"])), _text(entry), thread))
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


def _author(entry: dict[str, Any]) -> str:
    author = entry.get("author") or {}
    return str(author.get("nickname") or author.get("name") or "unknown")


def _time(stamp: str) -> datetime:
    time = datetime.fromisoformat(stamp)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _text(entry: dict[str, Any]) -> str:
    lines = [str(entry.get("content") or "")]
    for embed in entry.get("embeds") or []:
        lines += [str(embed.get("title") or ""), str(embed.get("description") or "")]
    lines += (f"[file: {file.get('fileName')}]" for file in entry.get("attachments") or [])
    return "\n".join(filter(None, lines))
