"""Writes ligatures and letters of other widths and styles as plain letters: ``ﬃ`` as ``ffi``, ``Ａ`` as ``A``."""

from __future__ import annotations

import unicodedata
from functools import lru_cache


def plain_letters(text: str) -> str:
    """Return a text with each letter and digit in its compatibility form (NFKC), and other characters as they are.

    Letter by letter, so that the result of a beginning of the text is the beginning of its result.
    """
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        return text
    return "".join(map(_plain_letter, text))


@lru_cache(maxsize=4096)
def _plain_letter(letter: str) -> str:
    plain = unicodedata.normalize("NFKC", letter)
    return plain if plain.isalnum() else letter
