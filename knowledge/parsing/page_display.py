"""Defines pages as they are displayed: their sizes, the places of quotes on them, and pictures of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QuoteOnPage:
    """The words of a quote that stand on one page. ``earlier`` is how often they stand on it before the quote."""

    text: str
    earlier: int = 0


@dataclass(frozen=True, slots=True)
class PageLayout:
    """A page, from 1, with its size in points.

    ``areas`` are the parts of the page on which its quote stands: left, top, right and bottom as shares of its size.
    """

    number: int
    width: float
    height: float
    areas: tuple[tuple[float, float, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class PageLayouts:
    """The number of pages of a document, and the layouts of those that were asked for."""

    total: int
    pages: tuple[PageLayout, ...]


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A drawn page: rows of pixels, each with a byte of red, of green and of blue."""

    width: int
    height: int
    pixels: bytes
