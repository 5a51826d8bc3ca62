"""Fetches web pages within limits of size, time and redirects. Every connection is checked as it is dialed.

Sends conditional requests, so that a page that did not change is not transferred again.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from knowledge.errors import SourceError
from knowledge.metadata import LAST_MODIFIED
from knowledge.sign_in_urls import is_sign_in
from knowledge.sources.checked_connection import CheckedConnector
from knowledge.sources.checked_resolver import AddressRefusedError, check_address
from knowledge.sources.page_rendering import PageRenderer, needs_rendering
from knowledge.sources.web_address import WebAddressError, require_web_address
from knowledge.types.source_items import Earlier, Fetched

MAX_REDIRECTS = 5
TIMEOUT_SECONDS = 30.0
USER_AGENT = "Parley (documents for a team chat bot)"
REFUSED_TYPES = ("image/", "audio/", "video/", "font/", "application/zip", "application/gzip", "application/x-tar")
"""Content types without text. ZIP archives with text are read only when a person uploads the file."""
_VALIDATORS = (("etag", "etag", "If-None-Match"), (LAST_MODIFIED, "last-modified", "If-Modified-Since"))
"""What identifies a version of a page: the key in the document's metadata, the response header, the request header."""

RedirectFilter = Callable[[str], bool]
"""Returns whether a redirect to this URL is followed."""


class PageError(SourceError):
    """A page cannot be fetched. ``status`` is the HTTP status, 0 if the server sent none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

    @property
    def gone(self) -> bool:  # type: ignore[override]
        """Whether the server says that the page no longer exists."""
        return self.status in (404, 410)

    @property
    def temporary(self) -> bool:
        """Whether fetching the page later may succeed."""
        return self.status in (0, 408, 429) or self.status >= 500


class PageTooLargeError(PageError):
    """The page is larger than the limit."""

    temporary = False


class NoTextError(PageError):
    """The content type of the page has no text."""


class AddressNotAllowedError(PageError):
    """The page, or what it redirects to, is at an address that may not be fetched from."""

    temporary = False


class RedirectRefusedError(PageError):
    """The page redirects to a URL that the caller does not allow."""


class SignInRequiredError(PageError):
    """The page redirects to a sign-in, so that what the server sends is not the page."""

    replaced = True


@dataclass(frozen=True, slots=True)
class Page:
    """A server's response. ``url`` is the URL after all redirects. The names of ``headers`` are in lower case."""

    url: str
    data: bytes
    content_type: str
    headers: Mapping[str, str]
    charset: str = ""
    """The charset that the server states; empty if it states none."""


@dataclass(frozen=True, slots=True)
class NotModified:
    """The page at ``url`` has not changed since it was last read (status 304)."""

    url: str


HTML_TYPES = ("text/html", "application/xhtml+xml")


