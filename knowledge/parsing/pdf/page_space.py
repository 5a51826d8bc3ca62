"""Converts coordinates of a PDF page to those of the upright page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
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
        self._rotation = _turned(text)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Convert a point in the coordinates of the page."""
        if self._rotation == 90:
            return y, x
        if self._rotation == 180:
            return self._width - x, y
        if self._rotation == 270:
            return self._height - y, self._width - x
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
        round(-math.degrees(pdfium.FPDFText_GetCharAngle(text, index)) / 90) % 4 * 90
        for index in range(0, count, max(1, count // SAMPLES))
        if not pdfium.FPDFText_IsGenerated(text, index)
    )
    return angles.most_common(1)[0][0] if angles else 0
