"""Extracts facts that users state in their messages, such as decisions and preferences, with patterns. Does no I/O.

Only statements in the user's own words count: quotations, quoted lines and code may be another person's words, and
questions state nothing. A fact is a note with a source; it never changes a role or a setting.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bot.types.conversation import FactKind

LONGEST = 300
"""Maximum number of characters of a fact."""
READ = 4000
"""Maximum number of characters of a message that are read."""
MOST = 5
"""Maximum number of facts from one message."""

_QUOTED = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|^[ \t]*>[^\n]*$|<passages>.*?(?:</passages>|\Z)|"
    r"[\"“„«][^\"”“»]*[\"”“»]|(?<!\w)'[^'\n]+'(?!\w)",
    re.DOTALL | re.MULTILINE,
)
_SENTENCE = re.compile(r"[^.!?\n]+(?:\.(?=\S)[^.!?\n]*)*[.!?]?")
_HEARSAY = re.compile(
    r"\b(?:says?|said|told|tells?|claims?|wrote|writes|according to|sagt|sagte|schreibt|schrieb|laut|meinte?)\b",
    re.IGNORECASE,
)
_OPENING = r"^(?:(?:please|ok(?:ay)?|so|and|also|hi|hey|thanks|bitte|also|und|übrigens|btw|fyi|by the way)[,:]?\s+)*"


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_OPENING + pattern, re.IGNORECASE)


_REMEMBER = _compiled(
    r"(?:remember|note|keep in mind|don'?t forget|do not forget|merke? dir|denk daran|beachte)\b[,:]?\s*"
    r"(?:that|dass|:)?\s*(?P<fact>.+)"
)
_DECISION = _compiled(
    r"(?P<fact>(?:we|the team|wir)\s+(?:(?:have|'ve|had|haben|just|now|finally|jetzt)\s+)*(?:decided|agreed|settled|"
    r"chose|entschieden|beschlossen|uns entschieden|uns geeinigt)\b.+|wir haben .+ (?:entschieden|beschlossen)|"
    r"(?:our|the) decision is\b.+)"
)
_NAME = _compiled(
    r"(?:call me|you can call me|my name is|nenn mich|nennt mich|mein name ist|ich heiße)\s+(?P<fact>[^,;]{1,60})"
)
_PREFERENCE = _compiled(
    r"(?P<fact>(?:i|we|ich|wir)\s+(?:(?:always|would|really|usually|immer|am liebsten)\s+)*(?:prefer|favou?r|"
    r"like to have|want answers|want the answers|bevorzugen?|möchten? antworten|hätten? gern)\b.+|"
    r"(?:always|from now on|ab jetzt|immer) (?:answer|reply|write|use|antworte|schreib|benutze)\b.+|"
    r"(?:answer|reply|write|antworte|schreib)(?: me| mir)? (?:always|from now on|immer|ab jetzt)\b.+)"
)
_OPEN = _compiled(
    r"(?P<fact>(?:open question|still open|to be decided|tbd|offen ist|offene frage)\b\s*[:,]?.+|"
    r"(?:we|wir)\s+(?:still (?:need|have) to (?:decide|find out|clarify)|müssen noch (?:klären|entscheiden))\b.+)"
)
_PATTERNS: tuple[tuple[FactKind, re.Pattern[str]], ...] = (
    ("name", _NAME),
    ("open question", _OPEN),
    ("decision", _DECISION),
    ("preference", _PREFERENCE),
    ("note", _REMEMBER),
)

_VALUE = re.compile(
    r"\b(?:is|are|was|were|will be|ist|sind|war|wird|prefers?|bevorzuge|to|on|at|for|zu|auf|für|use|using|by|until|bis|"
    r"am|um)\b.*$",
    re.IGNORECASE | re.DOTALL,
)
_LEAD = re.compile(
    r"^(?:(?:we|the team|wir|i|ich|our|my|the|unser\w*|mein\w*|der|die|das|have|'ve|haben|just|now|finally|jetzt|"
    r"decided|agreed|settled|chose|entschieden|beschlossen|that|dass|to|on)\b\s*)+",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class StatedFact:
    """A stated fact. ``subject`` is a digest; of a thread's facts with the same subject, the latest is valid."""

    kind: FactKind
    subject: str
    text: str


def stated(message: str, author: str, terms: Callable[[str], list[str]]) -> list[StatedFact]:
    """Return the facts that ``author`` states in the message, in order; ``terms`` stems the terms of a text."""
    return list(_facts(own_words(message), author, terms))[:MOST]


def facts_only(message: str) -> tuple[str, ...]:
    """Return the facts of a message that only states facts and asks for nothing; otherwise an empty tuple."""
    found = [_fact(match[0]) for match in sentences(message[:READ]) if any(map(str.isalnum, match[0]))]
    facts = [fact[1][:LONGEST] for fact in found if fact is not None and fact[0] != "open question"]
    return tuple(facts) if len(facts) == len(found) <= MOST and own_words(message) == message else ()


def own_words(message: str) -> str:
    """Return the message without quotations, code and passages."""
    return _QUOTED.sub(" ", message[:READ])


def sentences(text: str) -> Iterator[re.Match[str]]:
    """Return the sentences of a text, in order."""
    return _SENTENCE.finditer(text)


def states(sentence: str) -> bool:
    """Return whether the sentence states a fact."""
    return _fact(sentence) is not None


def tells_of_others(sentence: str) -> bool:
    """Return whether the sentence is hearsay: it reports what another person said."""
    return _HEARSAY.search(sentence) is not None


def _facts(own: str, author: str, terms: Callable[[str], list[str]]) -> Iterator[StatedFact]:
    for match in sentences(own):
        if (found := _fact(match[0])) is not None:
            kind, text = found
            yield StatedFact(kind, subject(kind, text, author, terms), text[:LONGEST])


def _fact(sentence: str) -> tuple[FactKind, str] | None:
    sentence = " ".join(sentence.split())
    if sentence.endswith("?"):
        return None
    for kind, pattern in _PATTERNS:
        found = pattern.match(sentence)
        text = found["fact"].strip(" .!,:;") if found else ""
        if text and not tells_of_others(text):
            return kind, text
    return None


def subject(kind: FactKind, text: str, author: str, terms: Callable[[str], list[str]]) -> str:
    """Return a digest of what a fact is about, equal for two facts about the same thing. It does not reveal the words.

    A name belongs to its author. For other facts, the words before the value count: ``the deadline is Friday`` and
    ``the deadline is Monday`` are both about the deadline.
    """
    return hashlib.sha256(_subject(kind, text, author, terms).casefold().encode()).hexdigest()


def _subject(kind: FactKind, text: str, author: str, terms: Callable[[str], list[str]]) -> str:
    if kind == "name":
        return f"name of {author}"
    statement = _LEAD.sub("", text) or text
    about = _VALUE.sub("", statement).strip() or statement
    words = sorted(set(terms(about)) or set(terms(text)))[:8]
    whose = f"{author}: " if kind == "preference" else ""
    return f"{whose}{' '.join(words)}" or text[:80]
