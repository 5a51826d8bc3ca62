"""Computes the indexed forms of a word: without accents, as written, and as stems. Does no I/O."""

from __future__ import annotations

import threading
import unicodedata
from functools import lru_cache
from typing import Any

from knowledge.text.languages import STEMMERS, of_script

MAX_CHARS = 64
"""Maximum number of characters of a word that count."""
MAX_CACHED = 50_000

_DROPPED_MARKS = dict.fromkeys(
    [
        *range(0x300, 0x370),
        *range(0x591, 0x5C8),
        *range(0x64B, 0x660),
        0x640,
        0x670,
        0x93C,
        0x9BC,
        0xA3C,
        0xABC,
        0xB3C,
        0xCBC,
        *range(0x1AB0, 0x1B00),
        *range(0x1DC0, 0x1E00),
    ]
)
_DIGITS = {code: str(unicodedata.decimal(chr(code))) for code in range(0x80, 0x10000) if chr(code).isdecimal()}
_LETTERS_WITHOUT_DECOMPOSITION = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ı": "i", "ħ": "h", "ŧ": "t"}
    | {chr(code): digit for code, digit in _DIGITS.items()}
)
_ARABIC_LETTERS = str.maketrans({"ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه", "ۀ": "ه", "ے": "ي"})
_TRANSLITERATED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})

_stemmers = threading.local()


def fold(text: str) -> str:
    """Return a lower-case text without accents, with digits of every script as those of ASCII."""
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFD", text).replace("и\u0306", "й").translate(_DROPPED_MARKS)
    return unicodedata.normalize("NFC", letters).translate(_LETTERS_WITHOUT_DECOMPOSITION)


def transliterate(text: str) -> str:
    """Return a lower-case text as it is spelled without umlauts and the letters å and ø: ``ae`` for ``ä``."""
    return text if text.isascii() else fold(unicodedata.normalize("NFC", text).translate(_TRANSLITERATED))


@lru_cache(maxsize=MAX_CACHED)
def stem(word: str, language: str = "en") -> str:
    """Return the stem of a lower-case word without accents. Words in a script with one stemmer get that one."""
    word = word[:MAX_CHARS]
    if not word.isascii():
        by_script = of_script(word)
        if by_script is not None:
            return fold(_stemmer(by_script).stemWord(word)).translate(_ARABIC_LETTERS)
    if not word.isalpha() or (language == "en" and not word.isascii()):
        return word
    return fold(_stemmer(language).stemWord(word))


def _stemmer(language: str) -> Any:
    """Return the stemmer of this thread; stemmers must not be shared between threads."""
    found = getattr(_stemmers, language, None)
    if found is None:
        import Stemmer

        found = Stemmer.Stemmer(STEMMERS.get(language, "english"))
        setattr(_stemmers, language, found)
    return found
