"""Converts coordinates of a PDF page to those of the upright page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from copy import copy
from typing import Any

import pypdfium2.raw as pdfium

Box = tuple[float, float, float, float]
"""Left, top, right and bottom as the page is read, in points from its top left corner."""
SAMPLES = 50
"""Characters of a page that tell how its text is turned."""


class PageSpace:
    """The size of one page of pypdfium2, and how its text is turned, which may differ from the page's own rotation."""

    def __init__(self, page: Any, text: Any) -> None:
        width, height = page.get_size()
        self._width, self._height = (height, width) if page.get_rotation() % 180 else (width, height)
        self.rotation = _turned(text)
        """By how many degrees the page is turned clockwise: 0, 90, 180 or 270."""

    def turned(self, degrees: int) -> PageSpace:
        """Return the space in which text is upright that stands at an angle of so many degrees to the other text."""
        other = copy(self)
        other.rotation = (self.rotation + degrees) % 360
        return other

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Convert a point in the coordinates of the page."""
        if self.rotation == 90:
            return y, x
        if self.rotation == 180:
            return self._width - x, y
        if self.rotation == 270:
            return self._height - y, self._width - x
        return x, self._height - y

    def area(self, box: Box) -> tuple[float, float, float, float]:
        """Convert a box back to left, bottom, right and top in the coordinates of the page."""
        (x1, y1), (x2, y2) = self._page_point(box[0], box[1]), self._page_point(box[2], box[3])
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)

    def _page_point(self, x: float, y: float) -> tuple[float, float]:
        if self.rotation == 90:
            return y, x
        if self.rotation == 180:
            return self._width - x, y
        if self.rotation == 270:
            return self._width - y, self._height - x
        return x, self._height - y

    def box(self, area: Sequence[float]) -> Box:
        """Convert left, bottom, right and top in the coordinates of the page."""
        left, bottom, right, top = area
        (x1, y1), (x2, y2) = self.point(left, bottom), self.point(right, top)
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _turned(text: Any) -> int:
    """Return by how many degrees a page is to be turned clockwise for its text to be upright: 0, 90, 180 or 270."""
    count = text.count_chars()
    angles = Counter(
        turn_of(text, index)
        for index in range(0, count, max(1, count // SAMPLES))
        if not pdfium.FPDFText_IsGenerated(text, index)
    )
    return angles.most_common(1)[0][0] if angles else 0


def turn_of(text: Any, index: int) -> int:
    """Return by how many degrees a letter is to be turned clockwise to be upright: 0, 90, 180 or 270.

    Text in a font of a negative size runs the other way.
    """
    quarters = round(-math.degrees(pdfium.FPDFText_GetCharAngle(text, index)) / 90)
    return (quarters + (2 if pdfium.FPDFText_GetFontSize(text, index) < 0 else 0)) % 4 * 90
