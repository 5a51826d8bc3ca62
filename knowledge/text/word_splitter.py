"""Splits text into words in any script. Does no I/O.

Marks stay with their letter. Words come in Unicode's compatibility form (NFKC), so that ligatures and letters of full
width are ordinary letters, and without characters that nobody sees, such as soft hyphens. Scripts that put no spaces
between words become pairs of letters, as do Korean words, whose endings are many.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_LAST_CODE = 0xFFFF
_WORD_SEPARATOR = "\u200b"
"""The space of no width, which separates words of Thai and Khmer."""


def _characters(*categories: str) -> list[str]:
    codes = map(chr, range(0x80, _LAST_CODE + 1))
    return [one for one in codes if unicodedata.category(one) in categories]


_INVISIBLE = dict.fromkeys(
    [ord(one) for one in _characters("Cf") if one != _WORD_SEPARATOR]
    + [0x34F, 0x115F, 0x1160, 0x3164, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10)]
)
_MARKS = "".join(one for one in _characters("Mn", "Mc") if ord(one) not in _INVISIBLE)
_WORD = re.compile(rf"\w[\w{_MARKS}]*")
_LETTERS = rf"[^\W_](?:[^\W_]|[{_MARKS}])*"
_WORD_WITH_APOSTROPHE = re.compile(rf"{_LETTERS}(?:['’]{_LETTERS})?")
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaa7f\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
SPACED_LETTER = rf"[^\W{_UNSPACED}]"
"""A pattern of a letter, digit or underscore that belongs to the word or number beside it; others may touch it."""
_UNSPACED_RUN = re.compile(rf"([{_UNSPACED}]+)")
_LETTER_WITH_MARKS = re.compile(rf".[{_MARKS}]*", re.DOTALL)
_IDEOGRAPH = re.compile(r"[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def words(text: str) -> list[str]:
    """Return the words in order, with their case. An underscore belongs to its word, an apostrophe does not."""
    return _WORD.findall(_plain(text))


def _plain(text: str) -> str:
    """Return the text in compatibility form, without invisible characters."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text.translate(_INVISIBLE))


def runs(word: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a word that are in one kind of script, and whether it puts no spaces between words."""
    for index, part in enumerate(_UNSPACED_RUN.split(word) if not word.isascii() else [word]):
        if part:
            yield part, index % 2 == 1


def is_unspaced(word: str) -> bool:
    """Return whether all of a word is in a script that puts no spaces between words."""
    return bool(_UNSPACED_RUN.fullmatch(word))


def is_ideograph(letter: str) -> bool:
    """Return whether a single character is often a word, as in Chinese and Japanese."""
    return bool(_IDEOGRAPH.match(letter))


def letters(run: str) -> list[str]:
    """Return the letters of a run, each with its marks."""
    return _LETTER_WITH_MARKS.findall(run)


def letter_pairs(run: str) -> list[str]:
    """Return each pair of neighboring letters; a single letter alone."""
    single = letters(run)
    return ["".join(single[at : at + 2]) for at in range(max(1, len(single) - 1))]


def script_words(text: str) -> Iterator[str]:
    """Yield the words in lower case, with their apostrophe. Scripts without spaces yield each pair of letters."""
    for word in _WORD_WITH_APOSTROPHE.findall(_plain(text).casefold()):
        for run, unspaced in runs(word):
            yield from letter_pairs(run) if unspaced else [run]
