"""Tells what an emoji below a message means to the bot. Makes no requests.

Discord names an emoji by its character, Slack by a word: https://docs.slack.dev/reference/events/reaction_added.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from bot.engine.dispatch.reactions import Mark

_SKIN_TONE = re.compile("[\U0001f3fb-\U0001f3ff\ufe0f]|::skin-tone-[2-6]")
_MARKS: dict[str, Mark] = {
    "👍": "up",
    "+1": "up",
    "thumbsup": "up",
    "👎": "down",
    "-1": "down",
    "thumbsdown": "down",
    "🛑": "stop",
    "octagonal_sign": "stop",
}


def mark_of(emoji: str, saving: Collection[str]) -> Mark | None:
    """Return the meaning of an emoji, whatever its skin tone; ``saving`` are those that save an answer."""
    name = _SKIN_TONE.sub("", emoji)
    return "save" if name in saving or emoji in saving else _MARKS.get(name)
