"""Reads whole numbers from untrusted text.

``int`` raises ValueError for more than 4,300 digits, and for characters like ``²`` that ``str.isdigit`` accepts.
"""

from __future__ import annotations

MAX_DIGITS = 18
"""Longer numbers do not fit into 64 bits."""


def whole_number(text: str) -> int | None:
    """Return the number from 0 that the text writes in ASCII digits; None for any other text or a longer number."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS
    return int(text) if is_number else None
