"""What the owner of a site lets programs read (robots.txt), and how fast."""

from __future__ import annotations

from urllib.parse import urlsplit

from protego import Protego

from knowledge.sources.web_page import PageError, Web

NAME = "Parley"
MAX_BYTES = 500 * 1024
"""As much of a robots.txt as RFC 9309 asks a crawler to read."""
_NONE_ALLOWED = "User-agent: *\nDisallow: /"


def origin(url: str) -> str:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class Robots:
    """The rules of each site, fetched once. As RFC 9309 has it: a site without a robots.txt (4xx) allows everything,
    one whose server fails (5xx) nothing. Raises PageError where there is no answer at all."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._rules: dict[str, Protego] = {}

    async def allows(self, url: str) -> bool:
        return bool((await self._of(url)).can_fetch(url, NAME))

    async def delay(self, url: str) -> float:
        """Seconds that the site wants between two requests; 0 where it does not say."""
        return float((await self._of(url)).crawl_delay(NAME) or 0)

    async def _of(self, url: str) -> Protego:
        site = origin(url)
        if site not in self._rules:
            self._rules[site] = Protego.parse(await self._text(f"{site}/robots.txt"))
        return self._rules[site]

    async def _text(self, url: str) -> str:
        try:
            page = await self._web.get(url)
        except PageError as error:
            if error.status == 0:
                raise
            return "" if 400 <= error.status < 500 else _NONE_ALLOWED
        return page.data[:MAX_BYTES].decode("utf-8", "replace")
