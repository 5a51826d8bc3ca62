"""Finds letters of a PDF page that need care: raised, lowered, drawn twice, rotated, or divided into wrong words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from ctypes import addressof
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

import pypdfium2.raw as pdfium

from knowledge.parsing.pdf.letter_spacing import may_be_spaced_badly, word_divisions
from knowledge.parsing.pdf.page_space import Box, PageSpace, turn_of
from knowledge.parsing.pdf.superscripts_and_subscripts import may_have_shifted_letters, shifted_letters

SAME_PLACE = 0.1
"""How far a letter that is drawn twice, as for bold type, may be from itself, in heights of the font."""
CELL = 4.0
"""Points of the squares in which letters are looked up."""
_DOUBLED = re.compile(r"\b(?:([^\W\d_])\1){3,}\b")
"""A word as pdfium reads it where each letter is drawn twice."""


@dataclass(frozen=True, slots=True)
class LetterMarks:
    """The letters of a page that need care, by their index.

    ``raised`` and ``lowered`` letters belong to the word before them. ``repeated`` ones are drawn again in the same
    place. ``turned`` ones stand at an angle to the other text, by the degrees clockwise that make them upright.
    ``word_starts`` begin a word without a space before them; ``inner_spaces`` are spaces of pdfium inside of words.
    """

    raised: Collection[int] = frozenset()
    lowered: Collection[int] = frozenset()
    repeated: Collection[int] = frozenset()
    turned: Mapping[int, int] = field(default_factory=dict)
    inner_spaces: Collection[int] = frozenset()
    word_starts: Collection[int] = frozenset()

    def __bool__(self) -> bool:
        found = (self.raised, self.lowered, self.repeated, self.turned, self.inner_spaces, self.word_starts)
        return any(map(bool, found))


def marks_of(text: Any, space: PageSpace, own: str, pieces: Sequence[Box]) -> LetterMarks:
    """Return the marks of a text page. ``own`` is its text by pdfium, and ``pieces`` are the boxes of its pieces."""
    raised, lowered = shifted_letters(text, space) if may_have_shifted_letters(pieces) else (frozenset(), frozenset())
    repeated = _repeated_letters(text) if _has_pieces_twice(pieces) or _DOUBLED.search(own) else frozenset()
    turned = _turned_letters(text, space) if _may_have_turned_letters(pieces) else {}
    inner, starts = word_divisions(text, space) if may_be_spaced_badly(text, space, own) else (frozenset(), frozenset())
    return LetterMarks(raised - turned.keys(), lowered - turned.keys(), repeated, turned, inner, starts - repeated)


def _has_pieces_twice(pieces: Sequence[Box]) -> bool:
    return len({tuple(round(edge / 2) for edge in piece) for piece in pieces}) < len(pieces)


def _repeated_letters(text: Any) -> frozenset[int]:
    """Return the indexes of the letters in whose place the same letter was drawn before."""
    seen: dict[tuple[int, int, int], list[tuple[float, float]]] = defaultdict(list)
    repeated: set[int] = set()
    area = pdfium.FS_RECTF()
    for index in range(text.count_chars()):
        code = pdfium.FPDFText_GetUnicode(text, index)
        if chr(min(code, 0x10FFFF)).isspace() or not pdfium.FPDFText_GetLooseCharBox(text, index, area):
            continue
        x, y = area.left, area.bottom
        near = SAME_PLACE * (area.top - area.bottom)
        column, row = int(x // CELL), int(y // CELL)
        places = [place for i in (-1, 0, 1) for j in (-1, 0, 1) for place in seen.get((code, column + i, row + j), ())]
        if any(abs(x - other[0]) <= near and abs(y - other[1]) <= near for other in places):
            if not _is_ligature(text, index):
                repeated.add(index)
        else:
            seen[code, column, row].append((x, y))
    return frozenset(repeated)


def _is_ligature(text: Any, index: int) -> bool:
    """Return whether a letter was drawn in one glyph with the letter before it."""
    before, after = (pdfium.FPDFText_GetTextObject(text, at) for at in (index - 1, index))
    if index == 0 or not before or not after or addressof(before.contents) != addressof(after.contents):
        return False
    one, other = pdfium.FS_RECTF(), pdfium.FS_RECTF()
    pdfium.FPDFText_GetLooseCharBox(text, index - 1, one)
    pdfium.FPDFText_GetLooseCharBox(text, index, other)
    return bool(one.left == other.left and one.right == other.right)


def _may_have_turned_letters(pieces: Sequence[Box]) -> bool:
    """Return whether a piece is narrow and high, or as narrow as a letter and right above or below the one before."""
    size = median(bottom - top for _, top, _, bottom in pieces)
    if any(right - left < 2 * size < bottom - top for left, top, right, bottom in pieces):
        return True
    for before, after in pairwise(pieces):
        narrow = max(before[2] - before[0], after[2] - after[0]) < size
        apart = max(before[1], after[1]) - min(before[3], after[3])
        if narrow and apart < size and min(before[2], after[2]) > max(before[0], after[0]):
            return True
    return False


def _turned_letters(text: Any, space: PageSpace) -> dict[int, int]:
    """Return the letters at an angle to the other text, with the degrees clockwise that make them upright."""
    turned: dict[int, int] = {}
    for index in range(text.count_chars()):
        if not pdfium.FPDFText_IsGenerated(text, index):
            degrees = (turn_of(text, index) - space.rotation) % 360
            if degrees:
                turned[index] = degrees
    return turned
