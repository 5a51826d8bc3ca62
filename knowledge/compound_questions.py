"""Splits a compound question into parts, which are searched separately. Uses no model and does no I/O.

Two questions in one message are parts in every language. In English, things that a question puts side by side are
parts too: “the hotel limit of London and of Ghent”, “Creek or Harbour”, “the difference between A and B”, “A, B and C”.
Such a part is the question without the words of the other things.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from knowledge.text import languages
from knowledge.text.search_terms import QUESTION_WORDS
from knowledge.text.sentence_splitter import sentence_spans
from knowledge.text.word_splitter import words as split_words

MAX_PARTS = 3
MAX_CHARS = 400
"""A longer message is a text, not a question with parts."""
MAX_THING_WORDS = 4
_QUESTION_END = re.compile(r"[?？؟;]\W*$")
_TOKEN = re.compile(r"[^\W_]+(?:[-'’./&][^\W_]+)*|,")
_CONJUNCTIONS = frozenset(("and", "or", "vs", "versus"))


@dataclass(frozen=True, slots=True)
class QuestionPart:
    """A part of a question: ``text`` is what to search for, ``label`` what tells it from the others, for display."""

    text: str
    label: str

    @property
    def is_question(self) -> bool:
        """Whether the part is a question of its own, in contrast to one thing of several in the same question."""
        return self.text == self.label


@dataclass(frozen=True, slots=True)
class _Thing:
    """One of the things that stand side by side: the words ``tokens[start:end]``, ``lead`` words before its content."""

    start: int
    end: int
    lead: tuple[str, ...]


def parts_of(question: str) -> tuple[QuestionPart, ...]:
    """Return the two or three parts of a question; empty if it is to be searched as a whole."""
    question = " ".join(question.split())
    if len(question) > MAX_CHARS:
        return ()
    asked = [question[start:end] for start, end in sentence_spans(question)]
    if 2 <= len(asked) <= MAX_PARTS and all(map(_QUESTION_END.search, asked)):
        return tuple(QuestionPart(one, one) for one in asked)
    if len(asked) > 1 or _is_foreign(question):
        return ()
    return _things_side_by_side(question)


def _is_foreign(question: str) -> bool:
    spoken = languages.of_question(split_words(question))
    return bool(spoken) and languages.ENGLISH not in spoken


def _things_side_by_side(question: str) -> tuple[QuestionPart, ...]:
    tokens = list(_TOKEN.finditer(question))
    said = [token.group() for token in tokens]
    for place in range(len(said) - 2, 0, -1):
        if said[place].casefold() not in _CONJUNCTIONS:
            continue
        if said[place + 1].casefold() in QUESTION_WORDS and said[0].casefold() in QUESTION_WORDS:
            return _clauses(question[: tokens[place].start()], question[tokens[place].end() :])
        things = _things_around(said, place)
        if 2 <= len(things) <= MAX_PARTS and _are_alike(said, things):
            return tuple(_part(question, tokens, things, number) for number in range(len(things)))
    return ()


def _clauses(first: str, second: str) -> tuple[QuestionPart, ...]:
    """Return the parts of “How long is the leave, and who approves it?”."""
    found = first.strip(" ,"), second.strip()
    return tuple(QuestionPart(one, one) for one in found)


def _things_around(said: Sequence[str], conjunction: int) -> list[_Thing]:
    """Return the things before and behind a conjunction, and those before them that commas separate."""
    behind = _thing_from(said, conjunction + 1)
    before = _thing_until(said, conjunction - (said[conjunction - 1] == ","))
    things = [before, behind] if before and behind else []
    while things and len(things) < MAX_PARTS and things[0].start > 1 and said[things[0].start - 1] == ",":
        earlier = _thing_until(said, things[0].start - 1)
        if earlier is None:
            break
        things.insert(0, earlier)
    return things


def _thing_from(said: Sequence[str], start: int) -> _Thing | None:
    at = start
    while at < len(said) and _is_function_word(said[at]):
        at += 1
    first, lead = at, tuple(word.casefold() for word in said[start:at])
    while at < len(said) and at - first < MAX_THING_WORDS and not _is_function_word(said[at]) and said[at] != ",":
        at += 1
        if _is_name(said[first]) and at < len(said) and not _is_name(said[at]):
            break  # “London hotel”: what follows a name belongs to all of the things
    return _Thing(start, at, lead) if at > first else None


def _thing_until(said: Sequence[str], end: int) -> _Thing | None:
    first = end
    while first > 0 and end - first < MAX_THING_WORDS:
        if _is_function_word(said[first - 1]) or said[first - 1] == "," or (first == 1 and end > 1):
            break  # The first word of a question is a verb or a question word, and begins with a capital letter.
        first -= 1
        if _is_name(said[end - 1]) and first > 0 and not _is_name(said[first - 1]):
            break
    start = first
    while start > 0 and first - start < 2 and _is_function_word(said[start - 1]):
        start -= 1
    return _Thing(start, end, tuple(word.casefold() for word in said[start:first])) if end > first else None


def _are_alike(said: Sequence[str], things: Sequence[_Thing]) -> bool:
    """Return whether the things are of one kind: all are names, end in one word, or repeat the word before them."""
    content = [[said[at] for at in range(one.start + len(one.lead), one.end)] for one in things]
    if len({tuple(map(str.casefold, words)) for words in content}) < len(things):
        return False
    names = all(_is_name(words[0]) or _is_name(words[-1]) for words in content)
    one_end = len({words[-1].casefold() for words in content}) == 1 and all(len(words) > 1 for words in content)
    repeated = all(one.lead and one.lead[:1] == things[-1].lead[:1] for one in things[1:]) and bool(
        things[0].lead and things[-1].lead[0] in things[0].lead
    )
    return names or one_end or repeated


def _part(question: str, tokens: Sequence[re.Match[str]], things: Sequence[_Thing], number: int) -> QuestionPart:
    """Return the question with one of the things alone, behind the words that lead to it or to the first one."""
    first, own = things[0], things[number]
    leads = bool(set(own.lead[:1]) & set(first.lead))
    begin = tokens[first.start if leads else first.start + len(first.lead)].start()
    content = tokens[own.start + len(own.lead)].start()
    last = tokens[own.end - 1].end()
    thing = question[tokens[own.start].start() if leads else content : last]
    rest = question[tokens[things[-1].end - 1].end() :]
    return QuestionPart(f"{question[:begin]}{thing}{rest}", question[content:last])


def _is_function_word(word: str) -> bool:
    return word.casefold() in languages.function_words(languages.ENGLISH)


def _is_name(word: str) -> bool:
    """Return whether a word inside a question is a name or a number."""
    return word[:1].isupper() or any(map(str.isdigit, word))
