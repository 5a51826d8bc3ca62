"""Expands a follow-up question with terms and words of the earlier questions in its thread.

Uses no model and does no I/O. A follow-up question omits words that the thread already contains. ``expand`` serves the
search: BM25 also searches for terms of the earlier questions; each question weighs half as much as the one after it.
The dense search uses the mean of two vectors: the vector of the question alone, and the vector of the question followed
by the rarest earlier words. Rare words identify the subject of a thread, and the falling weights reduce the effect of
old subjects.

How rare a word is, only the documents tell. ``carried_words`` serves what compares a question with other texts, such as
attached files and old messages: it returns all words of the earlier questions, and only for a question that leans on
its thread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowledge.text import languages
from knowledge.text.search_terms import QUESTION_WORDS, STOP_WORDS, main_terms, query_weights
from knowledge.text.word_splitter import words as split_words

FADING = 0.5
"""The weight of an earlier question relative to the one after it."""
MAX_TERMS = 10
MAX_WORDS = 5
MAX_EARLIER_QUESTIONS = 8
"""Maximum number of earlier questions that are used. Older ones would weigh less than a hundredth."""
MAX_CHARS = 2000
"""Maximum number of characters of each earlier question that are used."""

LEANED_ON = 4
"""Maximum number of earlier questions whose words ``carried_words`` returns."""
MAX_CARRIED_WORDS = 12
"""Maximum number of words that ``carried_words`` returns."""

_HYPHENATED_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_REFERRING_WORDS = frozenset(
    "it its this that these those they them their he she him her his one ones there then same else other "
    "das dies diese dieser es sie er ihn ihm ihr dort dann".split()
)
_FOLLOW_UP_STARTS = (
    "and ",
    "but ",
    "or ",
    "what about",
    "how about",
    "why",
    "so ",
    "also",
    "und ",
    "was ist mit",
    "aber ",
)
_COMMON = _REFERRING_WORDS | frozenset(
    "a an the of to in on at for from with by is are was were be been do does did can could should would will may "
    "might must have has had i you we my me your our us what which who whom whose when where why how many much long "
    "and or but not no yes if so as about into out up down over than too very just please tell know need want get "
    "der die das ein eine und oder nicht ist sind war wie was wer wo wann warum ich du wir".split()
)


@dataclass(frozen=True, slots=True)
class ExpandedQuery:
    """A question with the weighted terms that BM25 searches for, and the earlier words that the dense search adds."""

    question: str
    terms: Mapping[str, float]
    words: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The question followed by the earlier words."""
        return " ".join((self.question, *self.words))


def spoken_languages(question: str) -> tuple[str, ...]:
    """Return the languages that a question may be in; several or none if it does not tell. English is one of them."""
    return languages.of_question(split_words(question))


def unexpanded(question: str, spoken: Sequence[str] = ()) -> ExpandedQuery:
    """Return the query of a question without earlier questions. ``spoken``: see ``search_terms.query_weights``."""
    return ExpandedQuery(question, query_weights(question, spoken))


def earlier_terms(earlier: Sequence[str], spoken: Sequence[str] = ()) -> set[str]:
    """Return the terms whose idf ``expand`` needs. ``earlier`` are the thread's questions, oldest first."""
    return {term for text in _recent(earlier) for term in (*main_terms(text), *query_weights(text, spoken))}


def expand(
    question: str, earlier: Sequence[str], idf: Mapping[str, float], spoken: Sequence[str] = ()
) -> ExpandedQuery:
    """Add the earlier terms and words with the highest weights to the question.

    Terms without an idf occur in no document. ``spoken``: see ``search_terms.query_weights``.
    """
    query = unexpanded(question, spoken)
    own_terms = query.terms.keys() | set(main_terms(question))
    weights: dict[str, float] = {}
    words: dict[str, tuple[float, str]] = {}
    for text, weight in _weighted(earlier):
        for term, count in query_weights(text, spoken).items():
            if term not in own_terms and term in idf:
                weights[term] = weights.get(term, 0.0) + weight * count
        for word, rarity in _new_words(text, own_terms, idf):
            words[word.lower()] = max(words.get(word.lower(), (0.0, "")), (weight * rarity, word))
    heaviest = sorted(weights, key=lambda term: (-weights[term] * idf[term], term))[:MAX_TERMS]
    rarest = sorted(words.values(), key=lambda pair: (-pair[0], pair[1]))[:MAX_WORDS]
    return ExpandedQuery(
        question, {**query.terms, **{term: weights[term] for term in heaviest}}, tuple(word for _, word in rarest)
    )


def leans_on_thread(question: str) -> bool:
    """Return whether the question needs the thread to be understood: it is short, or refers to earlier messages."""
    lowered = question.lower().strip()
    words = _HYPHENATED_WORD.findall(lowered)
    content = [word for word in words if word not in _COMMON]
    return (
        len(content) <= 2
        or lowered.startswith(_FOLLOW_UP_STARTS)
        or (len(content) <= 4 and any(word in _REFERRING_WORDS for word in words))
    )


def with_carried_words(question: str, earlier: Sequence[str]) -> str:
    """Return the question followed by its ``carried_words``: for matching words, not for showing to people."""
    return " ".join((question, *carried_words(question, earlier)))


def carried_words(question: str, earlier: Sequence[str]) -> tuple[str, ...]:
    """Return the words of the question before it that a follow-up question lacks; nothing for another question.

    ``earlier`` are the thread's questions, oldest first. If the question before is a follow-up too, the words of the
    one before that are returned as well, and so on.
    """
    if not earlier or not leans_on_thread(question):
        return ()
    present = {word.lower() for word in _HYPHENATED_WORD.findall(question)}
    added: list[str] = []
    for text in reversed(earlier[-LEANED_ON:]):
        added += [word for word in _HYPHENATED_WORD.findall(text) if word.lower() not in present | _COMMON]
        present |= {word.lower() for word in added}
        if not leans_on_thread(text):
            break
    return tuple(added[:MAX_CARRIED_WORDS])


def _recent(earlier: Sequence[str]) -> list[str]:
    return [text[:MAX_CHARS] for text in earlier[-MAX_EARLIER_QUESTIONS:]]


def _weighted(earlier: Sequence[str]) -> list[tuple[str, float]]:
    """Return the earlier questions with their weights, the latest first."""
    return [(text, FADING**age) for age, text in enumerate(reversed(_recent(earlier)), 1)]


def _new_words(text: str, own_terms: set[str], idf: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return the words of a text that the question does not have, with their rarity."""
    found = []
    for word in split_words(text):
        if word.lower() in STOP_WORDS | QUESTION_WORDS:
            continue
        terms = main_terms(word)
        if terms and terms[0] not in own_terms and any(term in idf for term in terms):
            found.append((word, max(idf.get(term, 0.0) for term in terms)))
    return found
