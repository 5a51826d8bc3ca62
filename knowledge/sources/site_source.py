"""Base class of sources that read many pages of one site: the start URL, the limit of pages and polite fetching."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from knowledge.sources.page_rendering import PageRenderer
from knowledge.sources.polite_fetch import PAUSE_SECONDS, PoliteFetcher, Sleep
from knowledge.sources.web_address import WebAddressError, parse_web_address
from knowledge.sources.web_client import WebClient

MAX_PAGES = 1_000


def site_of(url: str) -> tuple[str, int | None]:
    """Return the host and port that are dialed for a URL, which identify a site.

    The port is None for http and https on their default ports, and -1 if the URL is not a web URL.
    """
    try:
        address = parse_web_address(url)
    except WebAddressError:
        return "", -1
    return address.raw_host or "", None if address.is_default_port() else address.port


class SiteSource:
    """Base class of CrawlSource and SitemapSource."""

    kind: str

    def __init__(
        self,
        url: str,
        *,
        fetch_allow: Sequence[str],
        max_bytes: int,
        max_pages: int = MAX_PAGES,
        pause: float = PAUSE_SECONDS,
        sleep: Sleep = asyncio.sleep,
        renderer: PageRenderer | None = None,
    ) -> None:
        self.uri = f"{self.kind}:{url}"
        self._start_url = url
        self._client = WebClient(fetch_allow=fetch_allow, max_bytes=max_bytes, renderer=renderer)
        self._max_pages = max_pages
        self._pause = pause
        self._sleep = sleep
        self._found: int | None = None

    def count(self) -> int | None:
        """Return the number of pages found so far, read or waiting; None before the first page is read."""
        return self._found

    def _fetcher(self, client: WebClient) -> PoliteFetcher:
        return PoliteFetcher(client, pause=self._pause, sleep=self._sleep)
