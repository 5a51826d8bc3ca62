"""The words that BM25 counts. Pure, and the same for documents and queries but for question words.

Identifiers are indexed whole and in their parts: ``parse_config`` and ``HttpClient`` are found by either.
A change of these rules makes stored postings stale: change ``VERSION`` with it.
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

_RUN = re.compile(r"\w+")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")

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
    """The terms of a document in order, repeated as often as they stand there."""
    return list(_terms(text))


def query_terms(text: str) -> list[str]:
    """The first terms of a question. Question words are left out unless nothing else was asked."""
    asked = [run for run in _RUN.findall(text) if run.lower() not in QUESTION_WORDS]
    return (document_terms(" ".join(asked)) or document_terms(text))[:MAX_QUERY_TERMS]


def _terms(text: str) -> Iterator[str]:
    for run in _RUN.findall(text):
        whole = run.lower()
        if whole in STOP_WORDS:
            continue
        if _UNSPACED.search(run):
            yield from _unspaced(run)
            continue
        yield stem(whole)
        parts = _parts(run)
        if len(parts) > 1:
            yield from (stem(part) for part in parts if part not in STOP_WORDS)


def _parts(run: str) -> list[str]:
    if run.islower() and "_" not in run and not any(map(str.isdigit, run)):
        return []
    return [part.lower() for part in _HUMP.findall(run)]


def _unspaced(run: str) -> Iterator[str]:
    """Scripts without spaces between words are counted by pairs of characters."""
    for piece in _UNSPACED.findall(run):
        yield from (piece[i : i + 2] for i in range(max(1, len(piece) - 1)))
    yield from (stem(rest.lower()) for rest in _UNSPACED.split(run) if rest)


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """The stem of a lower-case word, cut to a length that an index can hold."""
    word = word[:MAX_TERM_CHARS]
    if not word.isascii() or not word.isalpha():
        return word
    stemmer = getattr(_stemmer, "english", None)
    if stemmer is None:
        stemmer = _stemmer.english = Stemmer.Stemmer("english")
    return str(stemmer.stemWord(word))
