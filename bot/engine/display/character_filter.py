"""Removes invisible characters from text, and mutes mentions, so that nobody is notified. Does no I/O."""

from __future__ import annotations

import re

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
_JOINERS = re.compile("([\u200c\u200d])[\u200c\u200d]*")
_MENTION = re.compile(
    r"<@[!&]?([A-Z0-9]+(?:\|[^<>\n]*)?)>|<(#[A-Z0-9]+(?:\|[^<>\n]*)?)>"
    r"|<!((?i:channel|here|everyone|group|subteam\^|date\^)[^<>\n]*)>|@((?i:everyone|here|channel))"
)
_MENTION_START = re.compile(r"<(?=@|#[A-Z0-9]|!(?:channel|here|everyone|group|subteam|date))", re.IGNORECASE)


def visible(text: str) -> str:
    """Return the text with mentions muted and without invisible, control and bidirectional characters.

    Joiners stay where scripts need them.
    """
    return _MENTION_START.sub("＜", _MENTION.sub(_mute, _cleaned(text)))


def _cleaned(text: str) -> str:
    """Return the text without invisible characters; joiners stay between letters of scripts that need them."""
    text = _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))

    def joined(found: re.Match[str]) -> str:
        around = text[max(0, found.start() - 1) : found.start()] + text[found.end() : found.end() + 1]
        return found.group(1) if len(around) == 2 and not around.isspace() and min(around) > "\x7f" else ""

    return _JOINERS.sub(joined, text)


def _mute(found: re.Match[str]) -> str:
    """Return a mention with a full-width sign, which no platform turns into a notification."""
    person, channel, group, word = found.groups()
    return "＃" + channel[1:] if channel else "＠" + (person or group or word)
