"""Finds the dates that a question mentions: ``yesterday``, ``last Tuesday``, ``in March``, ``7 May 2023``. Does no I/O.

Understands English and German. A month or day without a year is the latest one that is not after ``today``. A weekday
is the latest one before ``today``.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

_MONTH_SYNONYMS = (
    "january|jan|januar|jänner february|feb|februar march|mar|märz april|apr may|mai june|jun|juni july|jul|juli "
    "august|aug september|sep|sept october|oct|oktober|okt november|nov december|dec|dezember|dez"
).split()
_WEEKDAY_SYNONYMS = (
    "monday|montag tuesday|dienstag wednesday|mittwoch thursday|donnerstag friday|freitag "
    "saturday|samstag|sonnabend sunday|sonntag"
).split()
_MONTH_NUMBERS = {name: n for n, names in enumerate(_MONTH_SYNONYMS, 1) for name in names.split("|")}
_WEEKDAY_NUMBERS = {name: n for n, names in enumerate(_WEEKDAY_SYNONYMS) for name in names.split("|")}
_NUMBER_WORDS = {
    word: n
    for n, words in enumerate("a|an|one|einem|einer two|zwei three|drei four|vier five|fünf six|sechs".split(), 1)
    for word in words.split("|")
}
_MONTH_NAMES = "|".join(sorted(_MONTH_NUMBERS, key=len, reverse=True))
_WEEKDAY_NAMES = "|".join(sorted(_WEEKDAY_NUMBERS, key=len, reverse=True))

_ISO = re.compile(r"\b(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})\b|\b(20\d{2})(\d{2})(\d{2})(?=\b|_)")
_GERMAN = re.compile(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})?")
_DAY_MONTH = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th|\.)?\s+(?:of\s+)?({_MONTH_NAMES})\b\.?(?:,?\s+(\d{{4}}))?", re.IGNORECASE
)
_MONTH_DAY = re.compile(rf"\b({_MONTH_NAMES})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?(?!\d)(?:,?\s+(\d{{4}}))?", re.IGNORECASE)
_MONTH_YEAR = re.compile(rf"\b({_MONTH_NAMES})\.?,?\s+(?:of\s+)?(\d{{4}})\b", re.IGNORECASE)
_MONTH_ALONE = re.compile(
    r"\b(?:in|during|since|until|before|after|by|of|early|late|mid|this|last|im|seit|bis|vor|nach|letzten)[\s-]+"
    rf"({_MONTH_NAMES})\b",
    re.IGNORECASE,
)
_WEEKDAY_ALONE = re.compile(rf"\b({_WEEKDAY_NAMES})s?\b", re.IGNORECASE)
_YEAR = re.compile(r"\b(?:in|during|since|im jahr|seit)\s+(20\d{2})\b", re.IGNORECASE)
_AGO = re.compile(
    rf"\b(?:(\d{{1,3}}|{'|'.join(_NUMBER_WORDS)})\s+(day|week|month)s?\s+ago|vor\s+(\d{{1,3}}|{'|'.join(_NUMBER_WORDS)})\s+"
    r"(tag|woche|monat)e?n?)\b",
    re.IGNORECASE,
)
_UNIT_DAYS = {"day": 1, "tag": 1, "week": 7, "woche": 7, "month": 30, "monat": 30}
_RELATIVE_PHRASES = (
    (re.compile(r"\b(?:day before yesterday|vorgestern)\b", re.IGNORECASE), 2, 2),
    (re.compile(r"(?<!before )\b(?:yesterday|last night|gestern)\b", re.IGNORECASE), 1, 1),
    (re.compile(r"\b(?:today|tonight|this (?:morning|afternoon|evening)|heute)\b", re.IGNORECASE), 0, 0),
    (re.compile(r"\b(?:last|past|letzten?|vergangenen?) (?:week|woche)\b", re.IGNORECASE), 13, 1),
    (re.compile(r"\b(?:this|diesen?r?) (?:week|woche)\b", re.IGNORECASE), 6, 0),
    (re.compile(r"\b(?:last|past|letzten?|vergangenen?) (?:month|monat)\b", re.IGNORECASE), 61, 1),
    (re.compile(r"\b(?:recently|lately|neulich|kürzlich)\b", re.IGNORECASE), 14, 0),
)
"""A pattern, and how many days before today the range that it means starts and ends."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of days from ``first`` to ``last``, inclusive."""

    first: date
    last: date


def spans(question: str, today: date) -> list[Span]:
    """Return the date ranges that the question mentions, in no fixed order. Impossible dates are ignored."""
    found = [*_absolute_dates(question, today), *_relative_dates(question, today)]
    return list(dict.fromkeys(found))


def _absolute_dates(text: str, today: date) -> Iterator[Span]:
    for match in _ISO.finditer(text):
        numbers = [int(group) for group in match.groups() if group]
        yield from _day_span(*numbers)
    for match in _GERMAN.finditer(text):
        yield from _latest(int(match[2]), int(match[1]), match[3], today)
    for match in _DAY_MONTH.finditer(text):
        yield from _latest(_MONTH_NUMBERS[match[2].lower()], int(match[1]), match[3], today)
    for match in _MONTH_DAY.finditer(text):
        yield from _latest(_MONTH_NUMBERS[match[1].lower()], int(match[2]), match[3], today)
    for match in _MONTH_YEAR.finditer(text):
        yield from _month_span(int(match[2]), _MONTH_NUMBERS[match[1].lower()])
    for match in _MONTH_ALONE.finditer(text):
        if not re.match(r"\.?,?\s+(?:of\s+)?\d", text[match.end() :]):
            month = _MONTH_NUMBERS[match[1].lower()]
            yield from _month_span(today.year - (month > today.month), month)
    for match in _YEAR.finditer(text):
        yield Span(date(int(match[1]), 1, 1), date(int(match[1]), 12, 31))


def _relative_dates(text: str, today: date) -> Iterator[Span]:
    for pattern, first, last in _RELATIVE_PHRASES:
        if pattern.search(text):
            yield Span(today - timedelta(first), today - timedelta(last))
    for match in _AGO.finditer(text):
        number, unit = (match[1] or match[3]).lower(), (match[2] or match[4]).lower()
        back = (_NUMBER_WORDS.get(number) or int(number)) * _UNIT_DAYS[unit]
        tolerance = _UNIT_DAYS[unit] // 3
        yield Span(today - timedelta(back + tolerance), today - timedelta(max(0, back - tolerance)))
    for match in _WEEKDAY_ALONE.finditer(text):
        back = (today.weekday() - _WEEKDAY_NUMBERS[match[1].lower()]) % 7 or 7
        yield Span(today - timedelta(back), today - timedelta(back))


def _day_span(year: int, month: int, day: int) -> Iterator[Span]:
    try:
        found = date(year, month, day)
    except ValueError:
        return
    yield Span(found, found)


def _latest(month: int, day: int, year: str | None, today: date) -> Iterator[Span]:
    """Yield the day in the given year, or the latest one that is not after today; nothing for an impossible date."""
    if year:
        yield from _day_span(int(year), month, day)
    elif 1 <= month <= 12:
        yield from _day_span(today.year - ((month, day) > (today.month, today.day)), month, day)


def _month_span(year: int, month: int) -> Iterator[Span]:
    if year > 0:
        yield Span(date(year, month, 1), date(year, month, monthrange(year, month)[1]))
