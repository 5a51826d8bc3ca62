"""Detects documents whose own text says that they are superseded. Does no I/O.

Only the title and the first lines count, and only what they say about the document itself: “(SUPERSEDED)”, “Valid until
28 February 2026”, “This policy was replaced by …”. That a document replaces another one says nothing against it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from knowledge.text.date_expressions import spans
from knowledge.types.search_results import Passage

OPENING_CHARS = 800
"""Characters at the start of a document that are searched."""
_OPENING_LINES = 12
_PLACES_LOWER = 3
"""Places that a superseded passage loses, so that a document in force that says nearly the same comes first."""

_STATES = (
    r"(?:superseded|obsolete|deprecated|retired|withdrawn|repealed|no longer (?:valid|in force|maintained)|outdated"
    r"|veraltet|abgelöst|ersetzt|aufgehoben|außer kraft|nicht mehr gültig|ungültig"
    r"|obsol[eè]te|remplacée?|abrogée?|périmée?|obsolet[oa]|sustituid[oa]|derogad[oa])"
)
_DOCUMENT = (
    r"(?:this|diese[sr]?|cette?|est[ea]) (?:document|policy|page|version|guide|guideline|handbook|manual|standard"
    r"|procedure|plan|dokument|richtlinie|seite|fassung|anleitung|handbuch|politique|documento|política|página|versión)"
)
_IN_TITLE = re.compile(rf"[(\[]\s*{_STATES}[^)\]]*[)\]]|^\W*{_STATES}\s*[:–—-]\s", re.IGNORECASE)
_IN_LINE = re.compile(
    rf"^\W*(?:status\s*[:=]\s*)?{_STATES}\b(?!\s*[\w-]+\s+(?:are|is|were|have)\b)"
    rf"|\b{_DOCUMENT}\s+(?:is|was|has been|have been|ist|wurde|est|a été|es|fue|ha sido)\s+(?:\w+\s+)?"
    rf"(?:{_STATES}|replaced)\b",
    re.IGNORECASE,
)
_UNTIL = re.compile(
    r"^\W*(?:valid|in force|applies|applicable|effective|gültig|gilt|in kraft|valable|valide|válid[oa]|vigente)\b"
    r".{0,60}?\b(?:until|till|through|bis(?: zum)?|jusqu'au|hasta(?: el)?)\s+(.{4,40})"
    r"|^\W*(?:expires|expired|läuft ab)\b(.{4,40})",
    re.IGNORECASE,
)
_SINCE = re.compile(r"\b(?:on|since|as of|from|seit|am|ab|zum|depuis|le|desde|el)\s+(.{4,40})", re.IGNORECASE)
_ASKS_FOR_OLD = re.compile(
    r"\b(?:superseded|archived?|obsolete|former(?:ly)?|previous(?:ly)?|used to|back then|old|historic\w*"
    r"|früher\w*|damals|alte[nrs]?|ehemalig\w*|ancien\w*|autrefois|antigu\w*|anterior\w*)\b",
    re.IGNORECASE,
)
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")


def note(title: str, opening: str, today: date) -> str:
    """Return “superseded since 2026-03-01”, “superseded” if no date is given, or nothing if it is in force.

    ``opening`` is the start of the document's text. A document that is valid until a day to come is in force.
    """
    lines = [line for line in opening[:OPENING_CHARS].split("\n") if line.strip()][:_OPENING_LINES]
    first_days = [first for line in lines if (first := _day_after_end(line, today))]
    stated = [line for line in lines if _IN_LINE.search(line)]
    for line in stated:
        since = _SINCE.search(line)
        first_days += [span.first for span in spans(since.group(1), today)[:1]] if since else []
    if first_days and min(first_days) <= today:
        return f"superseded since {min(first_days)}"
    if first_days:
        return ""
    return "superseded" if stated or any(map(_IN_TITLE.search, (title, *lines[:1]))) else ""


def ranked_lower(passages: Sequence[Passage], question: str) -> list[Passage]:
    """Return the passages in order, superseded ones three places lower, unless the question asks for them."""
    passages = [
        replace(one, superseded=False) if one.superseded and _asks_for(question, one) else one for one in passages
    ]
    places = sorted(range(len(passages)), key=lambda place: place + (_PLACES_LOWER + 0.5) * passages[place].superseded)
    return [passages[place] for place in places]


def _day_after_end(line: str, today: date) -> date | None:
    """Return the first day on which a document is no longer valid, if the line names the last one."""
    until = _UNTIL.search(line)
    found = spans(until.group(1) or until.group(2), today) if until else []
    return found[0].last + timedelta(days=1) if found else None


def _asks_for(question: str, passage: Passage) -> bool:
    """Return whether a question asks for what was valid earlier, or names the year in the passage's title."""
    years = set(_YEAR.findall(passage.indexed_title))
    return bool(_ASKS_FOR_OLD.search(question) or years & set(_YEAR.findall(question)))
