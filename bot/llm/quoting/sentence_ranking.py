"""Scores the pieces of passages by how well they answer a question. Does no I/O.

Words and meaning decide together. A word of the question counts fully in the piece itself, and less in what stands
above it: the question that it answers, its heading, its table's header, the sentence before it. The meaning is the
cosine of the sentence's vector. The weights were chosen on the sample's questions and on questions over English and
German texts, where halving or doubling one of them moved the share of right first quotes by less than 3 points.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from bot.llm.quoting import question_kinds
from bot.llm.quoting.quotable_pieces import MAX_CODE_CHARS, Piece, pieces
from knowledge.text import languages
from knowledge.text.word_forms import fold, stem, transliterate
from knowledge.text.word_splitter import is_unspaced, script_words
from knowledge.text.word_splitter import words as split_words
from knowledge.types.search_results import Passage

_MAX_UNIT_CHARS = 600
_MIN_COSINE = 0.35
"""Cosine from which a sentence without a word of the question may answer it."""
_CARRIED_SHARE = 0.45
"""The weight of a word of an earlier question: the subject stays."""
_QUESTION_SHARE = 0.95
"""How much of a word's weight counts if it is not in the piece, but in the question that the piece answers."""
_HEADING_SHARE = 0.8
_HEADER_SHARE = 0.6
_TITLE_SHARE = 0.35
_BEFORE_SHARE = 0.15
_REFERRED_SHARE = 0.7
"""The share of the sentence before, if the piece refers to it: “It needs …”, or an item of the list it announces."""
_NOT_NAMED_SHARE = 0.7
"""The share of a name that no piece has, if the piece speaks of everything else."""
_UNKNOWN_MEANING = 0.5
"""Stands for the cosine where no vectors are stored, as of attached files: they must not lose against documents."""
_QUESTION_MEANING_SHARE = 0.9
_KIND_BONUS = 0.2
_DEFINITION_BONUS = 0.4
_CODE_SHARE = 0.75
"""The share of a block of code: it has many words, and seldom answers in words.

Over six sets of questions, shares from 0.6 to 0.8 gave the same answers.
"""
_SUPERSEDED_SHARE = 0.5
_RANK_DECAY = 0.04
_START_OF_FIELDS = len("---\n")
"""Where the fields of a document begin. A passage with them lacks the line that opens them."""
_LONG_TERMS = 25
_LONG_DECAY = 90

