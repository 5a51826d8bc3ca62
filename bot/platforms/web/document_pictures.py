"""Shows the pages of PDF documents as pictures, with the places of a quote, to people who may read the document."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import UsageError
from bot.platforms.web import user_messages
from bot.platforms.web.document_viewer import readable_audiences
from bot.types.bounded_mapping import RecentEntries
from bot.types.conversation import LOCAL_TENANT, Author
from knowledge.errors import ParseError
from knowledge.parsing.page_display import PageLayout, PageLayouts, PagePicture, QuoteOnPage
from knowledge.ports import Sessions
from knowledge.store import document_files, document_windows
from knowledge.store.document_files import DocumentFile, FileKey
from knowledge.store.document_windows import Window
from knowledge.text.page_labels import label_of

PAGES_AT_ONCE = 20
"""Pages whose layouts are read at once."""
PAGES_BEFORE = 3
"""Pages before that of the quote which are shown with it."""
LATEST_FILES = 2
"""Number of files kept in memory, because drawing any page of a file needs all of its bytes."""
PICTURE_SIDE = 1_600
"""Pixels of the longer side of a picture, enough for a wide window."""


@dataclass(frozen=True, slots=True)
class PageView:
    """A page with the number that it bears, its size in points and the areas of the quote as shares of its size."""

    number: int
    label: str
    width: float
    height: float
    areas: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True, slots=True)
class PagesView:
    """Some pages of a document. ``earlier`` and ``later`` are the first pages of the parts next to them, if any."""

    pages: tuple[PageView, ...]
    earlier: int | None
    later: int | None


class DrawsPages(Protocol):
    """Draws pages of PDF files, as ``knowledge.parsing.isolation.sandbox.Parser`` does. Raises ParseError."""

    async def page_layouts(
        self, name: str, data: bytes, *, first: int, last: int, quotes: Mapping[int, QuoteOnPage]
    ) -> PageLayouts: ...
    async def draw_page(self, name: str, data: bytes, page: int, *, side: int) -> PagePicture: ...
    async def aclose(self) -> None: ...


class DocumentPages(Protocol):
    """Reads pages of documents for the browser page."""

    async def layouts(
        self, document_id: str, author: Author, *, quote: str = "", start: int = 0, first: int | None = None
    ) -> PagesView:
        """Return the pages around a quote that was at the offset ``start``, or those from ``first`` on.

        Raises UsageError if there is no such document with pages, and alike if the person may not read it.
        """

    async def picture(self, document_id: str, author: Author, page: int) -> bytes:
        """Return a page as a PNG file. Raises UsageError as above."""

    async def aclose(self) -> None: ...


class StoredDocumentPages:
    """The files in PostgreSQL, whose pages ``drawing`` draws in its own process."""

    def __init__(self, sessions: Sessions, drawing: DrawsPages) -> None:
        self._sessions = sessions
        self._drawing = drawing
        self._latest: RecentEntries[FileKey, bytes] = RecentEntries(LATEST_FILES)
        """The files that were shown last: a window asks for each of its pages."""

    async def layouts(
        self, document_id: str, author: Author, *, quote: str = "", start: int = 0, first: int | None = None
    ) -> PagesView:
        file, window = await self._read(document_id, author, quote, start)
        quotes = quotes_by_page(window, len(quote))
        begin = max(1, min(quotes, default=1) - PAGES_BEFORE) if first is None else first
        last = begin + PAGES_AT_ONCE - 1
        try:
            found = await self._drawing.page_layouts(file.name, file.data, first=begin, last=last, quotes=quotes)
        except ParseError:
            raise UsageError(user_messages.NO_PAGES) from None
        return PagesView(
            tuple(_page_view(page, file.page_labels) for page in found.pages),
            max(1, begin - PAGES_AT_ONCE) if begin > 1 else None,
            last + 1 if last < found.total else None,
        )

    async def picture(self, document_id: str, author: Author, page: int) -> bytes:
        async with self._sessions(LOCAL_TENANT) as session:
            file = await self._file(session, document_id, readable_audiences(author))
        try:
            drawn = await self._drawing.draw_page(file.name, file.data, page, side=PICTURE_SIDE)
        except ParseError:
            raise UsageError(user_messages.NO_PAGES) from None
        return await asyncio.to_thread(_png, drawn)

    async def aclose(self) -> None:
        """End the process that draws."""
        await self._drawing.aclose()

    async def _read(self, document_id: str, author: Author, quote: str, start: int) -> tuple[DocumentFile, Window]:
        readable = readable_audiences(author)
        async with self._sessions(LOCAL_TENANT) as session:
            file = await self._file(session, document_id, readable)
            window = await document_windows.read(
                session, LOCAL_TENANT, document_id, audiences=readable, quote=quote, start=start
            )
        if window is None:
            raise UsageError(user_messages.DOCUMENT_GONE)
        return file, window

    async def _file(self, session: AsyncSession, document_id: str, readable: Sequence[str] | None) -> DocumentFile:
        """Return the file of a document. Raises UsageError if there is none that the person may read."""
        file = await document_files.read(session, LOCAL_TENANT, document_id, audiences=readable, known=self._latest)
        if file is None:
            raise UsageError(user_messages.DOCUMENT_GONE)
        self._latest[file.key] = file.data
        return file


def quotes_by_page(window: Window, quote_chars: int) -> dict[int, QuoteOnPage]:
    """Return the words of a quote on each page that it stands on; none if the document does not have it."""
    if window.quote_start is None or not quote_chars:
        return {}
    quote = range(window.quote_start, window.quote_start + quote_chars)
    text_end = window.start + len(window.text)
    begins = [(page.start, page.page) for page in window.pages]
    found: dict[int, QuoteOnPage] = {}
    for (begin, page), (end, _) in pairwise([*begins, (text_end, 0)]):
        first, last = max(begin, quote.start), min(end, quote.stop)
        if first < last:
            words = window.text[first - window.start : last - window.start]
            before = window.text[max(0, begin - window.start) : first - window.start]
            found[page] = QuoteOnPage(words, before.count(words))
    return found


def _page_view(page: PageLayout, labels: str) -> PageView:
    return PageView(page.number, label_of(labels, page.number), page.width, page.height, page.areas)


def _png(drawn: PagePicture) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.frombytes("RGB", (drawn.width, drawn.height), drawn.pixels).save(file, "PNG", compress_level=3)
    return file.getvalue()
