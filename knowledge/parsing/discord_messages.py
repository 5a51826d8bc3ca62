"""A channel of Discord as DiscordChatExporter writes it: a JSON object with ``guild``, ``channel`` and ``messages``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from knowledge.errors import ParseError
from knowledge.parsing import chat_messages
from knowledge.parsing.chat_messages import Message
from knowledge.parsing.document_builder import Builder

_SAID = ("Default", "Reply", "ThreadStarterMessage", "ChatInputCommand", "ContextMenuCommand")
_DIRECT = ("DirectTextChat", "DirectGroupTextChat")


def is_channel(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("channel"), dict)
        and isinstance(value.get("messages"), list)
        and "guild" in value
    )


def is_direct(value: dict[str, Any]) -> bool:
    """Whether it is a conversation of few people and no channel."""
    return value["channel"].get("type") in _DIRECT


def name_of(value: dict[str, Any]) -> str:
    """``Guild #channel``"""
    return f"{guild_of(value)} {channel_of(value)}".strip()


def guild_of(value: dict[str, Any]) -> str:
    guild = value["guild"] if isinstance(value["guild"], dict) else {}
    return str(guild.get("name") or "")


def channel_of(value: dict[str, Any]) -> str:
    return f"#{value['channel'].get('name') or value['channel'].get('id') or 'channel'}"


def write(builder: Builder, value: dict[str, Any]) -> int:
    """The messages, replies together with what they answer. Returns how many. Raises ParseError."""
    entries = [entry for entry in value["messages"] if isinstance(entry, dict)]
    try:
        return chat_messages.write(builder, channel_of(value), _messages(entries))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ParseError("it looks like an export of Discord, but its messages are not as expected") from None


def _messages(entries: list[dict[str, Any]]) -> list[Message]:
    answered = {str(entry["id"]): _answered(entry) for entry in entries}
    replied = {target for target in answered.values() if target}
    told = []
    for entry in entries:
        key = str(entry["id"])
        first = _first(key, answered)
        thread = first if first != key or key in replied else None
        if entry.get("type", "Default") in _SAID:
            told.append(Message(key, _author(entry), _time(str(entry["timestamp"])), _text(entry), thread))
    return told


def _answered(entry: dict[str, Any]) -> str:
    reference = entry.get("reference")
    return str(reference.get("messageId") or "") if isinstance(reference, dict) else ""


def _first(key: str, answered: dict[str, str]) -> str:
    """The message that a chain of replies goes back to, as far as the export has it."""
    seen = {key}
    while (above := answered.get(key, "")) in answered and above not in seen:
        seen.add(above)
        key = above
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
