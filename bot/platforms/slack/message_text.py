"""Decodes Slack's markup, and collects what a message says beside its text. Makes no requests.

A forwarded message, an alert of another app or a voice clip has little or no ``text``: their words are in attachments,
blocks and files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.platforms.authored_text import speaker
from knowledge.parsing.chats import slack_content
from knowledge.parsing.chats.chat_messages import time_from_timestamp
from knowledge.whole_numbers import whole_number

spoken = speaker("&gt;")
"""Hides code and quotations in a text."""

PRIVATE_CHANNEL = "private-channel"
UNKNOWN_GROUP = "group"
_CONTROL_SEQUENCE = re.compile(r"<([@#!][^<>\n]+|[a-zA-Z][a-zA-Z0-9+.-]*:[^<>\n]+)>")


@dataclass(frozen=True, slots=True)
class Names:
    """Names of people, groups and channels by their IDs, without the sign in front."""

    users: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)


NO_NAMES = Names()


@dataclass(frozen=True, slots=True)
class Mentioned:
    """The IDs of people, groups and channels that a text mentions without naming them, each once."""

    users: tuple[str, ...]
    groups: tuple[str, ...]
    channels: tuple[str, ...]


def beside_text(message: Mapping[str, Any]) -> str:
    """Return what a message that a person wrote says beside its text, in Slack's markup.

    Its blocks repeat the text, so they count only if there is none. Files are attachments of the question.
    """
    shown = {**message, "blocks": None if message.get("text") else message.get("blocks"), "files": []}
    lines = slack_content.lines(shown)
    return "\n".join(line for line in (lines[1:] if message.get("text") else lines) if line)


def everything(message: Mapping[str, Any]) -> str:
    """Return all that a reader of the message sees, with the names of its files, in Slack's markup."""
    return "\n".join(filter(None, slack_content.lines(message)))


def plain_text(raw: str, bot_user_id: str = "", *, ids: bool = False, names: Names = NO_NAMES) -> str:
    """Return Slack's encoded text as the user typed it, without the bot's own mention.

    Users become ``@name``, or their bare ID with ``ids``. A link with a label becomes ``label (address)``, a date
    without the text that Slack should send for it a date in UTC.
    """

    def decode(match: re.Match[str]) -> str:
        target, _, label = match.group(1).partition("|")
        return _ids_of(target, label) if ids else _readable(target, label, names)

    text = _without_mention(raw, bot_user_id) if bot_user_id else raw
    text = _CONTROL_SEQUENCE.sub(decode, text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()


def mention_of(user_id: str) -> re.Pattern[str]:
    """Return a pattern for the mention of a user, with the spaces around it."""
    return re.compile(rf"[ \t]*<@{re.escape(user_id)}(\|[^>]*)?>[ \t]*")


def mentioned(raw: str) -> Mentioned:
    """Return what a text mentions without a name."""
    found: dict[str, dict[str, None]] = {"@": {}, "#": {}, "!": {}}
    for match in _CONTROL_SEQUENCE.finditer(raw):
        target, _, label = match.group(1).partition("|")
        if not label and target[0] in found:
            found[target[0]][target[1:]] = None
    groups = tuple(name.removeprefix("subteam^") for name in found["!"] if name.startswith("subteam^"))
    return Mentioned(tuple(found["@"]), groups, tuple(found["#"]))


def _without_mention(raw: str, user_id: str) -> str:
    """Remove a user's mentions, except those in code and quotations."""
    kept, at = [], 0
    for found in mention_of(user_id).finditer(spoken(raw)):
        kept.append(raw[at : found.start()])
        at = found.end()
    return " ".join([*kept, raw[at:]])


def _ids_of(target: str, label: str) -> str:
    if target.startswith(("@", "#")):
        return target[1:]
    return _special(target, label, NO_NAMES) if target.startswith("!") else _address(target)


def _readable(target: str, label: str, names: Names) -> str:
    if target.startswith("@"):
        return f"@{names.users.get(target[1:]) or label.removeprefix('@') or target[1:]}"
    if target.startswith("#"):
        return f"#{label or names.channels.get(target[1:]) or target[1:]}"
    if target.startswith("!"):
        return _special(target, label, names)
    address = _address(target)
    return address if not label or label in address else f"{label} ({address})"


def _special(target: str, label: str, names: Names) -> str:
    """Return the text of a group, a date or a mention of everybody."""
    name, _, rest = target[1:].partition("^")
    if name == "subteam":
        return f"@{names.groups.get(rest) or label.removeprefix('@') or UNKNOWN_GROUP}"
    if name == "date" and not label:
        return _moment(rest.partition("^")[0]) or f"@{name}"
    return label or f"@{name}"


def _moment(seconds: str) -> str:
    """Return a time in UTC; empty if there is no such time."""
    number = whole_number(seconds)
    try:
        return "" if number is None else f"{time_from_timestamp(number):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return ""


def _address(target: str) -> str:
    return target.removeprefix("mailto:").removeprefix("tel:")
