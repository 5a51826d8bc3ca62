"""Draws pages of a PDF as pictures, and finds the pages that are scans."""

from __future__ import annotations

from typing import Any

import numpy as np
import pypdfium2

MAX_SCAN_CHARS = 80
"""Characters of text that a scan may have beside its picture, such as a stamp or a page number."""
MIN_PICTURE_SHARE = 0.5
"""Share of the page that the picture of a scan covers."""
MAX_OBJECTS = 200
"""Objects of a page that are looked at. A scan has few."""


def is_scan(page: Any, text: str) -> bool:
    """Return whether the page is a picture with hardly any text."""
    if len("".join(text.split())) > MAX_SCAN_CHARS:
        return False
    width, height = page.get_size()
    covered = 0.0
    try:
        for number, found in enumerate(page.get_objects(max_depth=3)):
            if number > MAX_OBJECTS:
                return False
            if found.type == pypdfium2.raw.FPDF_PAGEOBJ_IMAGE:
                left, bottom, right, top = found.get_bounds()
                covered += max(0.0, right - left) * max(0.0, top - bottom)
    except pypdfium2.PdfiumError:
        return False
    return bool(covered >= MIN_PICTURE_SHARE * width * height)


class PagePictures:
    """Draws pages of one PDF, which it opens with the first of them."""

    def __init__(self, data: bytes, side: int) -> None:
        self._data = data
        self._side = side
        self._document: Any = None

    def of(self, index: int) -> np.ndarray[Any, Any] | None:
        """Return a page as rows of pixels in red, green and blue, with ``side`` pixels on its longer side.

        Return None if it cannot be drawn.
        """
        try:
            self._document = self._document or pypdfium2.PdfDocument(self._data)
            page = self._document[index]
            try:
                scale = self._side / max(*page.get_size(), 1.0)
                bitmap = page.render(scale=scale, may_draw_forms=False, rev_byteorder=True)
                return np.array(bitmap.to_numpy()[:, :, :3])
            finally:
                page.close()
        except (pypdfium2.PdfiumError, ValueError):
            return None

    def close(self) -> None:
        """Close the PDF."""
        if self._document is not None:
            self._document.close()
