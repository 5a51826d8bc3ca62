"""Shows a document at the quoted passage, to people who may read the document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from bot.engine.display.character_filter import visible
from bot.errors import UsageError
from bot.platforms.web import user_messages
from bot.platforms.web.history import CHANNEL
from bot.platforms.web.json_views import iso_timestamp
from bot.types.conversation import LOCAL_TENANT, Author
from knowledge.ports import Sessions
from knowledge.store import document_windows
from knowledge.store.document_windows import WINDOW_CHARS, Window
from knowledge.types.scope import audiences


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the text on one page. ``quoted``: it belongs to the quote. ``depth``: that of a heading, from 1."""

    text: str
    page: int | None = None
    quoted: bool = False
    depth: int | None = None


@dataclass(frozen=True, slots=True)
class DocumentView:
    """A part of a document. ``earlier`` and ``later`` are offsets at which the parts next to it begin, if any.

    ``has_pages``: its pages can be shown as pictures.
    """

    id: str
    title: str
    source: str
    url: str
    at: str
    segments: tuple[Segment, ...]
    found: bool
    earlier: int | None
    later: int | None
    has_pages: bool = False


class DocumentViewer(Protocol):
    """Reads documents for the page."""

    async def view(
        self, document_id: str, author: Author, *, quote: str = "", start: int = 0, at: int | None = None
    ) -> DocumentView:
        """Return the part around a quote that was at the offset ``start``, or the part that begins at ``at``.

        Raises UsageError if there is no such document, and alike if the person may not read it.
        """


class StoredDocuments:
    """The documents in PostgreSQL."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def view(
        self, document_id: str, author: Author, *, quote: str = "", start: int = 0, at: int | None = None
    ) -> DocumentView:
        async with self._sessions(LOCAL_TENANT) as session:
            window = await document_windows.read(
                session,
                LOCAL_TENANT,
                document_id,
                audiences=readable_audiences(author),
                quote=quote,
                start=start,
                at=at,
            )
        if window is None:
            raise UsageError(user_messages.DOCUMENT_GONE)
        return view_of(window, quote)


def readable_audiences(author: Author) -> tuple[str, ...] | None:
    """Return the audiences whose documents a person may open on the page; None for all."""
    return None if author.is_admin else audiences(CHANNEL, tenant_wide=True)


def view_of(window: Window, quote: str) -> DocumentView:
    """Return the view of a part of a document."""
    end = window.start + len(window.text)
    return DocumentView(
        id=window.document_id,
        title=visible(window.title or window.source),
        source=visible(window.source),
        url=window.source if window.source.startswith(("https://", "http://")) else "",
        at=iso_timestamp(window.fetched_at),
        segments=_segments(window, len(quote)),
        found=window.quote_start is not None,
        earlier=max(0, window.start - WINDOW_CHARS) if window.start else None,
        later=end if end < window.chars else None,
        has_pages=window.has_file,
    )


def _segments(window: Window, quote_chars: int) -> tuple[Segment, ...]:
    """Split the text where a page, a heading or the quote begins or ends."""
    start, end = window.start, window.start + len(window.text)
    quote = range(0)
    if window.quote_start is not None:
        quote = range(window.quote_start, window.quote_start + quote_chars)
    headings = {first: (last, depth) for first, last, depth in _headings(window)}
    cuts = {start, end, quote.start, quote.stop, *(page.start for page in window.pages)}
    cuts |= headings.keys() | {last for last, _ in headings.values()}
    pages = {page.start: page.page for page in window.pages}
    page = window.pages[0].page if window.pages and window.pages[0].start <= start else None
    segments: list[Segment] = []
    heading_end, depth = start, 0
    for first, last in pairwise(sorted(cut for cut in cuts if start <= cut <= end)):
        page = pages.get(first, page)
        heading_end, depth = headings.get(first, (heading_end, depth))
        piece = visible(window.text[first - start : last - start])
        segments.append(Segment(piece, page, first in quote, depth if first < heading_end else None))
    return tuple(segments)


def _headings(window: Window) -> Iterator[tuple[int, int, int]]:
    """Yield the start, the end and the depth of each heading that is a line of its own above its section.

    Other headings, such as the name of a file, are not in the text.
    """
    for section in window.sections:
        above = window.text[: section.start - window.start].rstrip()
        first = above.rfind("\n") + 1
        if above[first:].strip() == section.heading.strip():
            yield window.start + first, window.start + len(above), section.depth
