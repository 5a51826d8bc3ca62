"""Extracts the terms that BM25 counts: stemmed words without stop words, and parts of identifiers. Does no I/O.

The rules are the same for documents and queries, except that queries leave out question words. An identifier such as
``parse_config`` or ``HttpClient`` is indexed as a whole and by its parts. Stored postings depend on the rules, so
change ``VERSION`` with every change of the rules.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import lru_cache

import Stemmer

VERSION = "1"
MAX_TERM_CHARS = 64
MAX_QUERY_TERMS = 200

_WORD = re.compile(r"\w+")
_IDENTIFIER_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_UNSPACED_SCRIPT = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")

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

_stemmer = threading.local()


def document_terms(text: str) -> list[str]:
    """Return the terms of a document in order, with repetitions."""
    return list(_terms(text))


def query_terms(text: str) -> list[str]:
    """Return the first terms of a question, without question words if it has any other words."""
    content_words = [run for run in _WORD.findall(text) if run.lower() not in QUESTION_WORDS]
    return (document_terms(" ".join(content_words)) or document_terms(text))[:MAX_QUERY_TERMS]


def _terms(text: str) -> Iterator[str]:
    for run in _WORD.findall(text):
        word = run.lower()
        if word in STOP_WORDS:
            continue
        if _UNSPACED_SCRIPT.search(run):
            yield from _character_pairs(run)
            continue
        yield stem(word)
        parts = _identifier_parts(run)
        if len(parts) > 1:
            yield from (stem(part) for part in parts if part not in STOP_WORDS)


def _identifier_parts(run: str) -> list[str]:
    """Return the parts of an identifier in lower case; empty for an ordinary word."""
    if run.islower() and "_" not in run and not any(map(str.isdigit, run)):
        return []
    return [part.lower() for part in _IDENTIFIER_PART.findall(run)]


def _character_pairs(run: str) -> Iterator[str]:
    """Yield pairs of characters for scripts that put no spaces between words."""
    for piece in _UNSPACED_SCRIPT.findall(run):
        yield from (piece[i : i + 2] for i in range(max(1, len(piece) - 1)))
    yield from (stem(rest.lower()) for rest in _UNSPACED_SCRIPT.split(run) if rest)


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """Return the stem of a lower-case word, cut to ``MAX_TERM_CHARS``."""
    word = word[:MAX_TERM_CHARS]
    if not word.isascii() or not word.isalpha():
        return word
    stemmer = getattr(_stemmer, "english", None)
    if stemmer is None:
        stemmer = _stemmer.english = Stemmer.Stemmer("english")
    return str(stemmer.stemWord(word))
