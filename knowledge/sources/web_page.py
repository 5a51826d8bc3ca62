"""A page of the web. The address that was checked is the one that is connected to, again at every redirect."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from knowledge.errors import SourceError
from knowledge.sources.address_policy import may_fetch
from knowledge.types import NOTHING_KNOWN, Earlier, Fetched, Known, Unchanged

MAX_REDIRECTS = 5
SECONDS = 30.0
AGENT = "Parley (documents for a team chat bot)"
REFUSED_TYPES = ("image/", "audio/", "video/", "font/", "application/zip", "application/gzip", "application/x-tar")
"""Types of what holds no text; the zipped ones among them are read where somebody sends the file itself."""
_VERSIONS = (("etag", "etag", "If-None-Match"), ("last_modified", "last-modified", "If-Modified-Since"))
"""What tells a version: its name with the document, the server's header, the header that asks for another version."""


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


class PageError(SourceError):
    """One page cannot be had; ``status`` is the server's, 0 where it gave none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

    @property
    def passing(self) -> bool:
        """Whether the page may well be there another time."""
        return self.status in (0, 408, 429) or self.status >= 500


class TooLargeError(PageError):
    """There is more of it than may be read."""

    passing = False


class NoDocumentError(PageError):
    """There is something at the address, but no text."""


class OutsideError(PageError):
    """The page sends elsewhere than where its reader wants to stay."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a server answered; ``url`` is where it was in the end. The names of ``headers`` are in lower case."""

    url: str
    data: bytes
    content_type: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NotModified:
    """The page at ``url`` is as it was when it was read before (304)."""

    url: str


class Web:
    """Gets pages within limits. Use it as an async context manager: it keeps connections open meanwhile."""

    def __init__(self, *, fetch_allow: Sequence[str], max_bytes: int, seconds: float = SECONDS) -> None:
        self._allow = fetch_allow
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Web:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=CheckedResolver(self._allow), use_dns_cache=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._seconds),
            trust_env=False,
            headers={"User-Agent": AGENT},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(
        self, url: str, *, inside: Callable[[str], bool] | None = None, refused: tuple[str, ...] = REFUSED_TYPES
    ) -> Page:
        """The page; redirects are followed as long as they stay ``inside``. Raises PageError."""
        found = await self.get_newer(url, None, inside=inside, refused=refused)
        assert isinstance(found, Page), "no version was named"
        return found

    async def get_newer(
        self,
        url: str,
        earlier: Earlier | None,
        *,
        inside: Callable[[str], bool] | None = None,
        refused: tuple[str, ...] = REFUSED_TYPES,
    ) -> Page | NotModified:
        """The page, unless the server says that it is the one that was read ``earlier``. Raises PageError."""
        try:
            return await self._follow(url, earlier, inside, refused)
        except AddressRefusedError as error:
            raise PageError(f"{error}.") from None
        except TimeoutError:
            raise PageError(f"{url} did not answer within {self._seconds:g} s; try again later.") from None
        except (aiohttp.ClientError, OSError, ValueError, UnicodeError) as error:
            raise PageError(_unreachable(url, error)) from None

    async def _follow(
        self, asked: str, earlier: Earlier | None, inside: Callable[[str], bool] | None, refused: tuple[str, ...]
    ) -> Page | NotModified:
        assert self._session is not None, "Web is used outside of its context"
        url = asked
        for _ in range(MAX_REDIRECTS + 1):
            check_url(url, self._allow)
            version = _version(asked, url, earlier)
            async with self._session.get(url, allow_redirects=False, headers=version) as response:
                if response.status == 304 and version:
                    return NotModified(url)
                if response.status not in (301, 302, 303, 307, 308):
                    return await self._read(asked, response, refused)
                url = urljoin(url, response.headers.get("Location", ""))
            if inside is not None and not inside(url):
                raise OutsideError(f"{asked} sends on to {url}, which is on another host.")
        raise PageError(f"{asked} redirects more than {MAX_REDIRECTS} times; give the final address.")

    async def _read(self, asked: str, response: aiohttp.ClientResponse, refused: tuple[str, ...]) -> Page:
        if response.status != 200:
            raise PageError(
                f"{asked} answered {response.status} {response.reason}; check the address.", response.status
            )
        content_type = response.content_type.lower()
        if content_type.startswith(refused):
            raise NoDocumentError(f"{asked} is {content_type}, which holds no text that can be read.")
        data = bytearray()
        async for piece in response.content.iter_chunked(65_536):
            data += piece
            if len(data) > self._max_bytes:
                raise TooLargeError(
                    f"{asked} is larger than {self._max_bytes // 1_000_000} MB; raise PARLEY_MAX_FILE_MB to take it."
                )
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Page(str(response.url), bytes(data), content_type, headers)


def check_url(url: str, allow: Sequence[str]) -> None:
    """Raises PageError over anything but a web address, and AddressRefusedError over a private literal one.

    Literal addresses never reach the resolver, so they are checked here.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PageError(f"{url} is no web address; it starts with http:// or https://.")
    if parts.username or parts.password:
        raise PageError("An address with a name or password in it is not fetched; leave them out.")
    try:
        ipaddress.ip_address(parts.hostname)
    except ValueError:
        return
    check(parts.hostname, parts.hostname, allow)


def document(uri: str, page: Page, memo: str = "") -> Fetched:
    """The page as a document, with what tells its version; ``at`` is where it was found, where that is elsewhere."""
    kept = {name: page.headers[header] for name, header, _ in _VERSIONS if page.headers.get(header)}
    if page.url != uri:
        kept["at"] = page.url
    return Fetched(uri, page.data, content_type=page.content_type, metadata=kept, memo=memo)


def _version(asked: str, url: str, earlier: Earlier | None) -> dict[str, str]:
    """The headers that spare the body of a page that did not change; none on the way to where it was found."""
    if earlier is None or earlier.metadata.get("at", asked) != url:
        return {}
    return {header: earlier.metadata[name] for name, _, header in _VERSIONS if name in earlier.metadata}


class UrlSource:
    """One page. A redirect keeps the address that was asked for as the document's name."""

    kind = "url"

    def __init__(self, url: str, *, fetch_allow: Sequence[str], max_bytes: int, seconds: float = SECONDS) -> None:
        self.uri = url
        self._web = Web(fetch_allow=fetch_allow, max_bytes=max_bytes, seconds=seconds)

    def count(self) -> int | None:
        return 1

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Fetched | Unchanged]:
        async with self._web as web:
            page = await web.get_newer(self.uri, known.documents.get(self.uri))
            yield Unchanged(self.uri) if isinstance(page, NotModified) else document(self.uri, page)


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
