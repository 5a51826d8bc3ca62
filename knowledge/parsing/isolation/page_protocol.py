"""Protocol between the sandbox and its worker process for PDF pages: layouts and pictures.

Every value of a response is checked, because an untrusted file may have taken control of the worker. A picture comes
as bare pixels, so that no decoder of this process or of a browser reads what the worker made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from knowledge.parsing.page_display import PageLayout, PageLayouts, PagePicture, QuoteOnPage

MAX_AREAS = 1_000
MAX_PIXELS = 4_000_000
_MAX_POINTS = 1_000_000


def layouts_request(first: int, last: int, quotes: Mapping[int, QuoteOnPage]) -> dict[str, Any]:
    """Return the head of a request for the layouts of pages."""
    return {"layouts": [first, last, [[page, quote.text, quote.earlier] for page, quote in quotes.items()]]}


def picture_request(page: int, side: int) -> dict[str, Any]:
    """Return the head of a request for a picture."""
    return {"picture": [page, side]}


def is_request(head: Mapping[str, Any]) -> bool:
    """Return whether this is the head of a request about pages."""
    return "layouts" in head or "picture" in head


def response_to(head: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Answer a request with a head and the parts of a body. Raises ParseError."""
    from knowledge.parsing.pdf import page_drawing  # loads pdfium

    if "layouts" in head:
        first, last, quotes = head["layouts"]
        on_pages = {int(page): QuoteOnPage(str(text), int(earlier)) for page, text, earlier in quotes}
        found = page_drawing.layouts(data, int(first), int(last), on_pages)
        return {"total": found.total, "pages": [asdict(page) for page in found.pages]}, ()
    picture = page_drawing.picture(data, *map(int, head["picture"]))
    return {"width": picture.width, "height": picture.height}, (picture.pixels,)


def layouts_of(head: Mapping[str, Any], body: bytearray) -> PageLayouts:
    """Convert a response to layouts. Raises ValueError, TypeError or KeyError if it is none."""
    pages = tuple(
        PageLayout(
            _whole(page["number"], 1),
            _between(page["width"], 0, _MAX_POINTS),
            _between(page["height"], 0, _MAX_POINTS),
            tuple(_area(area) for area in page["areas"][:MAX_AREAS]),
        )
        for page in head["pages"]
    )
    return PageLayouts(_whole(head["total"], 0), pages)


def picture_of(head: Mapping[str, Any], body: bytearray) -> PagePicture:
    """Convert a response to a picture. Raises ValueError, TypeError or KeyError if it is none."""
    width, height = _whole(head["width"], 1), _whole(head["height"], 1)
    if width * height > MAX_PIXELS or len(body) != 3 * width * height:
        raise ValueError("no picture")
    return PagePicture(width, height, bytes(body))


def _whole(value: Any, least: int) -> int:
    if type(value) is not int or not least <= value < 2**31:
        raise ValueError("no whole number")
    return value


def _between(value: Any, least: float, most: float) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not least <= value <= most:
        raise ValueError("no number")
    return float(value)


def _area(value: Any) -> tuple[float, float, float, float]:
    left, top, right, bottom = (_between(edge, 0, 1) for edge in value)
    return left, top, right, bottom
