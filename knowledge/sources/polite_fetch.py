"""Polite visits to a site: robots.txt, a pause between requests, one more try where the server asks for patience."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from knowledge.sources.robots import Robots
from knowledge.sources.web_page import REFUSED_TYPES, NotModified, Page, PageError, Web
from knowledge.types import Earlier

PAUSE = 0.2
"""Seconds between two requests, where robots.txt does not ask for more."""
LONGEST_PAUSE = 10.0
MAX_PAGES = 1_000
_BUSY = (429, 503)

Sleep = Callable[[float], Awaitable[None]]
Inside = Callable[[str], bool]


class ForbiddenError(PageError):
    """The site's robots.txt does not allow it."""


class Visits:
    """Gets one page after the other."""

    def __init__(self, web: Web, *, pause: float = PAUSE, sleep: Sleep = asyncio.sleep) -> None:
        self._web = web
        self._robots = Robots(web)
        self._pause = pause
        self._sleep = sleep
        self._begun = False

    async def get(self, url: str, *, inside: Inside | None = None, refused: tuple[str, ...] = REFUSED_TYPES) -> Page:
        """Raises PageError; ForbiddenError where the site does not want programs there."""
        found = await self.get_newer(url, None, inside=inside, refused=refused)
        assert isinstance(found, Page), "no version was named"
        return found

    async def get_newer(
        self,
        url: str,
        earlier: Earlier | None,
        *,
        inside: Inside | None = None,
        refused: tuple[str, ...] = REFUSED_TYPES,
    ) -> Page | NotModified:
        """The page, unless it is the one that was read ``earlier``. Raises PageError, ForbiddenError."""
        if not await self._robots.allows(url):
            raise ForbiddenError(f"{url} is closed to programs by the site's robots.txt.")
        pause = min(max(self._pause, await self._robots.delay(url)), LONGEST_PAUSE)
        if self._begun:
            await self._sleep(pause)
        self._begun = True
        try:
            page = await self._web.get_newer(url, earlier, inside=inside, refused=refused)
        except PageError as error:
            if error.status not in _BUSY:
                raise
            await self._sleep(LONGEST_PAUSE)
            page = await self._web.get_newer(url, earlier, inside=inside, refused=refused)
        if page.url != url and not await self._robots.allows(page.url):
            raise ForbiddenError(f"{url} sends on to {page.url}, which the site's robots.txt closes to programs.")
        return page


def host(url: str) -> tuple[str, int | None]:
    """What makes two addresses of one site: host and port; http and https are one."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return (parts.hostname or "").rstrip(".").lower(), None if port == default else port


class SiteSource:
    """What a crawl and a sitemap have in common: where they begin, how they fetch, and how many pages they read."""

    kind: str

    def __init__(
        self,
        url: str,
        *,
        fetch_allow: Sequence[str],
        max_bytes: int,
        max_pages: int = MAX_PAGES,
        pause: float = PAUSE,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.uri = f"{self.kind}:{url}"
        self._start = url
        self._web = Web(fetch_allow=fetch_allow, max_bytes=max_bytes)
        self._max_pages = max_pages
        self._pause = pause
        self._sleep = sleep
        self._found: int | None = None

    def count(self) -> int | None:
        """Pages found so far: read, and waiting to be; None before anything was read."""
        return self._found

    def _visits(self, web: Web) -> Visits:
        return Visits(web, pause=self._pause, sleep=self._sleep)
