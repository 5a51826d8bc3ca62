"""Source that crawls a site: follows links within one host, up to a depth and a number of pages."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from knowledge.errors import SourceError
from knowledge.sources.file_selection import SKIPPED_EXTENSIONS
from knowledge.sources.link_extraction import Links, extract_links
from knowledge.sources.polite_fetch import PoliteFetcher, RobotsDisallowedError
from knowledge.sources.site_source import SiteSource, site_of
from knowledge.sources.web_client import (
    NoTextError,
    NotModified,
    Page,
    PageError,
    RedirectRefusedError,
    page_document,
)
from knowledge.text.counted_nouns import counted
from knowledge.types.source_items import NOTHING_KNOWN, Failure, Fetched, Known, Unchanged

MAX_DEPTH = 8
"""Links between the first page and the deepest one."""
_NOT_PAGES = SKIPPED_EXTENSIONS | {".css", ".js", ".json", ".xml", ".rss", ".atom"}


class CrawlSource(SiteSource):
    """Crawls breadth first, so that pages near the start come first. Links to other hosts are not followed."""

    kind = "crawl"
    max_depth = MAX_DEPTH

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Fetched | Unchanged | Failure]:
        """Yield the pages of the site.

        Raises SourceError if the first page cannot be read, and after the last page if any page was temporarily
        unavailable, because then pages that are missing may still exist.
        """
        async with self._client as client:
            fetcher = self._fetcher(client)
            first = await fetcher.get_if_modified(self._start_url, known.documents.get(self._start_url))
            crawl = _Crawl(known, site_of(first.url), deque([(first.url, 0)]), {self._start_url, first.url})
            while crawl.queue and crawl.visited < self._max_pages:
                url, depth = crawl.queue.popleft()
                crawl.visited += 1
                try:
                    page = first if crawl.visited == 1 else await self._page(fetcher, url, crawl)
                except (NoTextError, RedirectRefusedError, RobotsDisallowedError):
                    continue
                except PageError as error:
                    crawl.unavailable += error.temporary
                    yield Failure(url, str(error), gone=error.gone, replaced=error.replaced)
                    continue
                if page.url != url and page.url in crawl.seen:
                    continue
                crawl.seen.add(page.url)
                links = await _links(page, known)
                if depth < self.max_depth:
                    crawl.enqueue(links.urls, depth + 1)
                self._found = min(crawl.visited + len(crawl.queue), self._max_pages)
                if isinstance(page, NotModified):
                    yield Unchanged(page.url)
                elif links.index:
                    yield page_document(page.url, page, memo=json.dumps(links.urls))
        if crawl.queue:
            yield Failure(self.uri, _page_limit_reached(self._max_pages, len(crawl.queue)))
        if crawl.unavailable:
            raise SourceError(_pages_unavailable(crawl.unavailable))

    async def _page(self, fetcher: PoliteFetcher, url: str, crawl: _Crawl) -> Page | NotModified:
        earlier = crawl.known.documents.get(url)
        return await fetcher.get_if_modified(url, earlier, may_redirect=lambda to: site_of(to) == crawl.site)


@dataclass(slots=True)
class _Crawl:
    """The state of a crawl. ``unavailable`` counts pages that failed for a temporary reason."""

    known: Known
    site: tuple[str, int | None]
    queue: deque[tuple[str, int]]
    seen: set[str]
    visited: int = 0
    unavailable: int = 0

    def enqueue(self, urls: Sequence[str], depth: int) -> None:
        """Add the pages of this site that were not seen before to the queue."""
        self.queue.extend((url, depth) for url in urls if url not in self.seen and _is_page_of(url, self.site))
        self.seen.update(urls)


async def _links(page: Page | NotModified, known: Known) -> Links:
    """Return the links of a page. The links of a page that did not change come from its stored memo."""
    if isinstance(page, NotModified):
        memo = await known.memo(page.url)
        return Links(tuple(json.loads(memo)) if memo else ())
    links = await asyncio.to_thread(extract_links, page.data, page.url, page.headers.get("x-robots-tag", ""))
    return links if _is_html(page) else Links((), links.index)


def _is_page_of(url: str, site: tuple[str, int | None]) -> bool:
    return site_of(url) == site and PurePosixPath(urlsplit(url).path).suffix.lower() not in _NOT_PAGES


def _is_html(page: Page) -> bool:
    return page.content_type in ("text/html", "application/xhtml+xml")


def _page_limit_reached(pages: int, left: int) -> str:
    read = counted(pages, "page")
    return f"the crawl stopped after {read} with {left} more to read. Add the site's sitemap or parts of it."


def _pages_unavailable(count: int) -> str:
    pages = counted(count, "page")
    return f"{pages} could not be read, so pages may be missing. Nothing was removed. Refresh the site later."