_REFERS_BACK = re.compile(
    r"^(?:this|that|these|those|both|there|then|dies\w*|dann|est[aeo]s?)\b"
    r"|\b(?:it|its|they|them|their|he|him|his|she|her|es|sie|er|ihn|ihm|ihr|il|elle|ils|elles|leur|ell[ao]s?)\b",
    re.IGNORECASE,
)
_FIRST_WORDS = 3
_STOP_WORDS = frozenset(
    (
        "a about above after again all also am an and any are as at be because been before being below "
        "between both but by can could did do does doing down during each few for from further get had happens has "
        "have having he her here hers him his how i if in into is it its just kinds let may me might more most must "
        "much many my no nor not now of off on once only or our out over own please she should so sorts "
        "some such tell than that the their them then there these they this those through to too types under until "
        "up us very was we were what when where which while who whom why will with would you your yours "
        "aber als auch auf aus bei das dem den der des die ein eine einem einen einer es für hat ich im ist kann mit "
        "nach nicht oder sich sie sind und uns unser von wann wenn wer wie wir wird wo zu zum zur "
        "au aux avec ce ces comment dans de du elle en est et il je la le les nous ou où par pas pour qu que quel "
        "quelle qui sur un une vous como con cuando del donde el las los para por se su una y"
    ).split()
)
_NUMBERS = {
    word: str(number)
    for number, words in enumerate(
        "one first/two second/three third/four fourth/five fifth/six sixth/seven seventh/eight eighth/nine ninth"
        "/ten tenth/eleven eleventh/twelve twelfth".split("/"),
        1,
    )
    for word in words.split()
}


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of passage number ``n``, counted from 1. ``place`` is its position among all units.

    ``above`` says how much each word that stands above it counts, 0 to 1. ``meaning`` is the cosine of the question and
    its nearest sentence, or the question that it answers; None if no vectors are stored.
    """

    n: int
    place: int
    piece: Piece
    terms: frozenset[str]
    above: Mapping[str, float]
    meaning: float | None
    superseded: bool

    def covers(self, term: str) -> float:
        """Return how much a word of the question counts here, 0 to 1."""
        return 1.0 if term in self.terms else self.above.get(term, 0.0)


def refers_back(text: str) -> bool:
    """Return whether a sentence has a word that may stand for something in the sentence before it."""
    return bool(_REFERS_BACK.search(text))


def begins_by_referring_back(text: str) -> bool:
    """Return whether such a word is among the first words of a sentence, so that it says little alone."""
    return refers_back(" ".join(text.split()[:_FIRST_WORDS]))


def terms(text: str) -> list[str]:
    """Return the stemmed words of a text in order, without accents and stop words. Number words become digits.

    A number with the word after it is a term too: “fifth year” and “five years” are ``5 year``, and “5 days a year” is
    not.
    """
    words = (word.replace("’", "'").removesuffix("'s") for word in script_words(text))
    found = [_NUMBERS.get(word) or stem(fold(word)) for word in words if word not in _STOP_WORDS]
    return [*found, *(f"{one} {other}" for one, other in pairwise(found) if one.isdecimal())]


def _forms(text: str) -> list[str]:
    """Return the terms of a text, and those of its words as they are spelled without umlauts."""
    found = terms(text)
    spelled = transliterate(text.lower())
    return found if spelled == fold(text.lower()) else [*found, *(one for one in terms(spelled) if one not in found)]


def units_of(passages: Sequence[Passage]) -> list[Unit]:
    """Return the pieces of passages, each once, without headings and what is too long to quote."""
    units: list[Unit] = []
    seen: set[str] = set()
    split = [pieces(passage.text, in_fields=passage.start == _START_OF_FIELDS) for passage in passages]
    headers = _headers(passages, split)
    for n, (passage, own) in enumerate(zip(passages, split, strict=True), 1):
        inside = (heading for place in passage.places for heading in place.heading or ())
        headings = {" ".join(terms(heading)) for heading in (passage.title, *passage.heading, *inside)}
        for piece in own or [Piece(passage.text.strip()[:_MAX_UNIT_CHARS], "sentence")]:
            if piece.kind == "row" and not piece.header:
                piece = replace(piece, header=headers.get((passage.document_id, _columns(piece)), ""))
            words = terms(piece.text)
            key = " ".join(words)
            too_long = len(piece.text) > (MAX_CODE_CHARS if piece.kind == "code" else _MAX_UNIT_CHARS)
            if not words or key in seen or key in headings or too_long:
                continue
            seen.add(key)
            above, meaning = _above(piece, passage), _meaning(piece, passage)
            units.append(Unit(n, len(units), piece, frozenset(_forms(piece.text)), above, meaning, passage.superseded))
    return units


def _headers(passages: Sequence[Passage], split: Sequence[Sequence[Piece]]) -> dict[tuple[str, int], str]:
    """Return the headers by document and number of columns, where there is one.

    A passage that begins inside a table has rows whose header stands elsewhere.
    """
    found: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for passage, own in zip(passages, split, strict=True):
        for piece in own:
            if piece.header:
                found[passage.document_id, _columns(piece)].add(piece.header)
    return {place: one for place, (one, *others) in found.items() if not others}


def _columns(row: Piece) -> int:
    return row.text.count("|")


def term_weights(question: str, carried: Sequence[str], units: Sequence[Unit]) -> dict[str, float]:
    """Return the share of each word of the question, 1 in total; rare words have more, carried words less."""
    own = _with_pairs(_as_spelled(question, units), units)
    if question_kinds.names(question) and not _capitalizes_nouns(question):
        carried = [word for word in carried if not word[:1].isupper()]  # a new name replaces the earlier one
    query = own | _with_pairs(frozenset(terms(" ".join(carried))), units)
    count = Counter(term for unit in units for term in unit.terms & query)
    weights = {
        term: math.log(1 + (len(units) + 1) / (count[term] + 0.5)) * (1 if term in own else _CARRIED_SHARE)
        for term in sorted(query)  # a set has another order in each process, and the sums of scores depend on it
    }
    total = sum(weights.values())
    return {term: weight / total for term, weight in weights.items()}


def _capitalizes_nouns(question: str) -> bool:
    """Return whether a question may be German, in which a capital letter tells no name."""
    return "de" in languages.of_question(split_words(question))


def scores_of(question: str, weights: Mapping[str, float], units: Sequence[Unit], meaning_weight: float) -> list[float]:
    """Return a score of 0 to about 2.5 for each unit; 0 if it shares neither words nor meaning with the question."""
    subject = frozenset(terms(question_kinds.defined_subject(question)))
    known = {term for unit in units for term in (*unit.terms, *unit.above)}
    named = {term for name in question_kinds.names(question) for term in terms(name)}
    unknown_names, shared = named - known, _labels_of_several_tables(units)
    scores = []
    for unit in units:
        catches = unknown_names and question_kinds.covers_everything_else(unit.piece.text)
        score = sum(
            weight * (_NOT_NAMED_SHARE if catches and term in unknown_names else unit.covers(term))
            for term, weight in weights.items()
        )
        label = _label(unit)
        of_another_table = (
            label in shared and label <= weights.keys() - named and not _covers_more(unit, label, weights)
        )
        if of_another_table or (not score and (unit.meaning or 0.0) < _MIN_COSINE):
            scores.append(0.0)
            continue
        if question_kinds.has_wanted_kind(question, unit.piece.text):
            score += _KIND_BONUS * min(1.0, 2 * score)
        score += meaning_weight * (_UNKNOWN_MEANING if unit.meaning is None else unit.meaning)
        if subject:
            defined = frozenset(terms(question_kinds.subject_of_definition(unit.piece.text)))
            score += _DEFINITION_BONUS * (bool(defined) and defined <= subject)
        score /= 1 + max(0, len(unit.terms) - _LONG_TERMS) / _LONG_DECAY
        score *= _CODE_SHARE if unit.piece.kind == "code" else 1.0
        scores.append(discounted(score, unit))
    return scores


def _labels_of_several_tables(units: Sequence[Unit]) -> set[frozenset[str]]:
    """Return the words of first cells that rows of several tables have, such as “Total”: they tell no table apart."""
    rows = {(unit.n, unit.piece.heading, unit.piece.block, _label(unit)) for unit in units}
    count = Counter(label for *_, label in rows)
    return {label for label, tables in count.items() if label and tables > 1}


def _label(unit: Unit) -> frozenset[str]:
    """Return the words of a row's first cell; none of what is no row."""
    return frozenset(terms(unit.piece.text.strip("| ").split("|")[0])) if unit.piece.kind == "row" else frozenset()


