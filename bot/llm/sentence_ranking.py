"""Which sentences to quote: pure, by words that the question and a sentence share."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from bot.llm.quotable_pieces import LONGEST_CODE, Kind, Piece, pieces
from knowledge.types import Passage

MOST_QUOTES = 4
FEWEST_QUOTES = 2
_LONGEST_UNIT = 600
_WORTH = 0.5
"""A further quote scores at least this share of the best one ..."""
_WORTH_REPEATED = 0.85
"""... or this one, where two are chosen already and it has no word of the question that they lack."""
_HEADING_SHARE = 0.75
_NUMBER_BONUS = 0.2
_RANK_DECAY = 0.15

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_QUANTITY = re.compile(
    r"\b(?:how (?:many|much|long|often|old|far|big|large)|when|what time|which (?:day|date|year)"
    r"|wie (?:viel|lange|oft)|wann|combien|quand|cu[aá]nt)",
    re.IGNORECASE,
)
_STOP_WORDS = frozenset(
    (
        "a about above after again all also am an and any are as at be because been before being below "
        "between both but by can could did do does doing down during each few for from further get had has "
        "have having he her here hers him his how i if in into is it its just let may me might more most must "
        "much many my no nor not now of off on once only or other our out over own please same she should so "
        "some such tell than that the their them then there these they this those through to too under until "
        "up us very was we were what when where which while who whom why will with would you your yours "
        "aber als auch auf aus bei das dem den der des die ein eine einem einen einer es für hat ich im ist kann mit "
        "nach nicht oder sich sie sind und uns unser von wann wenn wer wie wir wird wo zu zum zur "
        "au aux avec ce ces comment dans de du elle en est et il je la le les nous ou où par pas pour qu que quel "
        "quelle qui sur un une vous como con cuando del donde el las los para por se su una y"
    ).split()
)


@dataclass(frozen=True, slots=True)
class Quote:
    """A literal piece of passage ``n``, counted from 1. ``header`` is the table's, for a row."""

    n: int
    text: str
    kind: Kind
    header: str = ""


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is quoted whole or not at all; ``place`` is its position among all units."""

    n: int
    place: int
    text: str
    kind: Kind
    terms: frozenset[str]
    context: frozenset[str]
    """Terms of the headings and the title above it."""
    header: str


def terms(text: str) -> list[str]:
    """Stemmed words without stop words, in order."""
    words = (word.lower().replace("’", "'").removesuffix("'s") for word in _WORD.findall(text))
    return [_stem(word) for word in words if word not in _STOP_WORDS]


def best_quotes(question: str, passages: Sequence[Passage]) -> list[Quote]:
    """One to four pieces that answer best, the best first. If no word is shared: the opening of the best passage, or,
    where that is of an attached file, what the files begin with."""
    units = _units(passages)
    if not units:
        return []
    asked = frozenset(terms(question))
    scores = _scores(asked, units, wants_number=bool(_QUANTITY.search(question)))
    chosen = _with_followers(_choose(asked, units, scores) or _opening(passages, units), units)
    return [Quote(unit.n, unit.text, unit.kind, unit.header) for unit in chosen]


def telling_sentences(texts: Iterable[str], room: int) -> list[str]:
    """The sentences that carry the most frequent content words, in order, in at most ``room`` characters."""
    found = list(
        dict.fromkeys(piece.text for whole in texts for piece in pieces(whole, questions=True) if piece.kind != "code")
    )
    words = {text: terms(text) for text in found}
    frequency = Counter(word for listed in words.values() for word in set(listed))
    weight = {
        text: sum(frequency[word] for word in set(listed)) / math.sqrt(len(listed) + 4)
        for text, listed in words.items()
    }
    kept: set[str] = set()
    for text in sorted(found, key=lambda text: -weight[text]):
        if len(text) + 1 <= room and words[text]:
            kept.add(text)
            room -= len(text) + 1
    return [text for text in found if text in kept]


def _units(passages: Sequence[Passage]) -> list[_Unit]:
    units: list[_Unit] = []
    seen: set[str] = set()
    for n, passage in enumerate(passages, 1):
        above = (passage.title, *passage.heading)
        headings = {" ".join(terms(heading)) for heading in above}
        for piece in pieces(passage.text) or [Piece(passage.text.strip()[:_LONGEST_UNIT], "sentence", "")]:
            words = terms(piece.text)
            key = " ".join(words)
            too_long = len(piece.text) > (LONGEST_CODE if piece.kind == "code" else _LONGEST_UNIT)
            if not words or key in seen or key in headings or too_long:
                continue
            seen.add(key)
            context = frozenset(terms(" ".join((*above, piece.lead))))
            units.append(_Unit(n, len(units), piece.text, piece.kind, frozenset(words), context, piece.header))
    return units


def _weights(asked: frozenset[str], units: Sequence[_Unit]) -> dict[str, float]:
    """How much each word of the question says: rare among the units weighs more."""
    count = Counter(term for unit in units for term in unit.terms & asked)
    return {term: math.log(1 + (len(units) + 1) / (count[term] + 0.5)) for term in asked}


def _scores(asked: frozenset[str], units: Sequence[_Unit], *, wants_number: bool) -> list[float]:
    weight = _weights(asked, units)
    scores = []
    for unit in units:
        own = sum(weight[term] for term in unit.terms & asked)
        above = sum(weight[term] for term in (unit.context & asked) - unit.terms) * _HEADING_SHARE
        score = own + above if own else above / 2
        if wants_number and score and any(character.isdigit() for character in unit.text):
            score *= 1 + _NUMBER_BONUS
        length = len(unit.terms)
        score /= 1 + max(0, length - 30) / 60
        scores.append(score / (1 + _RANK_DECAY * (unit.n - 1)))
    return scores


def _choose(asked: frozenset[str], units: Sequence[_Unit], scores: Sequence[float]) -> list[_Unit]:
    """The best unit, then whatever adds words of the question that are not yet covered, or scores nearly as well."""
    best = max(scores, default=0.0)
    if best <= 0:
        return []
    chosen: list[_Unit] = []
    covered: set[str] = set()
    for unit, score in sorted(zip(units, scores, strict=True), key=lambda pair: -pair[1]):
        adds = bool((unit.terms & asked) - covered)
        floor = best * (_WORTH if adds or len(chosen) < FEWEST_QUOTES else _WORTH_REPEATED)
        if score < floor:
            continue
        chosen.append(unit)
        covered |= unit.terms & asked
        if len(chosen) == MOST_QUOTES:
            break
    return chosen


def _opening(passages: Sequence[Passage], units: Sequence[_Unit]) -> list[_Unit]:
    """The first unit; of attached files, which belong to no document, the first ones of each, file after file."""
    if passages[units[0].n - 1].document_id:
        return list(units[:1])
    sources = list(dict.fromkeys(passages[unit.n - 1].source for unit in units))[:MOST_QUOTES]
    each = MOST_QUOTES // len(sources)
    begun = [[unit for unit in units if passages[unit.n - 1].source == source][:each] for source in sources]
    return [unit for units_ in begun for unit in units_]


def _with_followers(chosen: Sequence[_Unit], units: Sequence[_Unit]) -> list[_Unit]:
    """A sentence that ends in a colon brings the code or the items it announces."""
    kept: dict[int, _Unit] = {}
    for unit in chosen:
        kept[unit.place] = unit
        announced = unit.text.rstrip().endswith(":")
        for follower in units[unit.place + 1 :]:
            if not announced or follower.n != unit.n or follower.kind == "sentence" or len(kept) >= MOST_QUOTES:
                break
            kept[follower.place] = follower
            announced = follower.kind == "item"
    return list(kept.values())[:MOST_QUOTES]


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))


@lru_cache(maxsize=1)
def _stemmer():  # type: ignore[no-untyped-def]
    import Stemmer

    return Stemmer.Stemmer("english")
