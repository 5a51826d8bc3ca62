"""Decides which conversations of a chat export may be read: the one rule for archives, folders and single files.

The rule fails closed. Only a channel that the export says is public is read for everybody. Private channels, and
channels about which the export says nothing, are read only for the members of one channel. Direct messages are never
read. Does no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

Visibility = Literal["public", "private", "direct"]

_SLACK_DIRECT_NAME = re.compile(r"D[A-Z0-9]+|mpdm-.*")
"""Folders of direct messages are named by their ID. Names of channels have no capital letters."""
_SLACK_PRIVATE_FLAGS = ("is_private", "is_group")
_SLACK_DIRECT_FLAGS = ("is_im", "is_mpim")
_DISCORD_PUBLIC_TYPES = frozenset(
    """GuildTextChat GuildVoiceChat GuildNews GuildNewsThread GuildPublicThread GuildStageVoice GuildForum GuildMedia
    0 2 5 10 11 13 15 16""".split()
)
"""The exporter writes names; the numbers are those of Discord's API."""
_DISCORD_PRIVATE_TYPES = ("GuildPrivateThread", "12")


def may_read(visibility: Visibility, *, private_chats: bool) -> bool:
    """Return whether a conversation may be read. ``private_chats``: only the members of one channel will find it."""
    return visibility == "public" or (visibility == "private" and private_chats)


def slack_visibility(folder: str, lists: Mapping[str, Any]) -> Visibility:
    """Return who could read the channel in a folder of a Slack export.

    ``lists`` has the parsed ``channels.json``, ``groups.json``, ``dms.json`` and ``mpims.json`` of the same export by
    file name. A channel that two lists contain is as private as the stricter one says.
    """
    entries = {name: [entry for entry in _entries(lists.get(name)) if _names(entry, folder)] for name in _SLACK_LISTS}
    every = [entry for found in entries.values() for entry in found]
    if _SLACK_DIRECT_NAME.fullmatch(folder) or entries["dms.json"] or entries["mpims.json"]:
        return "direct"
    if any(entry.get(flag) for entry in every for flag in _SLACK_DIRECT_FLAGS):
        return "direct"
    if not entries["channels.json"] or entries["groups.json"]:
        return "private"
    return "private" if any(_is_private_channel(entry) for entry in every) else "public"


_SLACK_LISTS = ("channels.json", "groups.json", "mpims.json", "dms.json")


def _is_private_channel(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("id") or "").startswith("G") or any(entry.get(flag) for flag in _SLACK_PRIVATE_FLAGS)


def _entries(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _names(entry: Mapping[str, Any], folder: str) -> bool:
    return folder in (entry.get("name"), entry.get("id"))


def discord_visibility(channel: Mapping[str, Any], guild: Any) -> Visibility:
    """Return who could read a channel of Discord. A type that is unknown or missing is private."""
    kind = str(channel.get("type"))
    guild_id = str(guild.get("id", "")) if isinstance(guild, dict) else ""
    if kind.startswith("Direct") or kind in ("1", "3") or guild_id == "0":
        return "direct"
    if kind in _DISCORD_PRIVATE_TYPES or kind not in _DISCORD_PUBLIC_TYPES:
        return "private"
    return "public"
