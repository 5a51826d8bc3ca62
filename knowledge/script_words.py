"""Splits text into words in any script: marks stay with their letter, scripts without spaces become pairs of letters.

Does no I/O.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_LAST_MARK = 0x1CFF


def _marks() -> str:
    """Return the combining marks of living scripts as a class of a regular expression."""
    marks = (chr(code) for code in range(0x300, _LAST_MARK) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
    return f"[{''.join(marks)}\u200c\u200d]"


_LETTERS = rf"[^\W_](?:[^\W_]|{_marks()})*"
_WORD = re.compile(rf"{_LETTERS}(?:['’]{_LETTERS})?")
_WITHOUT_SPACES = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0002ffff]+"
)


def is_unspaced(word: str) -> bool:
    """Return whether all of a word is in a script that puts no spaces between words."""
    return bool(_WITHOUT_SPACES.fullmatch(word))


def script_words(text: str) -> Iterator[str]:
    """Yield the words in folded form (NFKC, case). A run of Chinese, Japanese or Thai yields each pair of letters."""
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if not _WITHOUT_SPACES.search(word):
            yield word
            continue
        place = 0
        for run in _WITHOUT_SPACES.finditer(word):
            yield from filter(None, [word[place : run.start()]])
            letters = run.group()
            yield from (letters[at : at + 2] for at in range(max(1, len(letters) - 1)))
            place = run.end()
        yield from filter(None, [word[place:]])
