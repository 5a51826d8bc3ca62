"""Fetches pages of a site politely: respects robots.txt, pauses between requests, and retries once if it is busy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from knowledge.sources.robots_txt import RobotsTxt
from knowledge.sources.web_client import REFUSED_TYPES, NotModified, Page, PageError, RedirectFilter, WebClient
from knowledge.types.source_items import Earlier

PAUSE_SECONDS = 0.2
"""Pause between two requests, unless robots.txt asks for a longer one."""
MAX_PAUSE_SECONDS = 10.0
_BUSY_STATUSES = (429, 503)

Sleep = Callable[[float], Awaitable[None]]


class RobotsDisallowedError(PageError):
    """The site's robots.txt does not allow the page to be read."""


class PoliteFetcher:
    """Fetches one page at a time."""

    def __init__(self, client: WebClient, *, pause: float = PAUSE_SECONDS, sleep: Sleep = asyncio.sleep) -> None:
        self._client = client
        self._robots = RobotsTxt(client)
        self._pause = pause
        self._sleep = sleep
        self._has_fetched = False

    async def get(
        self, url: str, *, may_redirect: RedirectFilter | None = None, refused: tuple[str, ...] = REFUSED_TYPES
    ) -> Page:
        """Fetch a page. Raises PageError; RobotsDisallowedError if robots.txt does not allow it."""
        page = await self.get_if_modified(url, None, may_redirect=may_redirect, refused=refused)
        assert isinstance(page, Page), "the request names no version"
        return page

    async def get_if_modified(
        self,
        url: str,
        earlier: Earlier | None,
        *,
        may_redirect: RedirectFilter | None = None,
        refused: tuple[str, ...] = REFUSED_TYPES,
    ) -> Page | NotModified:
        """Fetch a page unless it has not changed since ``earlier``. Raises PageError, RobotsDisallowedError."""
        self._client.require_allowed(url)
        if not await self._robots.allows(url):
            raise RobotsDisallowedError(
                f"The site's robots.txt does not allow programs to read {url}. Add other pages."
            )
        pause = min(max(self._pause, await self._robots.delay(url)), MAX_PAUSE_SECONDS)
        if self._has_fetched:
            await self._sleep(pause)
        self._has_fetched = True
        try:
            page = await self._client.get_if_modified(url, earlier, may_redirect=may_redirect, refused=refused)
        except PageError as error:
            if error.status not in _BUSY_STATUSES:
                raise
            await self._sleep(MAX_PAUSE_SECONDS)
            page = await self._client.get_if_modified(url, earlier, may_redirect=may_redirect, refused=refused)
        if page.url != url and not await self._robots.allows(page.url):
            raise RobotsDisallowedError(
                f"{url} redirects to {page.url}, which the site's robots.txt does not allow programs to read. "
                "Add other pages."
            )
        return page
