"""Ranks the sentences of passages by the words they share with a question, and selects the best quotes. Does no I/O."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from bot.llm.quotable_pieces import MAX_CODE_CHARS, Kind, Piece, pieces
from knowledge.script_words import is_unspaced, script_words
from knowledge.types import Passage, Sentence

MAX_QUOTES = 4
MIN_QUOTES = 2
_MAX_UNIT_CHARS = 600
_MIN_SCORE_SHARE = 0.5
"""A further quote must score at least this share of the best one."""
_MIN_SCORE_SHARE_REPEATED = 0.85
"""The share after two quotes, for a quote that adds no new word of the question."""
_MIN_COSINE = 0.35
"""Cosine from which a sentence without a word of the question may answer it."""
_HEADING_SHARE = 0.75
_CARRIED_SHARE = 0.3
"""The weight of a word of an earlier question: the subject stays, but a new name replaces the earlier one."""
_NUMBER_BONUS = 0.2
_RANK_DECAY = 0.15

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
    """A literal piece of passage number ``n``, counted from 1. A row has its table's ``header``."""

    n: int
    text: str
    kind: Kind
    header: str = ""


@dataclass(frozen=True, slots=True)
class _Unit:
    """A piece that is quoted as a whole or not at all. ``place`` is its position among all units."""

    n: int
    place: int
    text: str
    kind: Kind
    terms: frozenset[str]
    context: frozenset[str]
    """Terms of the title and the headings above it."""
    header: str


def terms(text: str) -> list[str]:
    """Return the stemmed words of a text in order, without stop words."""
    words = (word.replace("’", "'").removesuffix("'s") for word in script_words(text))
    return [_stem(word) for word in words if word not in _STOP_WORDS]


def best_quotes(question: str, passages: Sequence[Passage], carried: Sequence[str] = ()) -> list[Quote]:
    """Return one to four pieces that answer the question best, the best first.

    ``carried`` are words of earlier questions that a follow-up question leans on. They weigh less than its own words.
    If no word is shared, return the sentence that is nearest in meaning, if one is near, and nothing otherwise. Of
    attached files, which the asker chose, return the openings.
    """
    units = _units(passages)
    if not units:
        return []
    own = _with_pairs(frozenset(terms(question)), units)
    query = own | _with_pairs(frozenset(terms(" ".join(carried))), units)
    weight = {term: value if term in own else value * _CARRIED_SHARE for term, value in _weights(query, units).items()}
    scores = _scores(weight, units, wants_number=bool(_QUANTITY.search(question)))
    chosen = _with_followers(_choose(query, units, scores) or _nearest(passages, units), units)
    return [Quote(unit.n, unit.text, unit.kind, unit.header) for unit in chosen]


def key_sentences(texts: Iterable[str], max_chars: int) -> list[str]:
    """Return the sentences with the most frequent content words, in order, in at most ``max_chars`` characters."""
    found = list(
        dict.fromkeys(piece.text for text in texts for piece in pieces(text, questions=True) if piece.kind != "code")
    )
    words = {text: terms(text) for text in found}
    frequency = Counter(word for listed in words.values() for word in set(listed))
    weight = {
        text: sum(frequency[word] for word in set(listed)) / math.sqrt(len(listed) + 4)
        for text, listed in words.items()
    }
    chosen: set[str] = set()
    for text in sorted(found, key=lambda text: -weight[text]):
        if len(text) + 1 <= max_chars and words[text]:
            chosen.add(text)
            max_chars -= len(text) + 1
    return [text for text in found if text in chosen]


def _units(passages: Sequence[Passage]) -> list[_Unit]:
    units: list[_Unit] = []
    seen: set[str] = set()
    for n, passage in enumerate(passages, 1):
        above = (passage.title, *passage.heading)
        headings = {" ".join(terms(heading)) for heading in above}
        for piece in pieces(passage.text) or [Piece(passage.text.strip()[:_MAX_UNIT_CHARS], "sentence", "")]:
            words = terms(piece.text)
            key = " ".join(words)
            too_long = len(piece.text) > (MAX_CODE_CHARS if piece.kind == "code" else _MAX_UNIT_CHARS)
            if not words or key in seen or key in headings or too_long:
                continue
            seen.add(key)
            context = frozenset(terms(" ".join((*above, piece.lead))))
            units.append(_Unit(n, len(units), piece.text, piece.kind, frozenset(words), context, piece.header))
    return units


