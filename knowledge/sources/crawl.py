"""A site, page by page along its links: one host, so many pages, so deep, as robots.txt allows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from knowledge.errors import SourceError
from knowledge.sources.files import NO_DOCUMENTS
from knowledge.sources.links import links
from knowledge.sources.visits import PAUSE, ForbiddenError, Sleep, Visits, host
from knowledge.sources.web import NoDocumentError, OutsideError, Page, PageError, Web, document
from knowledge.types import Failure, Fetched

MAX_PAGES = 1_000
MAX_DEPTH = 8
"""Links between the first page and the deepest one."""
_NO_PAGES = NO_DOCUMENTS | {".css", ".js", ".json", ".xml", ".rss", ".atom"}


class CrawlSource:
    """Breadth first, so that what stands near the start comes first. Links to other hosts are not followed."""

    kind = "crawl"

    def __init__(
        self,
        url: str,
        *,
        fetch_allow: Sequence[str],
        max_bytes: int,
        max_pages: int = MAX_PAGES,
        max_depth: int = MAX_DEPTH,
        pause: float = PAUSE,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.uri = f"crawl:{url}"
        self._start = url
        self._web = Web(fetch_allow=fetch_allow, max_bytes=max_bytes)
        self._max_pages = max_pages
        self._max_depth = max_depth
        self._pause = pause
        self._sleep = sleep

    def count(self) -> int | None:
        return None

    async def fetch(self) -> AsyncIterator[Fetched | Failure]:
        """Raises SourceError where the first page cannot be had, and after the last one where the site is not whole."""
        async with self._web as web:
            visits = Visits(web, pause=self._pause, sleep=self._sleep)
            first = await visits.get(self._start)
            site = host(first.url)
            queue = deque([(first.url, 0)])
            seen = {self._start, first.url}
            visited = unread = 0
            while queue and visited < self._max_pages:
                url, depth = queue.popleft()
                visited += 1
                try:
                    page = first if visited == 1 else await visits.get(url, inside=lambda to: host(to) == site)
                except (NoDocumentError, OutsideError, ForbiddenError):
                    continue
                except PageError as error:
                    unread += error.passing
                    yield Failure(url, str(error))
                    continue
                if page.url != url and page.url in seen:
                    continue
                seen.add(page.url)
                found = await asyncio.to_thread(links, page.data, page.url, page.headers.get("x-robots-tag", ""))
                if found.index:
                    yield document(page.url, page)
                if depth < self._max_depth and _is_html(page):
                    queue.extend((to, depth + 1) for to in found.urls if to not in seen and _wanted(to, site))
                    seen.update(found.urls)
        if queue:
            yield Failure(self.uri, _stopped(self._max_pages, len(queue)))
        if unread:
            raise SourceError(_incomplete(unread))


def _wanted(url: str, site: tuple[str, int | None]) -> bool:
    return host(url) == site and PurePosixPath(urlsplit(url).path).suffix.lower() not in _NO_PAGES


def _is_html(page: Page) -> bool:
    return page.content_type in ("text/html", "application/xhtml+xml")


def _stopped(pages: int, left: int) -> str:
    return f"the crawl stopped after {pages} pages with {left} more to go; ingest the site's sitemap or its parts"


def _incomplete(unread: int) -> str:
    return f"{unread} pages could not be read, so the site may not be whole; nothing was removed. Refresh it later."
