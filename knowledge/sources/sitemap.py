"""The pages that a site lists in its sitemap, or in the sitemaps of an index; gzipped or not."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from xml.parsers import expat

from knowledge.errors import SourceError
from knowledge.sources.crawl import MAX_PAGES
from knowledge.sources.links import MAX_URL
from knowledge.sources.visits import PAUSE, Sleep, Visits, host
from knowledge.sources.web import PageError, Web, document
from knowledge.types import Failure, Fetched

MAX_UNPACKED = 50 * 1024 * 1024
"""A sitemap's largest size, by the sitemap protocol."""
MAX_SITEMAPS = 200
MAX_PLACES = 50_000
"""Addresses in one sitemap, by the sitemap protocol."""
MAX_NESTING = 20
_ANY_TYPE = ("image/", "audio/", "video/", "font/")


@dataclass(frozen=True, slots=True)
class Listed:
    """What one sitemap lists: pages, or further sitemaps where it is an index."""

    pages: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()


class SitemapSource:
    """Every page of the sitemap that is on the sitemap's own host, with and without ``www`` in front."""

    kind = "sitemap"

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
        self.uri = f"sitemap:{url}"
        self._start = url
        self._web = Web(fetch_allow=fetch_allow, max_bytes=max_bytes)
        self._max_pages = max_pages
        self._pause = pause
        self._sleep = sleep

    def count(self) -> int | None:
        return None

    async def fetch(self) -> AsyncIterator[Fetched | Failure]:
        """Raises SourceError where the sitemap cannot be had, and at the end where one of an index could not."""
        async with self._web as web:
            visits = Visits(web, pause=self._pause, sleep=self._sleep)
            urls, failures = await self._urls(visits)
            for failure in failures:
                yield failure
            for url in urls[: self._max_pages]:
                if _site(url) != _site(self._start):
                    yield Failure(url, "it is on another host than the sitemap; ingest it by its own address")
                    continue
                try:
                    page = await visits.get(url, inside=lambda to: _site(to) == _site(self._start))
                except PageError as error:
                    yield Failure(url, str(error))
                else:
                    yield document(url, page)
        if len(urls) > self._max_pages:
            left = len(urls) - self._max_pages
            yield Failure(self.uri, f"only the first {self._max_pages} pages were read, {left} more are listed")
        if failures:
            raise SourceError(f"{len(failures)} sitemaps of the index could not be read; nothing was removed.")

    async def _urls(self, visits: Visits) -> tuple[list[str], list[Failure]]:
        """Every listed page once, and each sitemap of an index that could not be read."""
        first = await self._listed(visits, self._start)
        pages = dict.fromkeys(first.pages)
        failures: list[Failure] = []
        for url in first.sitemaps[:MAX_SITEMAPS]:
            if len(pages) > self._max_pages:
                break
            try:
                pages |= dict.fromkeys((await self._listed(visits, url)).pages)
            except SourceError as error:
                failures.append(Failure(url, str(error)))
        return list(pages), failures

    async def _listed(self, visits: Visits, url: str) -> Listed:
        page = await visits.get(url, refused=_ANY_TYPE)
        return await asyncio.to_thread(listed, page.data, url)


class _Reader:
    """Reads a sitemap as a stream and keeps nothing of it but its places, so that no document can fill the memory."""

    def __init__(self) -> None:
        self.root = ""
        self.places: dict[tuple[str, ...], list[str]] = {("url", "loc"): [], ("sitemap", "loc"): []}
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
        places = self.places.get(tuple(self._path[1:]))
        if places is not None and len(places) < MAX_PLACES and self._text.strip():
            places.append(self._text.strip())
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
    return Listed(tuple(reader.places["url", "loc"]), tuple(reader.places["sitemap", "loc"]))


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
