"""Finds the letters of a PDF page that are superscripts: smaller than the letter before them, and above its line."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pypdfium2.raw as pdfium

from knowledge.parsing.pdf.page_space import Box, PageSpace

MAX_SIZE = 0.93
"""Size of the font of a raised letter, in sizes of the font on the line."""
MIN_RISE = 0.12
MAX_RISE = 0.8
"""How far a raised letter stands above the line, in the same unit."""
MAX_GAP = 0.25
"""Largest gap before a raised letter, in the same unit."""
MAX_SHARE = 0.2
"""Share of the letters from which on a page has no superscripts, but text in two sizes."""


def may_have_raised_letters(pieces: Sequence[Box]) -> bool:
    """Return whether a piece of text begins right behind another one, and ends above it. Descenders do so, too."""
    for before, after in pairwise(pieces):
        height = max(before[3] - before[1], after[3] - after[1])
        if -height < after[0] - before[2] < height and MIN_RISE * height < before[3] - after[3] < height:
            return True
    return False


def raised_letters(text: Any, space: PageSpace) -> frozenset[int]:
    """Return the indexes of the letters of a text page that are superscripts."""
    line: _Letter | None = None
    raised: set[int] = set()
    letters = 0
    for index in range(text.count_chars()):
        if pdfium.FPDFText_IsGenerated(text, index) or chr(pdfium.FPDFText_GetUnicode(text, index)).isspace():
            continue
        letter = _letter(text, index, space)
        letters += 1
        if line is not None and _is_raised(line, letter):
            raised.add(index)
            line = replace(line, right=letter.right)
        else:
            line = letter
    return frozenset(raised) if len(raised) <= MAX_SHARE * letters else frozenset()


@dataclass(frozen=True, slots=True)
class _Letter:
    """The size of a letter's font on the page, its ends, and the height of the line on which it stands."""

    size: float
    left: float
    right: float
    baseline: float


def _letter(text: Any, index: int, space: PageSpace) -> _Letter:
    matrix = pdfium.FS_MATRIX()
    left, right, bottom, top, x, y = (ctypes.c_double() for _ in range(6))
    pdfium.FPDFText_GetMatrix(text, index, matrix)
    pdfium.FPDFText_GetCharBox(text, index, left, right, bottom, top)
    pdfium.FPDFText_GetCharOrigin(text, index, x, y)
    box = space.box((left.value, bottom.value, right.value, top.value))
    size = pdfium.FPDFText_GetFontSize(text, index) * math.hypot(matrix.c, matrix.d)
    return _Letter(size, box[0], box[2], space.point(x.value, y.value)[1])


def _is_raised(line: _Letter, letter: _Letter) -> bool:
    return (
        letter.size < MAX_SIZE * line.size
        and MIN_RISE * line.size < line.baseline - letter.baseline < MAX_RISE * line.size
        and -MAX_GAP * line.size < letter.left - line.right < MAX_GAP * line.size
    )
