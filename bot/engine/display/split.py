"""Turns an answer into messages that are safe to show: sanitized, and split at the platform's length limit.

Does no I/O.
"""

from __future__ import annotations

import re

from bot.engine.display.output_filter import sanitize
from bot.engine.markdown import MIN_LIMIT, Split, TextSize, fitting_length, split, split_by_blocks
from bot.types.display import Limits


def rendered(text: str, limits: Limits, allowed: frozenset[str]) -> Split:
    """Return the text as sanitized messages within ``limits``.

    The text is sanitized, split, and each part sanitized again, because a cut may open a code span.
    """
    sanitized = sanitize(text, allowed)
    cut = split(sanitized, limits.message_chars, limits.max_parts, limits.size)
    pieces = cut.parts
    if limits.max_blocks is not None:
        pieces = [piece for part in cut.parts for piece in split_by_blocks(part, limits.max_blocks)]
    if pieces == [sanitized]:
        return cut
    parts = [message for piece in pieces for message in _sanitized(piece, limits, limits.message_chars, allowed)]
    surplus = parts[limits.max_parts :]
    return Split(parts[: limits.max_parts], "\n\n".join([*surplus, cut.rest]) if surplus else cut.rest)


def fitting(text: str, limit: int, allowed: frozenset[str], size: TextSize = len) -> tuple[str, bool]:
    """Return the text sanitized, as one message within ``limit``, and whether nothing was left out.

    ``size`` counts the characters as the platform does.
    """
    shown = sanitize(text, allowed)
    if size(shown) <= limit:
        return shown, True
    return rendered(text, Limits(limit, 0.0, max_parts=2, size=size), allowed).parts[0], False


def _sanitized(part: str, limits: Limits, room: int, allowed: frozenset[str]) -> list[str]:
    """Sanitize a part; split it at half of ``room`` if that made it longer than the limit.

    If a part cannot be halved any more, its punctuation is removed, so that no markup is left.
    """
    shown, limit = sanitize(part, allowed), limits.message_chars
    if limits.size(shown) <= limit:
        return [shown]
    if room // 2 < MIN_LIMIT:
        words = re.sub(r"[^\w\s]", " ", part)
        return [words[: fitting_length(words, limit, limits.size)]]
    halves = split(part, room // 2, size=limits.size).parts
    return [message for half in halves for message in _sanitized(half, limits, room // 2, allowed)]