def _covers_more(unit: Unit, label: frozenset[str], weights: Mapping[str, float]) -> bool:
    """Return whether a row has another word of the question than its label, or stands below one; or there is none."""
    others = weights.keys() - label
    return not others or any(map(unit.covers, others))


def group_score(group: Sequence[Unit], weights: Mapping[str, float], meaning_weight: float) -> float:
    """Return the score of all rows of a table, or items of a list: it is what its heading and header say."""
    above = sum(weight * min(unit.above.get(term, 0.0) for unit in group) for term, weight in weights.items())
    inside = sum(
        weight for term, weight in weights.items() if 2 * sum(term in unit.terms for unit in group) >= len(group)
    )
    named = max(min(1.0, above / _HEADER_SHARE), inside)
    meaning = max(_UNKNOWN_MEANING if unit.meaning is None else unit.meaning for unit in group)
    return discounted(named + meaning_weight * meaning, group[0])


def discounted(score: float, unit: Unit) -> float:
    """Return the score less what a late place in the ranking and a superseded document cost."""
    return score * (_SUPERSEDED_SHARE if unit.superseded else 1.0) / (1 + _RANK_DECAY * (unit.n - 1))


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


def _above(piece: Piece, passage: Passage) -> dict[str, float]:
    refers = piece.kind in ("item", "row") or refers_back(piece.text)
    nearest = piece.heading or (passage.heading[-1] if passage.heading else "")
    parts = [
        *((heading, _TITLE_SHARE) for heading in (passage.title, *passage.heading)),
        (piece.before, _REFERRED_SHARE if refers else _BEFORE_SHARE),
        (piece.header, _HEADER_SHARE),
        (nearest, _HEADING_SHARE),
        (piece.question, _QUESTION_SHARE),
    ]
    counts: dict[str, float] = {}
    for text, share in parts:
        for term in _forms(text) if text else ():
            counts[term] = max(counts.get(term, 0.0), share)
    return counts


def _meaning(piece: Piece, passage: Passage) -> float | None:
    if not passage.sentences:
        return None
    own = _cosine(passage, piece.start, piece.start + len(piece.text))
    if not piece.question:
        return own
    at = passage.text.rfind(piece.question, 0, piece.start)
    return max(own, _QUESTION_MEANING_SHARE * _cosine(passage, at, at + len(piece.question)))


def _cosine(passage: Passage, start: int, end: int) -> float:
    """Return the largest cosine of the sentences that lie mostly in a part of the passage; 0 if none is known."""
    start, end = start + passage.start, end + passage.start
    return max(
        (
            one.cosine
            for one in passage.sentences
            if 2 * (min(end, one.end) - max(start, one.start)) >= min(end - start, one.end - one.start)
        ),
        default=0.0,
    )


def _as_spelled(question: str, units: Sequence[Unit]) -> frozenset[str]:
    """Return the terms of a question; a word with umlauts is spelled without them if only that occurs in the units."""
    plain, spelled = terms(question), terms(transliterate(question.lower()))
    if plain == spelled or len(plain) != len(spelled):
        return frozenset(plain)
    known = {term for unit in units for term in (*unit.terms, *unit.above)}
    return frozenset(
        other if other in known and one not in known else one for one, other in zip(plain, spelled, strict=True)
    )


def _with_pairs(query: frozenset[str], units: Sequence[Unit]) -> frozenset[str]:
    """Return the terms with each pair of letters that has a question's single letter, as of “猫？”, in it."""
    single = [term for term in query if len(term) == 1 and is_unspaced(term)]
    if not single:
        return query
    known = {term for unit in units for term in (*unit.terms, *unit.above) if len(term) == 2}
    return query | {term for term in known if any(letter in term for letter in single)}
