"""A text as the messages that may be shown: gated, and cut to what the place holds. Pure."""

from __future__ import annotations

import re

from bot.engine.display.output_filter import safe
from bot.engine.markdown import MIN_LIMIT, Split, split
from bot.types.display import Limits


def rendered(text: str, limits: Limits, allowed: frozenset[str]) -> Split:
    """A text as the messages that may be shown: gated, cut, and gated again, since a cut may open a code span."""
    whole = safe(text, allowed)
    cut = split(whole, limits.message_chars, limits.max_parts)
    if cut.parts == [whole]:
        return cut
    parts = [shown for part in cut.parts for shown in _gated(part, limits.message_chars, limits.message_chars, allowed)]
    surplus = parts[limits.max_parts :]
    return Split(parts[: limits.max_parts], "\n\n".join([*surplus, cut.rest]) if surplus else cut.rest)


def _gated(part: str, limit: int, room: int, allowed: frozenset[str]) -> list[str]:
    shown = safe(part, allowed)
    if len(shown) <= limit:
        return [shown]
    if room // 2 < MIN_LIMIT:
        return [re.sub(r"[^\w\s]", " ", part)[:limit]]
    return [shown for half in split(part, room // 2).parts for shown in _gated(half, limit, room // 2, allowed)]
