"""Extracts the terms that BM25 counts, for documents and for questions. Does no I/O.

A word of a document is found by several terms: its stem without accents, its stem in the language of the text, its
spelling with accents and with umlauts spelled out, the parts of a compound, and the parts of an identifier such as
``parse_config`` or ``HttpClient``. Scripts without spaces yield pairs of letters. A question has the same terms with
weights, so that the spelling of the question ranks higher. Stored postings depend on these rules: increase ``VERSION``
with every change, and the chunks are indexed again in the background.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from knowledge.text import compounds, languages
from knowledge.text.word_forms import MAX_CHARS, fold, stem, transliterate
from knowledge.text.word_splitter import is_ideograph, letter_pairs, runs, words

VERSION = 3
"""The version of these rules. Chunks with terms of an older version are indexed again."""
MAX_QUERY_TERMS = 200
STEM_WEIGHT = 0.7
"""The weight of a word's stem in the language of a question, next to the word's main term."""
SPELLING_WEIGHT = 0.3
"""The weight of a word's spelling with accents, or with umlauts spelled out."""
PARTS_WEIGHT = 0.7
"""The weight of all parts of a compound together."""

STOP_WORDS = frozenset(
    """a about after again all also am an and any are as at be because been before being between both but by can could
    d did do does doing don down during each few for from further had has have having he her here hers him his i if in
    into is it its itself just ll m may me might more most must my no nor not now of off on once only or other our ours
    out over own re s same shall she should so some such t than that the their theirs them then there these they this
    those through to too under until up upon us ve very was we were while will with would you your yours""".split()
)

QUESTION_WORDS = frozenset(
    """what which who whom whose when where why how much many please tell explain describe show give know want find
    purpose mean means anyone someone there's question wonder let help""".split()
)


_IDENTIFIER_PART = re.compile(r"A+(?!a)|A?a+|0+")
"""A part in the shape of an identifier: ``A`` is a capital, ``a`` another letter or mark, ``0`` a digit."""


def document_terms(text: str) -> list[str]:
    """Return all terms of a document, with repetitions. May load a word list, which takes seconds."""
    found = words(text)
    spoken = languages.of_document(found)
    terms = [language_term(one) for one in spoken]
    for run, unspaced in _runs(found):
        if unspaced:
            terms += letter_pairs(run)
            terms += [one for one in run if is_ideograph(one)] if len(run) > 1 else []
        elif (lower := run.casefold()) not in STOP_WORDS:
            terms += (stem(fold(lower)), *_other_terms(lower, spoken), *_identifier_terms(run))
    return terms


def main_terms(text: str) -> list[str]:
    """Return one term for each word of a text in order: those that ``query_terms`` returns for a question."""
    return list(_main_terms(words(text)))


def query_terms(text: str) -> list[str]:
    """Return the main term of each word of a question in order, without question words if it has any other words."""
    return list(_main_terms(_content_words(text, ())))[:MAX_QUERY_TERMS]


def query_weights(text: str, spoken: Sequence[str] = ()) -> dict[str, float]:
    """Return the terms of a question with their weights; a main term weighs 1 for each time it occurs.

    ``spoken`` are the languages that it may be in, other than English. May load a word list, which takes seconds.
    """
    weights: dict[str, float] = {}
    for run, unspaced in _runs(_content_words(text, spoken)):
        others = {} if unspaced else _other_terms(run.casefold(), tuple(spoken))
        for term, weight in [*((main, 1.0) for main in _main_terms([run])), *others.items()]:
            weights[term] = weights.get(term, 0.0) + weight
            if len(weights) == MAX_QUERY_TERMS:
                return weights
    return weights


