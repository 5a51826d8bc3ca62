"""Splits compound words of German, Dutch and the Nordic languages into their parts, by the word lists of simplemma."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from functools import lru_cache

from knowledge.text.word_forms import fold, transliterate

LANGUAGES = frozenset({"da", "de", "nl", "no", "sv"})
"""Languages that write compounds as one word."""
MIN_WORD, MAX_WORD = 8, 40
"""Shorter words are not split: they are no compounds. Longer ones are no words."""
MIN_PART, MAX_PART = 3, 20
MAX_PARTS = 5

_LISTS = {"no": ("nb", "nn")}
_LINKS = {"de": ("s", "es", "n", "en"), "nl": ("s", "e", "en", "n"), "sv": ("s",), "da": ("s", "e"), "no": ("s", "e")}
"""Letters between two parts."""
_DROPPED = {"de": ("e", "en"), "nl": ("e", "en"), "sv": ("a", "e"), "da": ("e",), "no": ("e",)}
"""Letters that the first part loses before the second: ``Aushilfe`` in ``Aushilfskraft``."""
_AFFIXES = {
    "de": "aus auf ein ver vor bei mit ent her hin unter über durch wider ung heit keit lich isch bar sam los haft "
    "schaft tum ische isches ischen ischer liche lichen licher liches bare baren sten ste ten ter tes tet end "
    "ende enden",
    "nl": "aan uit ver voor bij met ont her ing heid lijk lijke isch ische baar loos schap ten ter tje den der",
    "sv": "för ut upp från het lig liga ligt isk iska ning skap ande ende are arna erna orna ens ade",
    "da": "for ud op fra hed lig lige ligt isk iske ning skab ende ere erne ens ede",
    "no": "for ut opp fra het lig lige ligt isk iske ning skap ende ere ene ens ede",
}
"""Word lists contain these as words; in a compound they are prefixes, suffixes and endings."""

_lock = threading.Lock()
_word_lists: dict[str, _WordList] = {}


class _WordList:
    """Words as sorted hashes: the German list has a million words, and takes 10 MB this way."""

    def __init__(self, language: str) -> None:
        from simplemma.strategies.dictionaries.dictionary_factory import DefaultDictionaryFactory

        factory = DefaultDictionaryFactory(cache_max_size=0)
        affixes = set(_AFFIXES[language].split())
        words, nouns, others = array("q"), array("q"), [""]
        for name in _LISTS.get(language, (language,)):
            for word in factory.get_dictionary(name):
                if not (MIN_PART <= len(word) <= MAX_PART and word.isalpha()):
                    continue
                if not word.isascii():
                    others.append(word)
                elif (plain := word.lower()) not in affixes:
                    words.append(hash(plain))
                    if word[0].isupper():
                        nouns.append(hash(plain))
        # Folded as one text, this takes a second; one by one, half a minute.
        for word, plain in zip(others, _normal("\n".join(others).casefold()).split("\n"), strict=True):
            words.append(hash(plain))
            if word[:1].isupper():
                nouns.append(hash(plain))
        self._words = _sorted(words)
        # Only German tells its nouns by their capital.
        self._nouns = _sorted(nouns) if language == "de" else self._words

    def has(self, word: str) -> bool:
        return _has(self._words, word)

    def has_noun(self, word: str) -> bool:
        """Return whether the word can be the last part of a compound."""
        return _has(self._nouns, word)


def _sorted(hashes: array[int]) -> array[int]:
    import numpy as np  # Commands that only list documents start faster without it.

    return array("q", np.unique(np.frombuffer(hashes, dtype=np.int64)).tobytes())


def _has(hashes: array[int], word: str) -> bool:
    place = bisect_left(hashes, hash(word))
    return place < len(hashes) and hashes[place] == hash(word)


def _normal(text: str) -> str:
    return fold(transliterate(text))


def _word_list(language: str) -> _WordList:
    with _lock:
        found = _word_lists.get(language)
        if found is None:
            found = _word_lists[language] = _WordList(language)
        return found


Part = tuple[str, ...]
"""A part of a compound, as it is to be read; a second reading if its first letter may be an *s* that only links."""


@lru_cache(maxsize=50_000)
def parts(word: str, language: str) -> tuple[Part, ...]:
    """Return the parts of a lower-case compound, and the parts of these; empty for other words.

    The parts are spelled without accents, umlauts as ``ae``, and without the letters that only link them:
    ``reisekostenabrechnung`` has ``reisekosten``, ``reise``, ``kosten`` and ``abrechnung``. The word list does not tell
    whether ``urlaubstage`` has ``tage`` or ``stage``, so both are readings of its last part.
    """
    plain = _normal(word)
    if language not in LANGUAGES or not MIN_WORD <= len(plain) <= MAX_WORD or not plain.isalpha():
        return ()
    known = _word_list(language)
    found = _split(plain, language, known, MAX_PARTS)
    if found is None:
        return ()
    first, *others = found
    readings = [(first,), *(_readings(one, language, known) for one in others)]
    return tuple(dict.fromkeys(part for one in readings for part in (one, *parts(one[0], language))))


def _readings(part: str, language: str, known: _WordList) -> Part:
    """Return the readings of a part that follows another one."""
    links = part.startswith("s") and "s" in _LINKS[language] and len(part) > MIN_PART
    return (part, part[1:]) if links and known.has_noun(part[1:]) else (part,)


def _split(word: str, language: str, known: _WordList, most: int) -> list[str] | None:
    """Return the fewest parts that make up the word, the shortest of them as long as possible; None if there are none.

    At most ``most`` parts. The word itself is not one, even if the list has it.
    """
    best: list[str] | None = None
    for end in range(MIN_PART, len(word) - MIN_PART + 1):
        base = _first_part(word[:end], language, known)
        if base is None:
            continue
        rest = word[end:]
        others = [rest] if known.has_noun(rest) else _split(rest, language, known, most - 1) if most > 2 else None
        if others is not None and (best is None or _cost([base, *others]) < _cost(best)):
            best = [base, *others]
    return best


def _cost(found: list[str]) -> tuple[int, int]:
    return len(found), -min(len(base) for base in found)


def _first_part(written: str, language: str, known: _WordList) -> str | None:
    """Return the word that a part other than the last stands for; None if it stands for none."""
    if known.has(written):
        return written
    if len(written) < MIN_PART + 1:
        return None
    stems = [written[: -len(link)] for link in _LINKS[language] if written.endswith(link)]
    candidates = [*stems, *(one + ending for one in (written, *stems) for ending in _DROPPED[language])]
    return next((one for one in candidates if len(one) > MIN_PART and known.has(one)), None)
