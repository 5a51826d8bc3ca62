"""Source that reads the pages listed in a site's sitemap or sitemap index, gzipped or not."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace

from knowledge.errors import EmptySourceError, SourceError
from knowledge.sources.polite_fetch import PoliteFetcher
from knowledge.sources.shared_redirect_targets import RedirectEnds
from knowledge.sources.site_source import SiteSource, site_of
from knowledge.sources.sitemap_parser import Sitemap, SitemapEntry, parse_sitemap
from knowledge.sources.web_client import NotModified, PageError, RedirectFilter, page_document
from knowledge.text.counted_nouns import counted
from knowledge.types.source_items import NOTHING_KNOWN, Earlier, Failure, Fetched, Item, Known, Unchanged

MAX_SITEMAPS = 200
"""Sitemaps of an index that are read."""
_CHANGED = "lastmod"
"""The metadata key of the date of the last change that the sitemap gave for the stored version of a page."""
_OTHER_HOST = "it is on another host than the sitemap. Add it by its own URL."
_REFUSED_TYPES = ("image/", "audio/", "video/", "font/")


class SitemapSource(SiteSource):
    """Reads every page of the sitemap that is on the sitemap's own host, with or without ``www``."""

    kind = "sitemap"

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]:
        """Yield the listed pages.

        Raises SourceError if the sitemap cannot be read, and after the last page if a sitemap of an index could not.
        """
        async with self._client as client:
            fetcher = self._fetcher(client)
            pages, failures, unread = await self._list_pages(fetcher)
            if not pages and not failures:
                raise EmptySourceError(f"{self._start_url} lists no pages, so nothing was removed. Check the sitemap.")
            ends = RedirectEnds()
            self._found = min(len(pages), self._max_pages) + len(failures)
            for failure in failures:
                yield failure
            for entry in list(pages.values())[: self._max_pages]:
                item = await self._page(fetcher, entry, known.documents.get(entry.url))
                if not ends.is_waiting(item):
                    yield item
            for waited in ends.decided():
                yield waited
        if unread:
            yield Failure(self.uri, _unread_sitemaps(unread))
        if len(pages) > self._max_pages:
            left = len(pages) - self._max_pages
            yield Failure(
                self.uri,
                f"only the first {self._max_pages} pages were read, and {left} more are listed. "
                "Add the sitemaps of its parts.",
            )
        if failures:
            sitemaps = counted(len(failures), "sitemap")
            raise SourceError(f"{sitemaps} of the index could not be read. Nothing was removed. Refresh it later.")

    async def _page(
        self, fetcher: PoliteFetcher, entry: SitemapEntry, earlier: Earlier | None
    ) -> Fetched | Unchanged | Failure:
        if not self._is_own(entry.url):
            return Failure(entry.url, _OTHER_HOST)
        if earlier is not None and _is_known(entry, earlier):
            return Unchanged(entry.url)
        changed = {_CHANGED: entry.changed} if entry.changed else {}
        try:
            page = await fetcher.get_if_modified(
                entry.url,
                earlier,
                may_redirect=self._is_own,
            )
        except PageError as error:
            return Failure(entry.url, str(error), gone=error.gone, replaced=error.replaced)
        if isinstance(page, NotModified):
            return Unchanged(entry.url, changed)
        fetched = page_document(entry.url, page)
        return replace(fetched, metadata={**fetched.metadata, **changed})

    def _is_own(self, url: str) -> bool:
        """Return whether the URL is on the sitemap's own host, with or without ``www``."""
        return _site_without_www(url) == _site_without_www(self._start_url)

    async def _list_pages(self, fetcher: PoliteFetcher) -> tuple[dict[str, SitemapEntry], list[Failure], int]:
        """Return every listed page once, by URL, and a failure for each sitemap of an index that cannot be read.

        An index may list further indexes. The last value is the number of sitemaps that were left out.
        """
        first = await self._sitemap(fetcher, self._start_url, may_redirect=None)
        pages = {entry.url: entry for entry in first.pages}
        failures: list[Failure] = []
        waiting, seen = deque(first.sitemaps), {self._start_url}
        while waiting and len(seen) <= MAX_SITEMAPS and len(pages) <= self._max_pages:
            entry = waiting.popleft()
            if entry.url in seen:
                continue
            seen.add(entry.url)
            if not self._is_own(entry.url):
                failures.append(Failure(entry.url, _OTHER_HOST))
                continue
            try:
                listed = await self._sitemap(fetcher, entry.url, may_redirect=self._is_own)
                pages |= {page.url: page for page in listed.pages}
                waiting.extend(listed.sitemaps)
            except SourceError as error:
                failures.append(Failure(entry.url, str(error)))
        left = {entry.url for entry in waiting} - seen
        return pages, failures, 0 if len(pages) > self._max_pages else len(left)

    async def _sitemap(self, fetcher: PoliteFetcher, url: str, *, may_redirect: RedirectFilter | None) -> Sitemap:
        page = await fetcher.get(url, may_redirect=may_redirect, refused=_REFUSED_TYPES)
        return await asyncio.to_thread(parse_sitemap, page.data, url)


def _is_known(entry: SitemapEntry, earlier: Earlier) -> bool:
    """Return whether a page has not changed since it was stored, as far as the sitemap tells.

    A page is stored some time after it is read, when its whole site is. If it changed in between, only its date tells.
    """
    return entry.is_older_than(earlier.fetched_at) and earlier.metadata.get(_CHANGED, entry.changed) == entry.changed


def _unread_sitemaps(left: int) -> str:
    more = counted(left, "more sitemap")
    return f"only the first {MAX_SITEMAPS} sitemaps were read, and {more} of the index are left out. Add them by URL."


def _site_without_www(url: str) -> tuple[str, int | None]:
    host, port = site_of(url)
    return host.removeprefix("www."), port
