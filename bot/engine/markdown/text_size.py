"""Measures text in the units in which a platform counts its limits. Does no I/O."""

from __future__ import annotations

from collections.abc import Callable

TextSize = Callable[[str], int]
"""Returns how much of a limit a text takes. The size of a text is the sum of the sizes of its characters."""


def utf16_units(text: str) -> int:
    """Return the UTF-16 code units of a text: 2 for an emoji and other characters above U+FFFF, 1 for the rest."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def fitting_length(text: str, limit: int, size: TextSize) -> int:
    """Return how many characters from the start of the text fit into ``limit``."""
    low, high = 0, min(len(text), max(limit, 0))
    while low < high:
        middle = (low + high + 1) // 2
        if size(text[:middle]) <= limit:
            low = middle
        else:
            high = middle - 1
    return low


def truncated(text: str, limit: int, size: TextSize) -> str:
    """Return the text cut to ``limit``, with an ellipsis if it was longer."""
    if size(text) <= limit:
        return text
    return text[: fitting_length(text, limit - size("…"), size)].rstrip() + "…"
