"""Shows pages of a PDF as people see them: their sizes, where quotes stand on them, and pictures of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pypdfium2

from knowledge.errors import ParseError
from knowledge.parsing.page_display import PageLayout, PageLayouts, PagePicture, QuoteOnPage
from knowledge.parsing.pdf.quote_areas import quote_areas

MAX_SIDE = 2_000
"""Pixels of the longer side of the largest picture."""
NOT_SHOWN = "its pages cannot be drawn. Read its text instead"


def layouts(data: bytes, first: int, last: int, quotes: Mapping[int, QuoteOnPage]) -> PageLayouts:
    """Return the layouts of the pages ``first`` to ``last``, from 1, or of those that exist. Raises ParseError."""
    with _opened(data) as document:
        total = len(document)
        found = [_layout(document, number, quotes.get(number)) for number in range(max(1, first), min(last, total) + 1)]
        return PageLayouts(total, tuple(found))


def picture(data: bytes, page: int, side: int) -> PagePicture:
    """Draw a page, from 1, with at most ``side`` pixels on its longer side. Raises ParseError."""
    with _opened(data) as document:
        if not 1 <= page <= len(document):
            raise ParseError(NOT_SHOWN)
        drawn = document[page - 1]
        scale = min(side, MAX_SIDE) / max(*drawn.get_size(), 1.0)
        bitmap = drawn.render(scale=scale, rev_byteorder=True)
        pixels = bitmap.to_numpy()[:, :, :3]
        height, width = pixels.shape[:2]
        return PagePicture(width, height, pixels.tobytes())


def _layout(document: Any, number: int, quote: QuoteOnPage | None) -> PageLayout:
    page = document[number - 1]
    try:
        width, height = page.get_size()
        if quote is None:
            return PageLayout(number, width, height)
        text = page.get_textpage()
        try:
            return PageLayout(number, width, height, tuple(quote_areas(page, text, quote.text, quote.earlier)))
        finally:
            text.close()
    finally:
        page.close()


@contextmanager
def _opened(data: bytes) -> Iterator[Any]:
    """Open a PDF with its form fields. Raises ParseError if pdfium cannot read it, or a page of it."""
    try:
        document = pypdfium2.PdfDocument(data)
        try:
            if document.get_formtype() != pypdfium2.raw.FORMTYPE_NONE:
                document.init_forms()
            yield document
        finally:
            document.close()
    except (pypdfium2.PdfiumError, ValueError):
        raise ParseError(NOT_SHOWN) from None
