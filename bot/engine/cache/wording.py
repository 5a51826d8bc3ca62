"""A question reduced to what its answer depends on: two that reduce to the same ask the same. Pure.

What people vary without meaning anything else goes: courtesy, articles, spelling, number, the many ways to ask how
something is done. What can turn an answer round stays, in its order: names, numbers, negation, prepositions of place
and time, tense, what is asked for. Made for English; of other languages only the plainest variation goes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from bot.engine.cache.english import (
    ALIKE,
    ANYBODY,
    BACK,
    CLOSINGS,
    CONTRACTIONS,
    EMPTY_IT,
    FRAMES,
    FUTURE,
    IDLE,
    JOINING,
    NUMBERS,
    OPENINGS,
    PAST,
    PHRASES,
    RELATING,
    SPELLED,
    TOKEN,
)
from bot.engine.cache.key import CAPITALS
from bot.engine.cache.order import fit, ordered, settled


@dataclass(frozen=True, slots=True)
class Wording:
    """What a question asks: ``frame`` (how, what, may one, ...) and the words that matter, in order.

    ``points_back`` where it can be understood only with something said before.
    """

    frame: str
    words: tuple[str, ...]
    points_back: bool

    @property
    def telling(self) -> bool:
        """Whether enough is left to tell it from other questions."""
        return any(len(word) > 1 for word in self.words)


def reduced(question: str) -> Wording:
    """The wording of a question."""
    text = settled(_plain(question))
    for pattern, without in EMPTY_IT[:3]:
        text = pattern.sub(without, text)
    frame, text = _framed(text)
    text = ANYBODY.sub(lambda found: found[1] + re.sub(r"\byour\b", "my", found[2]), fit(text))
    for pattern, word in (*EMPTY_IT[3:], *PHRASES):
        text = pattern.sub(word, text)
    tokens = [part for token in TOKEN.findall(text) for part in _spelled(token)]
    tokens = [
        _infinitive(token) if (place == 0 and frame in _DOING) or (place and tokens[place - 1] == "to") else token
        for place, token in enumerate(tokens)
    ]
    if frame == "can-for":
        frame, to = "can", tokens.index("to") if "to" in tokens else len(tokens)
        tokens = tokens[:to] + tokens[to + 1 :]
    if frame not in _ALLOWING:
        tokens = [word for word in tokens if word not in ("any",)]
    back = _points_back(tokens)
    tokens = ordered(tokens, one_verb=frame in _DOING)
    return Wording(frame, tuple(_counted(_symmetric(_compounds(tokens)))), back)


_DOING = ("how", "can", "should", "must")
"""Frames that a verb follows, its subject gone with them."""
_ALLOWING = ("can", "should", "must", "will")
"""Where ``any`` file is more than a file."""


def _points_back(tokens: Sequence[str]) -> bool:
    """Whether a word points at something that the question does not name itself."""
    for place, word in enumerate(tokens):
        if word not in BACK or (word == "that" and _relates(tokens, place)):
            continue
        joint = next((n for n in range(place - 1, -1, -1) if tokens[n] in JOINING), 0)
        if not any(named not in IDLE and named not in BACK for named in tokens[1:joint]):
            return True
    return False


def _relates(tokens: Sequence[str], place: int) -> bool:
    return (
        place > 1
        and tokens[place - 1] not in ALIKE
        and tokens[place + 1 : place + 2] != []
        and (tokens[place + 1] in RELATING)
    )


def _framed(text: str) -> tuple[str, str]:
    """What is asked for, and the text after the words that say so."""
    for pattern, frame, rest in FRAMES:
        framed, count = pattern.subn(rest, text, count=1)
        if count:
            return frame, framed
    return "", text


def _plain(question: str) -> str:
    """Lower case but for words that only capitals tell apart, without courtesy and closing punctuation."""
    text = unicodedata.normalize("NFKC", question).replace("’", "'").replace("‘", "'")
    shouted = text.isupper()
    words = [word if word.strip("?!.,;:'s") in CAPITALS and not shouted else word.casefold() for word in text.split()]
    text = " ".join(words)
    for pattern, full in CONTRACTIONS:
        text = pattern.sub(full, text)
    before = ""
    while before != text:
        before = text
        text = CLOSINGS.sub("", OPENINGS.sub("", text.strip(" \t?!.,;:\"'"))).strip(" ?!.,;:\"'")
    return text


def _spelled(token: str) -> list[str]:
    """A word as it is compared; one with hyphens is its parts."""
    token = token.removesuffix("'s")
    token = NUMBERS.get(token, SPELLED.get(token, token))
    if token[:1].isdigit():
        return [token.replace(",", "")]
    return token.split("-") if token.replace("-", "").isalpha() else [token]


_SILENT_E = re.compile(
    r"(?:v|c|[aeiourlnp]s|[bcdgkpt]l|[dr]g|ang|id|ir|iz|(?<![aeou])at|ur|ag|uc|u|[clp]et|[cp]ut|stor)$"
)


def _infinitive(word: str) -> str:
    """A verb that may stand in its -ing or -ed form; in doubt as no other verb is spelled."""
    ending = next((one for one in ("ing", "ed") if word.endswith(one)), "")
    if not ending or len(word) < 6 or not re.search("[aeiouy]", word[: -len(ending)]):
        return word
    stem = word[: -len(ending)]
    if stem[-1] == stem[-2] and stem[-1] not in "lsfz":
        return stem[:-1]
    short = len(stem) <= 4 and re.search(r"(?:[^aeiou][aeiou][^aeiouwxy])$", stem)
    return stem + "e" if short or _SILENT_E.search(stem) else stem


def _compounds(tokens: Sequence[str]) -> list[str]:
    """``date of the release`` as ``release date``."""
    made: list[str] = []
    place = 0
    while place < len(tokens):
        if tokens[place] == "of" and made and made[-1] not in IDLE:
            after = place + 1
            while after < len(tokens) and tokens[after] in ("the", "a", "an", "my", "our"):
                after += 1
            if after < len(tokens) and tokens[after] not in IDLE:
                made.insert(len(made) - 1, tokens[after])
                place = after + 1
                continue
        made.append(tokens[place])
        place += 1
    return made


_BOTH_WAYS = frozenset(
    "difference differences differ distance compare compared comparison similarities similarity relationship "
    "between".split()
)


def _symmetric(tokens: Sequence[str]) -> list[str]:
    """The two that are compared in the order of the alphabet, where neither order means more."""
    if _BOTH_WAYS.isdisjoint(tokens) or tokens.count("and") != 1 or tokens.count("between") > 1:
        return list(tokens)
    start = next((i + 1 for i, token in enumerate(tokens) if token in ("between", "compare")), None)
    middle = tokens.index("and")
    if start is None or start >= middle:
        return list(tokens)
    sides = sorted([list(_counted(tokens[start:middle])), list(_counted(tokens[middle + 1 :]))])
    return [*tokens[:start], *sides[0], "and", *sides[1]]


_SAME_AS_PLURAL = frozenset("news goods customs means arms terms savings always perhaps does was has is".split())


def _counted(tokens: Sequence[str]) -> list[str]:
    """Without idle words, in the singular; past and future are marks. What ends a question is not idle."""
    kept = []
    for place, token in enumerate(tokens):
        if token in PAST:
            kept.append("-past")
        elif token in FUTURE:
            kept.append("-future")
        elif token not in IDLE or (token in ("do", "does", "of") and place == len(tokens) - 1):
            kept.append(_singular(ALIKE.get(token, token)))
    return kept


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is", "'s")) or word in _SAME_AS_PLURAL:
        return "have" if word == "has" else word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    return word[:-1]
