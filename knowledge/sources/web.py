"""A page of the web. The address that was checked is the one that is connected to, again at every redirect."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from knowledge.errors import SourceError
from knowledge.sources.addresses import may_fetch
from knowledge.types import Failure, Fetched

MAX_REDIRECTS = 5
SECONDS = 30.0
AGENT = "Parley (documents for a team chat bot)"
_REFUSED_TYPES = ("image/", "audio/", "video/", "font/", "application/zip", "application/gzip", "application/x-tar")


class AddressRefusedError(OSError):
    """The host's address may not be fetched from; an OSError so that it passes through the connector."""


class CheckedResolver(AbstractResolver):
    """Resolves once and hands out only addresses that may be fetched from."""

    def __init__(self, allow: Sequence[str]) -> None:
        self._allow = allow

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        results: list[ResolveResult] = []
        for kind, _, proto, _, place in found:
            address = str(place[0])
            check(host, address, self._allow)
            results.append(
                ResolveResult(
                    hostname=host, host=address, port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST
                )
            )
        return results

    async def close(self) -> None:
        return None


def check(host: str, address: str, allow: Sequence[str]) -> None:
    """Raises AddressRefusedError, naming the setting that would allow it."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if not may_fetch(host, parsed, allow):
        raise AddressRefusedError(
            f"{host} is at the private address {address}, which is not fetched from; "
            f"an operator may allow it with PARLEY_FETCH_ALLOW={host}"
        )


class UrlSource:
    """One page. A redirect keeps the address that was asked for as the document's name."""

    kind = "url"

    def __init__(self, url: str, *, fetch_allow: Sequence[str], max_bytes: int, seconds: float = SECONDS) -> None:
        self.uri = url
        self._allow = fetch_allow
        self._max_bytes = max_bytes
        self._seconds = seconds

    def count(self) -> int | None:
        return 1

    async def fetch(self) -> AsyncIterator[Fetched | Failure]:
        yield await self._page()

    async def _page(self) -> Fetched:
        timeout = aiohttp.ClientTimeout(total=self._seconds)
        connector = aiohttp.TCPConnector(resolver=CheckedResolver(self._allow), use_dns_cache=False)
        try:
            async with aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=timeout,
                trust_env=False,
                headers={"User-Agent": AGENT},
            ) as session:
                return await self._follow(session)
        except AddressRefusedError as error:
            raise SourceError(f"{error}.") from None
        except TimeoutError:
            raise SourceError(f"{self.uri} did not answer within {self._seconds:g} s; try again later.") from None
        except (aiohttp.ClientError, OSError, ValueError, UnicodeError) as error:
            raise SourceError(_unreachable(self.uri, error)) from None

    async def _follow(self, session: aiohttp.ClientSession) -> Fetched:
        url = self.uri
        for _ in range(MAX_REDIRECTS + 1):
            self._check_url(url)
            async with session.get(url, allow_redirects=False) as response:
                if response.status not in (301, 302, 303, 307, 308):
                    return await self._read(response)
                url = urljoin(url, response.headers.get("Location", ""))
        raise SourceError(f"{self.uri} redirects more than {MAX_REDIRECTS} times; give the final address.")

    def _check_url(self, url: str) -> None:
        """Literal addresses never reach the resolver, so they are checked here."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SourceError(f"{url} is no web address; it starts with http:// or https://.")
        if parts.username or parts.password:
            raise SourceError("An address with a name or password in it is not fetched; leave them out.")
        try:
            ipaddress.ip_address(parts.hostname)
        except ValueError:
            return
        check(parts.hostname, parts.hostname, self._allow)

    async def _read(self, response: aiohttp.ClientResponse) -> Fetched:
        if response.status != 200:
            raise SourceError(f"{self.uri} answered {response.status} {response.reason}; check the address.")
        content_type = response.content_type.lower()
        if content_type.startswith(_REFUSED_TYPES):
            raise SourceError(f"{self.uri} is {content_type}, which holds no text that can be read.")
        data = bytearray()
        async for piece in response.content.iter_chunked(65_536):
            data += piece
            if len(data) > self._max_bytes:
                raise SourceError(
                    f"{self.uri} is larger than {self._max_bytes // 2**20} MB; raise PARLEY_MAX_FILE_MB to take it."
                )
        return Fetched(self.uri, bytes(data), content_type=content_type)


def _unreachable(url: str, error: Exception) -> str:
    """One line; a refusal that the connector wrapped keeps its own words."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AddressRefusedError):
            return f"{seen}."
        seen = getattr(seen, "os_error", None) or seen.__cause__
    if isinstance(error, aiohttp.ClientConnectorError | socket.gaierror):
        return f"{url} cannot be reached; check the address and the network."
    return f"{url} cannot be read ({type(error).__name__}); check the address."
