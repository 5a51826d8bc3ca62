"""Parses sitemaps and sitemap indexes (XML, optionally gzipped) within limits. Does no I/O."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from xml.parsers import expat

from knowledge.errors import SourceError
from knowledge.sources.link_extraction import MAX_URL_CHARS

MAX_UNPACKED_BYTES = 50 * 1024 * 1024
"""The largest size that the sitemap protocol allows."""
MAX_ENTRIES = 50_000
"""URLs in one sitemap that the sitemap protocol allows."""
MAX_NESTING = 20
CLOCK_TOLERANCE = timedelta(minutes=10)
"""How far the site's clock and the time of storing may differ from the time of reading."""


@dataclass(frozen=True, slots=True)
class SitemapEntry:
    """A URL that a sitemap lists, and the date of its last change (``lastmod``); empty if the sitemap has none."""

    url: str
    changed: str = ""

    def is_older_than(self, read_at: datetime) -> bool:
        """Return whether the last change was before ``read_at``. A date without a time counts to the end of its day."""
        try:
            at = datetime.fromisoformat(self.changed)
        except ValueError:
            return False
        if len(self.changed) == len("2026-01-31"):
            at += timedelta(days=1)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)) + CLOCK_TOLERANCE <= read_at


@dataclass(frozen=True, slots=True)
class Sitemap:
    """The pages that a sitemap lists, and the sitemaps that a sitemap index lists."""

    pages: tuple[SitemapEntry, ...] = ()
    sitemaps: tuple[SitemapEntry, ...] = ()


class _SitemapReader:
    """Parses the XML as a stream and keeps only the entries, so that no document can fill the memory."""

    def __init__(self) -> None:
        self.root = ""
        self.entries: dict[str, list[SitemapEntry]] = {"url": [], "sitemap": []}
        self._entry = SitemapEntry("")
        self._path: list[str] = []
        self._text = ""
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._add_text

    def _refuse_doctype(self, *_: object) -> None:
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
                self._entry = replace(self._entry, url=self._text.strip())
            case ["url" | "sitemap", "lastmod"]:
                self._entry = replace(self._entry, changed=self._text.strip())
            case ["url" | "sitemap" as kind]:
                if self._entry.url and len(self.entries[kind]) < MAX_ENTRIES:
                    self.entries[kind].append(self._entry)
                self._entry = SitemapEntry("")
        self._path.pop()
        self._text = ""

    def _add_text(self, text: str) -> None:
        if len(self._text) < MAX_URL_CHARS:
            self._text += text


def parse_sitemap(data: bytes, url: str) -> Sitemap:
    """Parse a sitemap. Raises SourceError if it is not one, is damaged or too large, or declares entities."""
    reader = _SitemapReader()
    try:
        reader.parser.Parse(_unpack(data, url), True)
    except (expat.ExpatError, ValueError, LookupError):
        raise SourceError(f"{url} is not a valid sitemap. Crawl the site instead with crawl:URL.") from None
    if reader.root not in ("urlset", "sitemapindex"):
        raise SourceError(f"{url} is not a sitemap but <{reader.root[:40]}>. Crawl the site instead with crawl:URL.")
    return Sitemap(tuple(reader.entries["url"]), tuple(reader.entries["sitemap"]))


def _unpack(data: bytes, url: str) -> bytes:
    """Return the data, unpacked if it is gzipped. Raises SourceError if it is damaged or too large."""
    if data.startswith(b"\x1f\x8b"):
        unpacker = zlib.decompressobj(wbits=31)
        try:
            data = unpacker.decompress(data, MAX_UNPACKED_BYTES + 1)
        except zlib.error:
            raise SourceError(f"{url} is a broken gzip file. Try again later.") from None
    if len(data) > MAX_UNPACKED_BYTES:
        limit = MAX_UNPACKED_BYTES // 2**20
        raise SourceError(f"{url} is larger than {limit} MB, the limit for a sitemap. Crawl the site with crawl:URL.")
    return data
