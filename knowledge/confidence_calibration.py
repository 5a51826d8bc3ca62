"""Chooses the confidence calibration by the languages of a question and its passages. Does no I/O.

The offline embedding model and the lists of common words know English best: the same features mean more or less in
another language, and across languages hardly a word is shared.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from knowledge.text import languages
from knowledge.text.word_splitter import is_ideograph, words

ACROSS = "across"
"""The question is in another language than all of the passages."""
OTHER_LATIN, OTHER_SCRIPT = "latin", "script"
"""Languages without a calibration of their own, by their script."""
CHINESE = "zh"
SCRIPT_LANGUAGES = frozenset((*languages.SCRIPTS, CHINESE, OTHER_SCRIPT))
"""The calibrations of languages that are not written in Latin letters."""
_CHARS = 4000
"""Characters of a passage that tell its language."""


def calibration_of(question: str, passages: Sequence[str]) -> str:
    """Return a language's code, ``OTHER_LATIN``, ``OTHER_SCRIPT`` or ``ACROSS``.

    Empty for English, and for questions whose words do not tell their language.
    """
    if not _is_latin(question):
        return ACROSS if passages and all(_is_latin(one[:_CHARS]) for one in passages) else _of_script(question)
    spoken = set(languages.of_question(words(question)))
    told = [_languages_of(one[:_CHARS]) for one in passages]
    if spoken and told and all(one and one.isdisjoint(spoken) for one in told):
        return ACROSS
    if not spoken or languages.ENGLISH in spoken:
        return ""
    return spoken.pop() if len(spoken) == 1 else OTHER_LATIN


@lru_cache(maxsize=512)
def _languages_of(text: str) -> frozenset[str]:
    return frozenset(languages.of_question(words(text))) if _is_latin(text) else frozenset(("",))


def _of_script(question: str) -> str:
    letters = [one for one in question if one.isalpha()]
    if all(map(is_ideograph, letters)):
        return CHINESE
    found = {languages.of_script(word) for word in words(question)} - {None}
    return found.pop() or OTHER_SCRIPT if len(found) == 1 else OTHER_SCRIPT


@lru_cache(maxsize=512)
def _is_latin(text: str) -> bool:
    """Return whether at least half of the letters are Latin; True if there are none."""
    letters = [one for one in text if one.isalpha()]
    latin = sum(one.isascii() or unicodedata.name(one, "").startswith("LATIN") for one in letters)
    return 2 * latin >= len(letters)