@dataclass(frozen=True, slots=True)
class AskedWord:
    """A word of a question: its main term, the ``terms`` each of which stands for it, and the terms of each part."""

    main: str
    terms: frozenset[str]
    parts: tuple[frozenset[str], ...] = ()

    def covered(self, found: Collection[str]) -> float:
        """Return how much of the word the terms of a text have: all of it, or a share of a compound's parts."""
        if any(term in found for term in self.terms):
            return 1.0
        return sum(any(term in found for term in part) for part in self.parts) / max(1, len(self.parts))


def asked_words(text: str, spoken: Sequence[str]) -> list[AskedWord]:
    """Return the words of a question in order, without those that only ask, if it has any others.

    ``spoken`` are the languages that it may be in, other than English. May load a word list, which takes seconds.
    """
    found: list[AskedWord] = []
    for run, unspaced in _runs(_content_words(text, spoken)):
        lower = run.casefold()
        others = frozenset() if unspaced else frozenset(_other_terms(lower, tuple(spoken)))
        parts = () if unspaced else tuple(frozenset(one) for one in _part_stems(lower, tuple(spoken)))
        own = others.difference(*parts)
        found += [AskedWord(main, own | {main}, parts) for main in _main_terms([run])]
    return found[:MAX_QUERY_TERMS]


def language_term(language: str) -> str:
    """Return the term of all chunks in a language. No word has a colon."""
    return f"lang:{language}"


def _content_words(text: str, spoken: Sequence[str]) -> list[str]:
    """Return the words of a question without those that only ask, if it has any others."""
    found = words(text)
    for left_out in (QUESTION_WORDS.union(STOP_WORDS, *map(languages.function_words, spoken)), STOP_WORDS):
        if content := [word for word in found if word.casefold() not in left_out]:
            return content
    return []


def _main_terms(found: Sequence[str]) -> Iterator[str]:
    for run, unspaced in _runs(found):
        if unspaced:
            yield from letter_pairs(run)
        elif (lower := run.casefold()) not in STOP_WORDS:
            yield stem(fold(lower))
            yield from _identifier_terms(run)


def _runs(found: Sequence[str]) -> Iterator[tuple[str, bool]]:
    for word in found:
        yield from runs(word)


@lru_cache(maxsize=50_000)
def _other_terms(word: str, spoken: tuple[str, ...]) -> dict[str, float]:
    """Return the terms of a lower-case word besides its main term, with their weights."""
    plain = fold(word)
    others: dict[str, float] = {}
    for language in spoken:
        stems = sorted(set().union(*_part_stems(word, (language,))))
        others |= dict.fromkeys(stems, PARTS_WEIGHT / max(1, len(stems)))
    if word != plain:
        spelled = transliterate(word)
        others |= dict.fromkeys((word[:MAX_CHARS], *({stem(spelled)} if spelled != plain else ())), SPELLING_WEIGHT)
    others |= dict.fromkeys((stem(plain, language) for language in spoken), STEM_WEIGHT)
    others.pop(stem(plain), None)
    return others


def _part_stems(word: str, spoken: Sequence[str]) -> list[set[str]]:
    """Return the stems of each part of a compound, in all its readings."""
    found = [(part, language) for language in spoken for part in compounds.parts(word, language)]
    return [
        {stem(reading, spoken_in) for reading in part for spoken_in in (language, "en")} for part, language in found
    ]


def _identifier_terms(run: str) -> list[str]:
    """Return the terms of the parts of an identifier; empty for an ordinary word."""
    if run.islower() and "_" not in run and not any(map(str.isdigit, run)):
        return []
    parts = [part.lower() for part in _identifier_parts(run)]
    return [stem(fold(part)) for part in parts if part not in STOP_WORDS] if len(parts) > 1 else []


def _identifier_parts(run: str) -> list[str]:
    """Split at underscores, digits, and before the capital of a word: ``XMLHttp2`` is ``XML``, ``Http``, ``2``."""
    shape = "".join("0" if one.isdigit() else "A" if one.isupper() else "_" if one == "_" else "a" for one in run)
    return [run[match.start() : match.end()] for match in _IDENTIFIER_PART.finditer(shape)]
