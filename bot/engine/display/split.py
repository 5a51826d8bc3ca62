"""Turns an answer into messages that are safe to show: sanitized, and split at the platform's length limit.

Does no I/O.
"""

from __future__ import annotations

import re

from bot.engine.display.output_filter import sanitize
from bot.engine.markdown import MIN_LIMIT, Split, split
from bot.types.display import Limits


def rendered(text: str, limits: Limits, allowed: frozenset[str]) -> Split:
    """Return the text as sanitized messages within ``limits``.

    The text is sanitized, split, and each part sanitized again, because a cut may open a code span.
    """
    sanitized = sanitize(text, allowed)
    cut = split(sanitized, limits.message_chars, limits.max_parts)
    if cut.parts == [sanitized]:
        return cut
    limit = limits.message_chars
    parts = [message for part in cut.parts for message in _sanitized(part, limit, limit, allowed)]
    surplus = parts[limits.max_parts :]
    return Split(parts[: limits.max_parts], "\n\n".join([*surplus, cut.rest]) if surplus else cut.rest)


def fitting(text: str, limit: int, allowed: frozenset[str]) -> tuple[str, bool]:
    """Return the text sanitized, as one message of at most ``limit`` characters, and whether nothing was left out."""
    shown = sanitize(text, allowed)
    if len(shown) <= limit:
        return shown, True
    return rendered(text, Limits(limit, 0.0, max_parts=2), allowed).parts[0], False


def _sanitized(part: str, limit: int, room: int, allowed: frozenset[str]) -> list[str]:
    """Sanitize a part; split it at half of ``room`` if that made it longer than ``limit``.

    If a part cannot be halved any more, its punctuation is removed, so that no markup is left.
    """
    shown = sanitize(part, allowed)
    if len(shown) <= limit:
        return [shown]
    if room // 2 < MIN_LIMIT:
        return [re.sub(r"[^\w\s]", " ", part)[:limit]]
    return [message for half in split(part, room // 2).parts for message in _sanitized(half, limit, room // 2, allowed)]
