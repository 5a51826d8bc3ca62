"""Collects what a Discord message says beside its content, and decodes Discord's markers. Makes no requests.

Forwards, alerts of other apps, polls and stickers have little or no content of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import discord
from discord.abc import GuildChannel

from knowledge.parsing.chats import discord_content

Json = dict[str, Any]
NamedChannel = GuildChannel | discord.Thread

PRIVATE_CHANNEL = "private-channel"
MARKER = re.compile(
    r"<(?P<sign>@!?|@&|#)(?P<id>\d{1,20})>|</(?P<command>[^:>]+):\d+>|<a?:(?P<emoji>\w+):\d+>"
    r"|<t:(?P<time>-?\d{1,13})(?::(?P<style>[tTdDfFsSR]))?>"
)
_TIME_FORMATS = {"t": "%H:%M UTC", "T": "%H:%M:%S UTC", "d": "%Y-%m-%d", "D": "%Y-%m-%d"}
_DATE_AND_TIME = "%Y-%m-%d %H:%M UTC"


@dataclass(frozen=True, slots=True)
class Names:
    """Names of people, roles and channels by their IDs, as texts."""

    users: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)


def parts(message: discord.Message | discord.MessageSnapshot) -> Json:
    """Return what a message says, in the form of Discord's API: content, embeds, poll, stickers, files, forwards."""
    found: Json = {"content": message.content}
    if message.embeds:
        found["embeds"] = [embed.to_dict() for embed in message.embeds]
    if message.attachments:
        found["attachments"] = [{"filename": file.filename} for file in message.attachments]
    if message.stickers:
        found["sticker_items"] = [{"name": sticker.name} for sticker in message.stickers]
    if isinstance(message, discord.Message):
        if message.poll is not None:
            found["poll"] = _poll(message.poll)
        if message.message_snapshots:
            found["message_snapshots"] = [{"message": parts(one)} for one in message.message_snapshots]
    return found


def _poll(poll: discord.Poll) -> Json:
    counts = [{"id": answer.id, "count": answer.vote_count} for answer in poll.answers]
    return {
        "question": {"text": poll.question},
        "answers": [{"answer_id": answer.id, "poll_media": {"text": answer.text}} for answer in poll.answers],
        "results": {"answer_counts": counts},
    }


def everything(message: discord.Message) -> str:
    """Return all that a reader of the message sees, with the names of its files, with Discord's markers."""
    return "\n".join(discord_content.lines(parts(message)))


def beside_content(message: discord.Message) -> str:
    """Return what a message says beside its content, with Discord's markers. Files are attachments of the question.

    Stickers are no words, so a message that has nothing else says nothing.
    """
    beside = {**parts(message), "content": "", "attachments": [], "sticker_items": []}
    return "\n".join(discord_content.lines(beside))


def post_title(channel: object) -> str:
    """Return the title and the tags of a forum post; empty for every other channel."""
    if not isinstance(channel, discord.Thread) or not isinstance(channel.parent, discord.ForumChannel):
        return ""
    tags = ", ".join(tag.name for tag in channel.applied_tags)
    return f"{channel.name}\n[tags: {tags}]" if tags else channel.name


def markers(text: str) -> Iterator[tuple[str, str]]:
    """Yield the sign (``@``, ``@&`` or ``#``) and the ID of all that a text mentions, each once."""
    found = (match for match in MARKER.finditer(text) if match["id"])
    yield from dict.fromkeys((match["sign"].rstrip("!"), match["id"]) for match in found)


def known_names(
    message: discord.Message,
    guild: discord.Guild | None,
    text: str,
    channels_of_guild: Mapping[int, NamedChannel] = MappingProxyType({}),
) -> Names:
    """Return the names of what ``text`` mentions, as far as Discord sent them along with the message or the server.

    ``channels_of_guild`` are the channels and threads of a server whose channels the client does not know itself.
    """
    users = {str(user.id): user.display_name for user in message.mentions}
    roles = {str(role.id): role.name for role in message.role_mentions}
    channels: dict[str, str] = {}
    if guild is None:
        return Names(users, roles)
    for sign, number in markers(text):
        if sign == "@&" and (role := guild.get_role(int(number))) is not None:
            roles[number] = role.name
        elif sign == "#" and (name := _channel_name(guild, int(number), channels_of_guild)):
            channels[number] = name
    return Names(users, roles, channels)


def _channel_name(guild: discord.Guild, channel_id: int, known: Mapping[int, NamedChannel]) -> str:
    """Return the name of a channel that everybody on the server sees; the names of others are not told."""
    channel = guild.get_channel_or_thread(channel_id) or known.get(channel_id)
    if channel is None:
        return ""
    parent: object = channel
    if isinstance(channel, discord.Thread):
        parent = channel.parent or known.get(channel.parent_id)
    is_open = isinstance(parent, GuildChannel) and parent.permissions_for(guild.default_role).view_channel
    is_private = isinstance(channel, discord.Thread) and channel.is_private()
    return channel.name if is_open and not is_private else PRIVATE_CHANNEL


def with_names(text: str, names: Names) -> str:
    """Replace Discord's markers by readable names and dates."""

    def readable(found: re.Match[str]) -> str:
        if found["command"]:
            return f"/{found['command']}"
        if found["emoji"]:
            return f":{found['emoji']}:"
        if found["time"]:
            return _moment(int(found["time"]), found["style"] or "f") or found[0]
        if found["sign"] == "#":
            return f"#{names.channels.get(found['id'], 'unknown-channel')}"
        if found["sign"] == "@&":
            return f"@{names.roles.get(found['id'], 'unknown-role')}"
        return f"@{names.users.get(found['id'], 'unknown-user')}"

    return MARKER.sub(readable, text)


def _moment(seconds: int, style: str) -> str:
    """Return a time in UTC, as precise as its style; empty if there is no such time."""
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return at.strftime(_TIME_FORMATS.get(style, _DATE_AND_TIME))
