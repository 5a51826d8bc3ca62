"""Finds the superscripts and subscripts of a PDF page: letters smaller than the one before, and off its line."""

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
"""Size of the font of a shifted letter, in sizes of the font on the line."""
MIN_RISE = 0.12
MAX_RISE = 0.8
"""How far a raised letter stands above the line, in the same unit."""
MIN_DROP = 0.06
MAX_DROP = 0.5
"""How far a lowered letter stands below the line, in the same unit."""
MAX_GAP = 0.25
"""Largest gap before a shifted letter, in the same unit."""
MAX_SHARE = 0.2
"""Share of the letters from which on a page has no superscripts, but text in two sizes."""


def may_have_shifted_letters(pieces: Sequence[Box]) -> bool:
    """Return whether a piece of text begins right behind another one, and ends above or below. Descenders do, too."""
    for before, after in pairwise(pieces):
        height = max(before[3] - before[1], after[3] - after[1])
        if not -height < after[0] - before[2] < height:
            continue
        if MIN_RISE * height < before[3] - after[3] < height:
            return True
        if MIN_DROP * height < after[3] - before[3] and MIN_DROP * height < after[1] - before[1] < height:
            return True
    return False


def shifted_letters(text: Any, space: PageSpace) -> tuple[frozenset[int], frozenset[int]]:
    """Return the indexes of the letters of a text page that are superscripts, and of those that are subscripts.

    Letters that were drawn together stand on one line, so only the first of them is compared with the one before.
    """
    raised: set[int] = set()
    lowered: set[int] = set()
    owner: int | None = None
    on_line = last = -1
    into: set[int] | None = None
    count = text.count_chars()
    for index in range(count):
        drawn = pdfium.FPDFText_GetTextObject(text, index)
        if not drawn or chr(pdfium.FPDFText_GetUnicode(text, index)).isspace():
            continue
        address = ctypes.addressof(drawn.contents)
        if address != owner:
            letter = _letter(text, index, space)
            line = None if on_line < 0 else _letter(text, on_line, space)
            if line is not None and into is not None:
                line = replace(line, right=max(line.right, _letter(text, last, space).right))
            rise = 0.0 if line is None else _rise(line, letter)
            owner, into = address, raised if rise > 0 else lowered if rise < 0 else None
        if into is None:
            on_line = index
        else:
            into.add(index)
            last = index
    few = MAX_SHARE * count
    return frozenset(raised if len(raised) <= few else ()), frozenset(lowered if len(lowered) <= few else ())


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


def _rise(line: _Letter, letter: _Letter) -> float:
    """Return by how many points a letter is raised above the line, negative if it is lowered; 0 if it is neither."""
    size, rise = line.size, line.baseline - letter.baseline
    if letter.size >= MAX_SIZE * size or not -MAX_GAP * size < letter.left - line.right < MAX_GAP * size:
        return 0.0
    return rise if MIN_RISE * size < rise < MAX_RISE * size or MIN_DROP * size < -rise < MAX_DROP * size else 0.0
