"""A site, page by page along its links: one host, so many pages, so deep, as robots.txt allows."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from knowledge.errors import SourceError
from knowledge.sources.files import NO_DOCUMENTS
from knowledge.sources.link_extraction import Links, links
from knowledge.sources.polite_fetch import ForbiddenError, SiteSource, Visits, host
from knowledge.sources.web_page import NoDocumentError, NotModified, OutsideError, Page, PageError, document
from knowledge.types import NOTHING_KNOWN, Failure, Fetched, Known, Unchanged

MAX_DEPTH = 8
"""Links between the first page and the deepest one."""
_NO_PAGES = NO_DOCUMENTS | {".css", ".js", ".json", ".xml", ".rss", ".atom"}


class CrawlSource(SiteSource):
    """Breadth first, so that what stands near the start comes first. Links to other hosts are not followed."""

    kind = "crawl"
    max_depth = MAX_DEPTH

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Fetched | Unchanged | Failure]:
        """Raises SourceError where the first page cannot be had, and after the last one where the site is not whole."""
        async with self._web as web:
            visits = self._visits(web)
            first = await visits.get_newer(self._start, known.documents.get(self._start))
            walk = _Walk(known, host(first.url), deque([(first.url, 0)]), {self._start, first.url})
            while walk.queue and walk.visited < self._max_pages:
                url, depth = walk.queue.popleft()
                walk.visited += 1
                try:
                    page = first if walk.visited == 1 else await self._page(visits, url, walk)
                except (NoDocumentError, OutsideError, ForbiddenError):
                    continue
                except PageError as error:
                    walk.unread += error.passing
                    yield Failure(url, str(error))
                    continue
                if page.url != url and page.url in walk.seen:
                    continue
                walk.seen.add(page.url)
                found = await _links(page, known)
                if depth < self.max_depth:
                    walk.follow(found.urls, depth + 1)
                self._found = min(walk.visited + len(walk.queue), self._max_pages)
                if isinstance(page, NotModified):
                    yield Unchanged(page.url)
                elif found.index:
                    yield document(page.url, page, memo=json.dumps(found.urls))
        if walk.queue:
            yield Failure(self.uri, _stopped(self._max_pages, len(walk.queue)))
        if walk.unread:
            raise SourceError(_incomplete(walk.unread))

    async def _page(self, visits: Visits, url: str, walk: _Walk) -> Page | NotModified:
        earlier = walk.known.documents.get(url)
        return await visits.get_newer(url, earlier, inside=lambda to: host(to) == walk.site)


@dataclass(slots=True)
class _Walk:
    """Where a crawl stands. ``unread`` counts pages that may be there another time."""

    known: Known
    site: tuple[str, int | None]
    queue: deque[tuple[str, int]]
    seen: set[str]
    visited: int = 0
    unread: int = 0

    def follow(self, urls: Sequence[str], depth: int) -> None:
        """Line up the links that were not seen before."""
        self.queue.extend((to, depth) for to in urls if to not in self.seen and _wanted(to, self.site))
        self.seen.update(urls)


async def _links(page: Page | NotModified, known: Known) -> Links:
    """What the page links to; of a page that did not change what it linked to before."""
    if isinstance(page, NotModified):
        memo = await known.memo(page.url)
        return Links(tuple(json.loads(memo)) if memo else ())
    found = await asyncio.to_thread(links, page.data, page.url, page.headers.get("x-robots-tag", ""))
    return found if _is_html(page) else Links((), found.index)


def _wanted(url: str, site: tuple[str, int | None]) -> bool:
    return host(url) == site and PurePosixPath(urlsplit(url).path).suffix.lower() not in _NO_PAGES


def _is_html(page: Page) -> bool:
    return page.content_type in ("text/html", "application/xhtml+xml")


def _stopped(pages: int, left: int) -> str:
    return f"the crawl stopped after {pages} pages with {left} more to go; ingest the site's sitemap or its parts"


def _incomplete(unread: int) -> str:
    return f"{unread} pages could not be read, so the site may not be whole; nothing was removed. Refresh it later."
