"""Finds where pdfium splits or joins words of a PDF page against the gaps between their letters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import pypdfium2.raw as pdfium

from knowledge.parsing.pdf.page_space import PageSpace

MIN_SPACE = 0.1
"""Width of the gap between two words, in heights of the font. Letters of a word are closer."""
MAX_SPACE = 1.0
MIN_LETTER_SPACING = 0.05
MAX_LETTER_SPACING = 0.2
"""Gap between all letters of a line, in the same unit, that is the line's letter spacing."""
MAX_OVERLAP = 0.2
MIN_GAPS = 4
"""Gaps of a line from which on it can have a letter spacing."""
SAMPLES = 150
"""Letters of a page whose distance to the next one tells whether the others are looked at."""
MAX_SINGLE_LETTERS = 0.12
"""Share of the words from which on single letters are likely to be parts of words."""
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class _Joint:
    """Where two letters of a line meet: the index of the second, their gap, and the index of pdfium's space between."""

    index: int
    gap: float
    space: int | None
    in_word: bool
    """Both are letters or digits."""


@dataclass(slots=True)
class _Line:
    joints: list[_Joint]
    has_spaces: bool = False
    """The line has spaces of its own, not only those that pdfium adds."""


def may_be_spaced_badly(text: Any, space: PageSpace, own: str) -> bool:
    """Return whether pdfium's text of the page has many single letters, or letters apart that it reads as one word."""
    words = _WORD.findall(own)
    if sum(len(word) == 1 and word.isalpha() for word in words) > MAX_SINGLE_LETTERS * len(words):
        return True
    count = text.count_chars()
    for index in range(0, count - 1, max(1, count // SAMPLES)):
        codes = [pdfium.FPDFText_GetUnicode(text, at) for at in (index, index + 1)]
        if all(chr(min(code, 0x10FFFF)).isalnum() for code in codes):
            before, after = _box(text, index, space), _box(text, index + 1, space)
            if before and after and MIN_SPACE < _gap(before, after) <= MAX_SPACE:
                return True
    return False


def word_divisions(text: Any, space: PageSpace) -> tuple[frozenset[int], frozenset[int]]:
    """Return the indexes of the spaces of pdfium that are inside of words, and of letters that begin a word."""
    inside: set[int] = set()
    starts: set[int] = set()
    for line in _lines(text, space):
        spacing = median(joint.gap for joint in line.joints) if len(line.joints) >= MIN_GAPS else 0.0
        is_spaced = MIN_LETTER_SPACING < spacing <= MAX_LETTER_SPACING
        least = MIN_SPACE + (spacing if is_spaced else 0.0)
        for joint in line.joints:
            if joint.space is None and joint.in_word and least < joint.gap <= MAX_SPACE:
                starts.add(joint.index)
            elif joint.space is not None and is_spaced and line.has_spaces and -MAX_OVERLAP <= joint.gap <= least:
                inside.add(joint.space)
    return frozenset(inside), frozenset(starts)


def _lines(text: Any, space: PageSpace) -> Iterator[_Line]:
    line = _Line([])
    before: tuple[float, float, float, float] | None = None
    was_alnum = False
    between: int | None = None
    for index in range(text.count_chars()):
        char = chr(min(pdfium.FPDFText_GetUnicode(text, index), 0x10FFFF))
        if char in "\r\n\x02\ufffe":
            yield line
            line, before, between = _Line([]), None, None
        elif char == " " and pdfium.FPDFText_IsGenerated(text, index):
            between = index
        elif char.isspace():
            before, line.has_spaces = None, True
        else:
            box = _box(text, index, space)
            if before is not None and box is not None:
                line.joints.append(_Joint(index, _gap(before, box), between, was_alnum and char.isalnum()))
            before, between, was_alnum = box, None, char.isalnum()
    yield line


def _box(text: Any, index: int, space: PageSpace) -> tuple[float, float, float, float] | None:
    """Return the place of a letter with the space that its font gives it."""
    area = pdfium.FS_RECTF()
    if not pdfium.FPDFText_GetLooseCharBox(text, index, area):
        return None
    return space.box((area.left, area.bottom, area.right, area.top))


def _gap(before: Sequence[float], after: Sequence[float]) -> float:
    return (after[0] - before[2]) / max(after[3] - after[1], before[3] - before[1], 1.0)
