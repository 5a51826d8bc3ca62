"""Counts texts as Discord does, and cuts them to its limits. Makes no requests.

Discord's clients count UTF-16 code units, so an emoji takes two.
"""

from __future__ import annotations

from bot.engine.markdown import fitting_length
from bot.engine.markdown import utf16_units as size

CONTENT = 2_000
"""Limit of a message's ``content``."""
EMBED_DESCRIPTION = 4_096
EMBED_FOOTER = 2_048
EMBEDS = 6_000
"""Limit of all texts in the embeds of a message together."""
CHOICE = 100
"""Limit of the name and of the value of a suggestion."""
MODAL_VALUE = 4_000

__all__ = ["CHOICE", "CONTENT", "EMBEDS", "EMBED_DESCRIPTION", "EMBED_FOOTER", "MODAL_VALUE", "cut", "shorten", "size"]


def cut(text: str, limit: int) -> str:
    """Return as much from the start of the text as fits into ``limit``."""
    return text[: fitting_length(text, limit, size)]


def shorten(text: str, limit: int) -> str:
    """Return the text cut to ``limit``, if possible between words, with an ellipsis if it was longer."""
    if size(text) <= limit:
        return text
    start = cut(text, limit - 1)
    at = start.rfind(" ", len(start) // 2)
    return (start[:at] if at > 0 else start).rstrip("\\ ,.;:") + "…"
