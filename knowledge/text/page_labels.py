"""Stores and reads the numbers that the pages of a document bear, such as ``iv``, where they are not 1, 2, 3, ....

They are kept as the ranges in which they go on: ``[[1, "i"], [5, "1"]]`` says that page 5 bears the number 1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

MAX_CHARS = 200
"""Characters of the ranges that are stored. A document with more irregular numbers is cited by its pages."""
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
    (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_VALUES = {letters: value for value, letters in _ROMAN}
_DECIMAL_END = re.compile(r"^(.*?)(\d{1,6})$", re.S)
_ROMAN_END = re.compile(r"^(.*?\b|)([mdclxvi]{1,15}|[MDCLXVI]{1,15})$", re.S)


def ranges_of(labels: Sequence[str]) -> str:
    """Return the ranges of the labels of all pages as JSON; empty if they are the pages' places, or too irregular."""
    ranges: list[tuple[int, str]] = []
    for page, label in enumerate(labels, 1):
        if not ranges or _moved(ranges[-1][1], page - ranges[-1][0]) != label:
            ranges.append((page, label))
    packed = json.dumps(ranges, ensure_ascii=False)
    return "" if ranges in ([], [(1, "1")]) or not all(labels) or len(packed) > MAX_CHARS else packed


def label_of(ranges: str, page: int) -> str:
    """Return the number that a page bears, from 1. Without valid ranges, it is the page's own."""
    try:
        found = [(int(first), str(label)) for first, label in json.loads(ranges or "[]") if int(first) <= page]
    except (ValueError, TypeError):
        found = []
    return _moved(found[-1][1], page - found[-1][0]) if found else str(page)


def _moved(label: str, pages: int) -> str:
    """Return the label of a page so many pages later."""
    if decimal := _DECIMAL_END.match(label):
        return f"{decimal.group(1)}{int(decimal.group(2)) + pages}"
    if (roman := _ROMAN_END.match(label)) and _roman(_number(roman.group(2))) == roman.group(2).lower():
        number = _roman(_number(roman.group(2)) + pages)
        return roman.group(1) + (number.upper() if roman.group(2).isupper() else number)
    return label if not pages else ""


def _roman(number: int) -> str:
    written = ""
    for value, letters in _ROMAN:
        count, number = divmod(number, value)
        written += letters * count
    return written


def _number(roman: str) -> int:
    values = [_VALUES[letter] for letter in roman.lower()]
    following = [*values[1:], 0]
    return sum(-value if value < after else value for value, after in zip(values, following, strict=True))