class WebClient:
    """Fetches pages. Use it as an async context manager: it keeps connections open inside the context."""

    def __init__(
        self,
        *,
        fetch_allow: Sequence[str],
        max_bytes: int,
        seconds: float = TIMEOUT_SECONDS,
        renderer: PageRenderer | None = None,
    ) -> None:
        self._renderer = renderer
        self._allow = fetch_allow
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> WebClient:
        self._session = aiohttp.ClientSession(
            connector=CheckedConnector(self._allow),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._seconds),
            trust_env=False,
            headers={"User-Agent": USER_AGENT},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(
        self, url: str, *, may_redirect: RedirectFilter | None = None, refused: tuple[str, ...] = REFUSED_TYPES
    ) -> Page:
        """Fetch a page. Raises PageError; RedirectRefusedError for a redirect that ``may_redirect`` rejects."""
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
        """Fetch a page unless the server says that it has not changed since ``earlier``. Raises PageError."""
        try:
            page = await self._follow(url, earlier, may_redirect, refused)
            return await self._rendered(page) if isinstance(page, Page) else page
        except AddressRefusedError as error:
            raise AddressNotAllowedError(f"{error}.") from None
        except TimeoutError:
            raise PageError(f"{url} did not answer within {self._seconds:g} seconds. Try again later.") from None
        except (aiohttp.ClientError, OSError, ValueError, UnicodeError) as error:
            raise _connection_problem(url, error) from None

    async def _rendered(self, page: Page) -> Page:
        """Return the page as its scripts write it, if it has no other text and a renderer is there.

        Such a page has no version: its scripts may write another text though the page stays the same.
        """
        if self._renderer is None or page.content_type not in HTML_TYPES or not needs_rendering(page.data):
            return page
        drawn = await self._renderer.render(page.url, USER_AGENT)
        if drawn is None:
            return page
        headers = {name: value for name, value in page.headers.items() if name not in ("etag", "last-modified")}
        return replace(page, data=drawn, charset="utf-8", headers=headers)

    def require_allowed(self, url: str) -> None:
        """Raise PageError if the URL may not be fetched, as far as can be known without contacting anything."""
        try:
            check_url(url, self._allow)
        except AddressRefusedError as error:
            raise AddressNotAllowedError(f"{error}.") from None

    async def _follow(
        self, requested: str, earlier: Earlier | None, may_redirect: RedirectFilter | None, refused: tuple[str, ...]
    ) -> Page | NotModified:
        """Request the URL and follow its redirects."""
        assert self._session is not None, "WebClient is used outside of its context"
        url = requested
        for _ in range(MAX_REDIRECTS + 1):
            address = check_url(url, self._allow)
            conditions = _conditional_headers(requested, url, earlier)
            async with self._session.get(address, allow_redirects=False, headers=conditions) as response:
                if response.status == 304 and conditions:
                    return NotModified(url)
                if response.status not in (301, 302, 303, 307, 308):
                    return await self._read(requested, response, refused)
                url = urljoin(url, response.headers.get("Location", ""))
            if is_sign_in(url) and not is_sign_in(requested):
                raise SignInRequiredError(f"{requested} redirects to a sign-in. Give a page that needs none.")
            if may_redirect is not None and not may_redirect(url):
                raise RedirectRefusedError(f"{requested} redirects to {url}, which is on another host. Add that URL.")
        raise PageError(f"{requested} redirects more than {MAX_REDIRECTS} times. Give its final URL.")

    async def _read(self, requested: str, response: aiohttp.ClientResponse, refused: tuple[str, ...]) -> Page:
        """Read the body up to the size limit."""
        if response.status != 200:
            raise PageError(
                f"{requested} answered {response.status} {response.reason}. Check the URL.", response.status
            )
        content_type = response.content_type.lower()
        if content_type.startswith(refused):
            raise NoTextError(f"{requested} is {content_type}, which has no text to read. Give the URL of a page.")
        data = bytearray()
        async for part in response.content.iter_chunked(65_536):
            data += part
            if len(data) > self._max_bytes:
                raise PageTooLargeError(
                    f"{requested} is larger than {self._max_bytes // 1_000_000} MB. Raise PARLEY_MAX_FILE_MB to add it."
                )
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Page(str(response.url), bytes(data), content_type, headers, response.charset or "")


def check_url(url: str, allow: Sequence[str]) -> URL:
    """Return the normalized URL, without contacting anything.

    Raises PageError if it is not a web URL, and AddressRefusedError if its host is a private IP address.
    """
    try:
        address = require_web_address(url)
    except WebAddressError as error:
        raise AddressNotAllowedError(str(error)) from None
    host = address.raw_host or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return address
    check_address(host, host, allow)
    return address


def page_document(uri: str, page: Page, memo: str = "") -> Fetched:
    """Return the page as a document, with its version in the metadata for the next conditional request.

    If redirects led away from ``uri``, the metadata key ``at`` is the final URL.
    """
    metadata = {name: page.headers[header] for name, header, _ in _VALIDATORS if page.headers.get(header)}
    if page.url != uri:
        metadata["at"] = page.url
    content_type = f"{page.content_type}; charset={page.charset}" if page.charset else page.content_type
    return Fetched(uri, page.data, content_type=content_type, metadata=metadata, memo=memo)


def _conditional_headers(requested: str, url: str, earlier: Earlier | None) -> dict[str, str]:
    """Return the headers that ask for the page only if it changed; none while redirects lead to the final URL."""
    if earlier is None or earlier.metadata.get("at", requested) != url:
        return {}
    return {header: earlier.metadata[name] for name, _, header in _VALIDATORS if name in earlier.metadata}


def _connection_problem(url: str, error: Exception) -> PageError:
    """Describe the error in one line. A refused address that aiohttp's connector wrapped keeps its own message."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AddressRefusedError):
            return AddressNotAllowedError(f"{cause}.")
        cause = getattr(cause, "os_error", None) or cause.__cause__
    if isinstance(error, aiohttp.ClientConnectorError | socket.gaierror):
        return PageError(f"{url} cannot be reached. Check the URL and the network.")
    return PageError(f"{url} cannot be read ({type(error).__name__}). Check the URL.")
