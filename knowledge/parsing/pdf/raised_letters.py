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
    """Return the indexes of the letters of a text page that are superscripts.

    Letters that were drawn together stand on one line, so only the first of them is compared with the one before.
    """
    raised: set[int] = set()
    owner: int | None = None
    on_line = last_raised = -1
    is_raised = False
    count = text.count_chars()
    for index in range(count):
        drawn = pdfium.FPDFText_GetTextObject(text, index)
        if not drawn or chr(pdfium.FPDFText_GetUnicode(text, index)).isspace():
            continue
        address = ctypes.addressof(drawn.contents)
        if address != owner:
            letter = _letter(text, index, space)
            line = None if on_line < 0 else _letter(text, on_line, space)
            if line is not None and is_raised:
                line = replace(line, right=max(line.right, _letter(text, last_raised, space).right))
            owner, is_raised = address, line is not None and _is_raised(line, letter)
        if is_raised:
            raised.add(index)
            last_raised = index
        else:
            on_line = index
    return frozenset(raised) if len(raised) <= MAX_SHARE * count else frozenset()


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
