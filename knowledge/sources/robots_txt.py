"""Fetches and applies robots.txt: which URLs of a site a program may read, and how fast."""

from __future__ import annotations

from protego import Protego

from knowledge.sources.web_address import parse_web_address
from knowledge.sources.web_client import PageError, WebClient

ROBOT_NAME = "Parley"
MAX_BYTES = 500 * 1024
"""How much of a robots.txt RFC 9309 asks a crawler to read."""
_DISALLOW_ALL = "User-agent: *\nDisallow: /"


def origin(url: str) -> str:
    """Return the scheme, host and port of a URL as they are dialed. Raises WebAddressError."""
    return str(parse_web_address(url).origin())


class RobotsTxt:
    """The rules of each site, fetched once per site.

    By RFC 9309, a site without a robots.txt (status 4xx) allows everything, and one whose server fails (5xx) allows
    nothing. Raises PageError if the server does not respond at all.
    """

    def __init__(self, client: WebClient) -> None:
        self._client = client
        self._rules: dict[str, Protego] = {}

    async def allows(self, url: str) -> bool:
        """Return whether the site allows the URL to be read."""
        return bool((await self._site_rules(url)).can_fetch(url, ROBOT_NAME))

    async def delay(self, url: str) -> float:
        """Return the seconds that the site asks for between two requests; 0 if it does not say."""
        return float((await self._site_rules(url)).crawl_delay(ROBOT_NAME) or 0)

    async def _site_rules(self, url: str) -> Protego:
        site = origin(url)
        if site not in self._rules:
            self._rules[site] = Protego.parse(await self._fetch(f"{site}/robots.txt"))
        return self._rules[site]

    async def _fetch(self, url: str) -> str:
        try:
            page = await self._client.get(url)
        except PageError as error:
            if error.status == 0:
                raise
            return "" if 400 <= error.status < 500 else _DISALLOW_ALL
        return page.data[:MAX_BYTES].decode("utf-8", "replace")
