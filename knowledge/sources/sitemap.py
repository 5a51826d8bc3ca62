"""The pages that a site lists in its sitemap, or in the sitemaps of an index; gzipped or not."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from xml.parsers import expat

from knowledge.errors import SourceError
from knowledge.sources.link_extraction import MAX_URL
from knowledge.sources.polite_fetch import SiteSource, Visits, host
from knowledge.sources.web_page import NotModified, PageError, document
from knowledge.types import NOTHING_KNOWN, Earlier, Failure, Fetched, Known, Unchanged

MAX_UNPACKED = 50 * 1024 * 1024
"""A sitemap's largest size, by the sitemap protocol."""
MAX_SITEMAPS = 200
MAX_PLACES = 50_000
"""Addresses in one sitemap, by the sitemap protocol."""
MAX_NESTING = 20
CLOCKS = timedelta(minutes=10)
"""How far the site's clock and the moment of storing may be from the moment of reading."""
_ANY_TYPE = ("image/", "audio/", "video/", "font/")


@dataclass(frozen=True, slots=True)
class Entry:
    """A place that a sitemap lists, and when it says that what is there was changed last (``lastmod``)."""

    url: str
    changed: str = ""

    def older_than(self, read: datetime) -> bool:
        """Whether what is there was changed for the last time before it was ``read``. A day counts to its end."""
        try:
            at = datetime.fromisoformat(self.changed)
        except ValueError:
            return False
        if len(self.changed) == len("2026-01-31"):
            at += timedelta(days=1)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)) + CLOCKS <= read


@dataclass(frozen=True, slots=True)
class Listed:
    """What one sitemap lists: pages, or further sitemaps where it is an index."""

    pages: tuple[Entry, ...] = ()
    sitemaps: tuple[Entry, ...] = ()


class SitemapSource(SiteSource):
    """Every page of the sitemap that is on the sitemap's own host, with and without ``www`` in front."""

    kind = "sitemap"

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Fetched | Unchanged | Failure]:
        """Raises SourceError where the sitemap cannot be had, and at the end where one of an index could not."""
        async with self._web as web:
            visits = self._visits(web)
            pages, failures = await self._pages(visits)
            self._found = min(len(pages), self._max_pages) + len(failures)
            for failure in failures:
                yield failure
            for entry in list(pages.values())[: self._max_pages]:
                yield await self._page(visits, entry, known.documents.get(entry.url))
        if len(pages) > self._max_pages:
            left = len(pages) - self._max_pages
            yield Failure(self.uri, f"only the first {self._max_pages} pages were read, {left} more are listed")
        if failures:
            raise SourceError(f"{len(failures)} sitemaps of the index could not be read; nothing was removed.")

    async def _page(self, visits: Visits, entry: Entry, earlier: Earlier | None) -> Fetched | Unchanged | Failure:
        if _site(entry.url) != _site(self._start):
            return Failure(entry.url, "it is on another host than the sitemap; ingest it by its own address")
        if earlier is not None and entry.older_than(earlier.fetched_at):
            return Unchanged(entry.url)
        try:
            page = await visits.get_newer(entry.url, earlier, inside=lambda to: _site(to) == _site(self._start))
        except PageError as error:
            return Failure(entry.url, str(error))
        return Unchanged(entry.url) if isinstance(page, NotModified) else document(entry.url, page)

    async def _pages(self, visits: Visits) -> tuple[dict[str, Entry], list[Failure]]:
        """Every listed page once, and each sitemap of an index that could not be read."""
        first = await self._listed(visits, self._start)
        pages = {entry.url: entry for entry in first.pages}
        failures: list[Failure] = []
        for entry in first.sitemaps[:MAX_SITEMAPS]:
            if len(pages) > self._max_pages:
                break
            try:
                pages |= {page.url: page for page in (await self._listed(visits, entry.url)).pages}
            except SourceError as error:
                failures.append(Failure(entry.url, str(error)))
        return pages, failures

    async def _listed(self, visits: Visits, url: str) -> Listed:
        page = await visits.get(url, refused=_ANY_TYPE)
        return await asyncio.to_thread(listed, page.data, url)


class _Reader:
    """Reads a sitemap as a stream and keeps nothing of it but its places, so that no document can fill the memory."""

    def __init__(self) -> None:
        self.root = ""
        self.places: dict[str, list[Entry]] = {"url": [], "sitemap": []}
        self._place = Entry("")
        self._path: list[str] = []
        self._text = ""
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._say

    def _refuse(self, *_: object) -> None:
        raise ValueError("a sitemap declares no document type")

    def _start(self, name: str, _: object) -> None:
        if len(self._path) > MAX_NESTING:
            raise ValueError("nested too deep")
        self._path.append(name.rpartition(" ")[2])
        self.root = self.root or self._path[0]
        self._text = ""

    def _end(self, _: str) -> None:
        match self._path[1:]:
            case ["url" | "sitemap", "loc"] if self._text.strip():
                self._place = replace(self._place, url=self._text.strip())
            case ["url" | "sitemap", "lastmod"]:
                self._place = replace(self._place, changed=self._text.strip())
            case ["url" | "sitemap" as kind]:
                if self._place.url and len(self.places[kind]) < MAX_PLACES:
                    self.places[kind].append(self._place)
                self._place = Entry("")
        self._path.pop()
        self._text = ""

    def _say(self, text: str) -> None:
        if len(self._text) < MAX_URL:
            self._text += text


def listed(data: bytes, url: str) -> Listed:
    """What a sitemap lists. Raises SourceError: no sitemap, broken, too large, with entities."""
    reader = _Reader()
    try:
        reader.parser.Parse(_unpacked(data, url), True)
    except (expat.ExpatError, ValueError, LookupError):
        raise SourceError(f"{url} is no sitemap that can be read; ingest crawl:ADDRESS instead.") from None
    if reader.root not in ("urlset", "sitemapindex"):
        raise SourceError(f"{url} is no sitemap but <{reader.root[:40]}>; ingest crawl:ADDRESS instead.")
    return Listed(tuple(reader.places["url"]), tuple(reader.places["sitemap"]))


def _unpacked(data: bytes, url: str) -> bytes:
    if data.startswith(b"\x1f\x8b"):
        unpacker = zlib.decompressobj(wbits=31)
        try:
            data = unpacker.decompress(data, MAX_UNPACKED + 1)
        except zlib.error:
            raise SourceError(f"{url} is a broken gzip file; try again later.") from None
    if len(data) > MAX_UNPACKED:
        raise SourceError(f"{url} is larger than the {MAX_UNPACKED // 2**20} MB that a sitemap may have.")
    return data


def _site(url: str) -> tuple[str, int | None]:
    name, port = host(url)
    return name.removeprefix("www."), port
