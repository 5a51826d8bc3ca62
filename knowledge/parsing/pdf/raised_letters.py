"""Finds the letters of a PDF page that are superscripts: smaller than the letter before them, and above its line."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pypdfium2.raw as pdfium

from knowledge.parsing.pdf.page_space import Box, PageSpace

MAX_HEIGHT = 0.95
"""Height of a raised letter, in heights of the letters on the line."""
MIN_RISE = 0.12
MAX_RISE = 0.9
"""How far a raised letter stands above the line, in the same unit."""
MAX_LOWER_TOP = 0.25
"""How far its top may be below that of the line, in the same unit."""
MAX_GAP = 0.3
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
    area = pdfium.FS_RECTF()
    line: Box | None = None
    """The place of the last letter on the line, as high as its font. Its right edge is that of the last raised one."""
    raised: set[int] = set()
    letters = 0
    for index in range(text.count_chars()):
        if pdfium.FPDFText_IsGenerated(text, index) or chr(pdfium.FPDFText_GetUnicode(text, index)).isspace():
            continue
        pdfium.FPDFText_GetLooseCharBox(text, index, ctypes.byref(area))
        box = space.box((area.left, area.bottom, area.right, area.top))
        letters += 1
        if line is not None and _is_raised(line, box):
            raised.add(index)
            line = (line[0], line[1], box[2], line[3])
        else:
            line = box
    return frozenset(raised) if len(raised) <= MAX_SHARE * letters else frozenset()


def _is_raised(line: Box, letter: Box) -> bool:
    height = line[3] - line[1]
    return (
        letter[3] - letter[1] < MAX_HEIGHT * height
        and MIN_RISE * height < line[3] - letter[3] < MAX_RISE * height
        and letter[1] < line[1] + MAX_LOWER_TOP * height
        and -MAX_GAP * height < letter[0] - line[2] < MAX_GAP * height
    )