def _with_pairs(query: frozenset[str], units: Sequence[_Unit]) -> frozenset[str]:
    """Return the terms with each pair of letters that has a question's single letter, as of “猫？”, in it."""
    single = [term for term in query if len(term) == 1 and is_unspaced(term)]
    if not single:
        return query
    known = {term for unit in units for term in unit.terms | unit.context if len(term) == 2}
    return query | {term for term in known if any(letter in term for letter in single)}


def _weights(query: frozenset[str], units: Sequence[_Unit]) -> dict[str, float]:
    """Return the weight of each word of the question; rare words weigh more."""
    count = Counter(term for unit in units for term in unit.terms & query)
    return {term: math.log(1 + (len(units) + 1) / (count[term] + 0.5)) for term in query}


def _scores(weight: Mapping[str, float], units: Sequence[_Unit], *, wants_number: bool) -> list[float]:
    query = frozenset(weight)
    scores = []
    for unit in units:
        own = sum(weight[term] for term in unit.terms & query)
        above = sum(weight[term] for term in (unit.context & query) - unit.terms) * _HEADING_SHARE
        score = own + above if own else above / 2
        if wants_number and score and any(character.isdigit() for character in unit.text):
            score *= 1 + _NUMBER_BONUS
        length = len(unit.terms)
        score /= 1 + max(0, length - 30) / 60
        scores.append(score / (1 + _RANK_DECAY * (unit.n - 1)))
    return scores


def _choose(query: frozenset[str], units: Sequence[_Unit], scores: Sequence[float]) -> list[_Unit]:
    """Return the best unit, then units that cover further words of the question or score nearly as well."""
    best = max(scores, default=0.0)
    if best <= 0:
        return []
    chosen: list[_Unit] = []
    covered: set[str] = set()
    for unit, score in sorted(zip(units, scores, strict=True), key=lambda pair: -pair[1]):
        adds_word = bool((unit.terms & query) - covered)
        share = _MIN_SCORE_SHARE if adds_word or len(chosen) < MIN_QUOTES else _MIN_SCORE_SHARE_REPEATED
        if score < best * share:
            continue
        chosen.append(unit)
        covered |= unit.terms & query
        if len(chosen) == MAX_QUOTES:
            break
    return chosen


def _nearest(passages: Sequence[Passage], units: Sequence[_Unit]) -> list[_Unit]:
    """Return the unit with the sentence whose vector is nearest to the question's, if it is near.

    A question in another language than the documents shares no word with them.
    """
    if not passages[units[0].n - 1].document_id:
        return _opening(passages, units)
    near = [
        (sentence.cosine, unit)
        for unit in units
        for sentence in (passages[unit.n - 1].sentences)
        if sentence.cosine >= _MIN_COSINE and _overlap(passages[unit.n - 1], sentence, unit.text)
    ]
    return [max(near, key=lambda pair: pair[0])[1]] if near else []


def _overlap(passage: Passage, sentence: Sentence, text: str) -> bool:
    """Return whether a unit's text and a sentence share characters of the passage."""
    start = passage.text.find(text)
    first, last = sentence.start - passage.start, sentence.end - passage.start
    return start >= 0 and start < last and first < start + len(text)


def _opening(passages: Sequence[Passage], units: Sequence[_Unit]) -> list[_Unit]:
    """Return the first units of each attached file."""
    sources = list(dict.fromkeys(passages[unit.n - 1].source for unit in units))[:MAX_QUOTES]
    per_source = MAX_QUOTES // len(sources)
    openings = [[unit for unit in units if passages[unit.n - 1].source == source][:per_source] for source in sources]
    return [unit for opening in openings for unit in opening]


def _with_followers(chosen: Sequence[_Unit], units: Sequence[_Unit]) -> list[_Unit]:
    """Return the chosen units, with the code or items after a sentence that announces them with a colon."""
    result: dict[int, _Unit] = {}
    for unit in chosen:
        result[unit.place] = unit
        announces = unit.text.rstrip().endswith(":")
        for follower in units[unit.place + 1 :]:
            if not announces or follower.n != unit.n or follower.kind == "sentence" or len(result) >= MAX_QUOTES:
                break
            result[follower.place] = follower
            announces = follower.kind == "item"
    return list(result.values())[:MAX_QUOTES]


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))


@lru_cache(maxsize=1)
def _stemmer():  # type: ignore[no-untyped-def]
    import Stemmer

    return Stemmer.Stemmer("english")
