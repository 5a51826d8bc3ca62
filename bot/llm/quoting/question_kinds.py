"""Recognizes what kind of answer a question asks for: a number, a person, a definition, everything of a kind."""

from __future__ import annotations

import re

_NUMBER_WORDS = "one two three four five six seven eight nine ten eleven twelve half zero nobody never always"
_ASKS_FOR_NUMBER = re.compile(
    r"\b(?:how (?:many|much|long|often|old|far|big|large|late|soon|fast)|when|what time|which (?:day|date|year)"
    r"|wie (?:viel|viele|lange|oft|hoch|weit)|wann|combien|quand|cu[aá]nt\w*|cu[aá]ndo)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(rf"\d|\b(?:{'|'.join(_NUMBER_WORDS.split())})\b", re.IGNORECASE)
_ASKS_FOR_PERSON = re.compile(r"\b(?:who|whom|whose|wer|wen|wem|wessen|qui|qui[eé]n\w*)\b", re.IGNORECASE)
_PERSON = re.compile(
    r"\b(?:people|persons?|lead|team|managers?|engineers?|owners?|captain|nobody|everybody|anyone|everyone|founders?"
    r"|colleagues?|personen?|leitung|personnes?|personas?)\b|[^\W\d_a-z][\w'’-]+ [^\W\d_a-z][\w'’-]+"
)
_ASKS_FOR_ALL = re.compile(
    r"\b(?:list|which \w+s\b|what (?:are|happens|kinds?|types?|sorts?)|all (?:the |our )?\w+s\b|who are|welche|alle"
    r"|quels|quelles|cu[aá]les)",
    re.IGNORECASE,
)
_ASKS_FOR_DEFINITION = re.compile(
    r"(?:what (?:is|are|does)|was (?:ist|sind|bedeutet|heißt)|qu'est-ce que|qu[eé] (?:es|son))\s+"
    r"(?:(?:an?|the|ein|eine|der|die|das|un|une|una)\s+)?(.{2,40}?)(?:\s+mean)?\s*\?*$",
    re.IGNORECASE,
)
_DEFINITION = re.compile(
    r"[*_`\s]*([^.:–—-]{2,40}?)[*_`]*\s*(?:[-–—:]|\b(?:is|are|means|ist|sind|bedeutet|est|sont|es|son)\b)"
)
_NAME = re.compile(r"\b[^\W\d_a-z][\w-]+")
_EVERYTHING_ELSE = re.compile(
    r"\b(?:everywhere else|elsewhere|all others?|any other|everybody else|everyone else|anywhere|the rest"
    r"|überall sonst|anderswo|alle anderen|alle übrigen|partout ailleurs|ailleurs|tous les autres"
    r"|en cualquier otr[oa]|todos los demás)\b",
    re.IGNORECASE,
)


def asks_for_all(question: str) -> bool:
    """Return whether a question asks for everything of a kind, as “Which offices do we have?” does."""
    return bool(_ASKS_FOR_ALL.search(question))


def has_wanted_kind(question: str, text: str) -> bool:
    """Return whether a text has a number, date or person if the question asks for one."""
    wants_number = _ASKS_FOR_NUMBER.search(question) and _NUMBER.search(text)
    return bool(wants_number or (_ASKS_FOR_PERSON.search(question) and _PERSON.search(text)))


def defined_subject(question: str) -> str:
    """Return what a question wants to have defined; empty if it asks for something else."""
    found = _ASKS_FOR_DEFINITION.match(question.strip())
    return found.group(1) if found else ""


def subject_of_definition(text: str) -> str:
    """Return what a text defines, as “Datum” in “**Datum** - the height that counts as zero”; empty if nothing."""
    found = _DEFINITION.match(text)
    return found.group(1) if found else ""


def names(question: str) -> list[str]:
    """Return the capitalized words of a question after its first."""
    return _NAME.findall(question.strip()[1:])


def covers_everything_else(text: str) -> bool:
    """Return whether a text speaks of all that is not named: “everywhere else”, “all others”."""
    return bool(_EVERYTHING_ELSE.search(text))
