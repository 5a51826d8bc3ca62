"""Recognizes single files of chat exports that may hold private conversations or profiles, and refuses them.

A file on its own seldom says who could read the conversation. Then it is refused, whatever its name is. Does no I/O.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from knowledge.errors import PrivateChatError
from knowledge.parsing.chats.slack_export_layout import LIST_FILES, normalized

SLACK_DAY = (
    "it has Slack messages but does not say whether their channel is public. Add the folder or archive of the whole "
    "export, with its channels.json"
)
SLACK_LIST = "it is a list of members or channels of a Slack export, which is left out. Add the whole export"
DISCORD_UNKNOWN = (
    "it is a Discord export that does not say whether its channel is public. Export it as JSON, or add it for the "
    "members of a channel with --audience CHANNEL"
)
DISCORD_DIRECT = "it has direct messages, which are never added. Export a channel"

DAMAGED = "it looks like a chat export that is damaged, so that nothing tells who may read it. Export it again"

_OBJECT = re.compile(r"\ufeff?\s*(?:\[\s*)?\{\s*\"")
_MARK_OF_CHAT = re.compile(
    r"\btype\W{1,8}message\b|\bts\W{1,8}\d{9,}\.\d{6}|\b(?:guild|channel|post)\W{1,8}\{|"
    r"\b(?:zerver_\w+|direct_post|real_name|messageType|MessageList|chatId|client_msg_id)\b"
)
"""Keys of Slack's, Discord's, Mattermost's, Zulip's and Teams' exports, with values as these have."""
_SLACK_TIME = re.compile(r"\d{9,}\.\d{6}")
_SAMPLE = 50
_DISCORD_HTML = re.compile(r"<title>(?P<guild>[^<]*)</title>")
_DISCORD_CSV = re.compile(r"\A\ufeff?\"?AuthorID\"?,\"?Author\"?,\"?Date\"?,\"?Content\"?")
_DISCORD_TXT = re.compile(r"\A\ufeff?={20,}\nGuild: (?P<guild>[^\n]*)\nChannel: ")
_DIRECT = "Direct Messages"


def refuse_json(value: Any, name: str) -> None:
    """Raise PrivateChatError if the value is a part of a chat export that is not read on its own."""
    if isinstance(value, dict):
        _refuse_other_chats(value)
        if isinstance(value.get("messages"), list) and _has_slack_messages(value["messages"]):
            raise PrivateChatError(SLACK_DAY)
    rows = [row for row in value[:_SAMPLE] if isinstance(row, dict)] if isinstance(value, list) else []
    if not rows:
        return
    _refuse_other_lists(rows)
    if _has_slack_messages(rows):
        raise PrivateChatError(SLACK_DAY)
    if any(isinstance(row.get("profile"), dict) and "id" in row for row in rows):
        raise PrivateChatError(SLACK_LIST)
    if PurePosixPath(normalized(name)).name in LIST_FILES and all("id" in row for row in rows):
        raise PrivateChatError(SLACK_LIST)


def refuse_damaged_json(text: str, *, named_json: bool) -> None:
    """Raise PrivateChatError if a text that is not valid JSON has what the files of chat exports have.

    ``named_json``: its name is one of a JSON file. Other texts begin with a JSON object, or a list of some.
    """
    if (named_json or _OBJECT.match(text)) and _MARK_OF_CHAT.search(text):
        raise PrivateChatError(DAMAGED)


def refuse_text(text: str, name: str, *, private_chats: bool) -> None:
    """Raise PrivateChatError if a text, CSV or HTML file is a Discord export and its channel may not be read.

    These forms name the server but not the type of the channel. ``private_chats`` reads them.
    """
    head = text[:4096]
    match = _DISCORD_TXT.match(head)
    is_html = "<!DOCTYPE html>" in head and ("chatlog__" in text or "preamble__guild" in text)
    if not (match or is_html or _DISCORD_CSV.match(head)):
        return
    title = match or (_DISCORD_HTML.search(head) if is_html else None)
    guild = title["guild"] if title else ""
    if guild.startswith(_DIRECT) or PurePosixPath(normalized(name)).name.startswith(_DIRECT):
        raise PrivateChatError(DISCORD_DIRECT)
    if not private_chats:
        raise PrivateChatError(DISCORD_UNKNOWN)


def _has_slack_messages(rows: list[Any]) -> bool:
    """Return whether most of the first rows are messages in the form of Slack's exports and API."""
    sample = [row for row in rows[:_SAMPLE] if isinstance(row, dict)]
    slack = [row for row in sample if _SLACK_TIME.fullmatch(str(row.get("ts"))) and row.keys() & _SLACK_KEYS]
    return bool(slack) and 2 * len(slack) >= len(sample)


_SLACK_KEYS = frozenset(("type", "text", "user", "bot_id", "subtype", "blocks"))


def _refuse_other_chats(value: dict[str, Any]) -> None:
    """Raise PrivateChatError for an export of Zulip, Teams or Mattermost, whose rules of privacy are not known here."""
    if any(key.startswith("zerver_") for key in value):
        raise _not_supported("Zulip")
    if "teams.microsoft.com" in str(value.get("@odata.context")) or _is_graph_messages(value):
        raise _not_supported("Microsoft Teams")
    conversations = value.get("conversations")
    if isinstance(conversations, list) and any(isinstance(c, dict) and "MessageList" in c for c in conversations):
        raise _not_supported("Microsoft Teams")
    if value.get("type") in ("post", "direct_post") and isinstance(value.get(str(value["type"])), dict):
        raise _not_supported("Mattermost")
    posts = value.get("posts")
    if isinstance(posts, dict) and isinstance(value.get("order"), list):
        raise _not_supported("Mattermost")


def _refuse_other_lists(rows: list[dict[str, Any]]) -> None:
    if rows[0].get("type") == "version" and "version" in rows[0] and len(rows[0]) <= 3:
        raise _not_supported("Mattermost")
    for row in rows:
        _refuse_other_chats(row)
    if any(_is_teams_message(row) for row in rows):
        raise _not_supported("Microsoft Teams")


def _is_graph_messages(value: dict[str, Any]) -> bool:
    rows = value.get("value")
    return isinstance(rows, list) and any(isinstance(row, dict) and _is_teams_message(row) for row in rows[:_SAMPLE])


def _is_teams_message(row: dict[str, Any]) -> bool:
    return ("chatId" in row or "channelIdentity" in row) and "body" in row and "messageType" in row


def _not_supported(chat: str) -> PrivateChatError:
    return PrivateChatError(f"it is a {chat} export, which cannot be read yet. Export the channel as text or PDF")
