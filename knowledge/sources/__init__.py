"""Where documents come from. To add one: a class with ``uri``, ``kind``, ``count`` and ``fetch``, and a line here."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from knowledge.errors import SourceError
from knowledge.ports import Source
from knowledge.sources.crawl import CrawlSource
from knowledge.sources.files import FileSource, FolderSource, UploadSource, open_path
from knowledge.sources.git import GitSource
from knowledge.sources.sitemap import SitemapSource
from knowledge.sources.web_page import UrlSource

__all__ = [
    "CrawlSource",
    "FileSource",
    "FolderSource",
    "GitSource",
    "OpenChannel",
    "SitemapSource",
    "UploadSource",
    "UrlSource",
    "open_source",
]

_TERMINAL_ONLY = (
    "Files of the server are read from the terminal only (parley ingest PATH). "
    "Here, give an address with https://, or attach the file."
)
_SITEMAP = re.compile(r"sitemap[^/]*\.xml(\.gz)?$", re.IGNORECASE)
_SSH = re.compile(r"[^/\s]+@[^/\s]+:")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


OpenChannel = Callable[[str, str], Source]
"""From platform and channel id to the source of its history. Raises SourceError."""


def open_source(
    spec: str, *, fetch_allow: Sequence[str], max_bytes: int, files: bool, channel: OpenChannel | None = None
) -> Source:
    """The source that ``spec`` names: an address; ``crawl:``, ``sitemap:`` or ``git:`` and an address; where ``files``
    allows, a path of this machine or ``git:`` and one; with ``channel``, ``slack:`` or ``discord:`` and an id.

    ``fetch_allow`` are hosts, addresses and networks that may be fetched from though they are private. Nothing is
    read yet. Raises SourceError.
    """
    spec = spec.strip()
    if not spec:
        raise SourceError("Name what to read: an address with https://, or a path.")
    if spec.startswith("upload:"):
        raise SourceError("That document was uploaded, so it cannot be fetched again; upload it anew.")
    kind, _, place = spec.partition(":")
    if kind in ("slack", "discord"):
        return _channel(kind, place, channel)
    if kind in ("crawl", "sitemap"):
        return _site(kind, web_address(place, spec), fetch_allow, max_bytes)
    if kind == "git" and not _SCHEME.match(spec):
        return _repository(place, fetch_allow, max_bytes, files)
    if _SCHEME.match(spec):
        if not spec.lower().startswith(("http://", "https://")):
            raise SourceError(f"{spec} cannot be fetched; give an address with http:// or https://.")
        if urlsplit(spec).path.endswith(".git"):
            return GitSource(spec, fetch_allow=fetch_allow, max_bytes=max_bytes)
        if _SITEMAP.search(urlsplit(spec).path):
            return SitemapSource(spec, fetch_allow=fetch_allow, max_bytes=max_bytes)
        return UrlSource(spec, fetch_allow=fetch_allow, max_bytes=max_bytes)
    if not files:
        raise SourceError(_TERMINAL_ONLY)
    return open_path(spec, max_bytes=max_bytes)


def _channel(platform: str, channel_id: str, opened: OpenChannel | None) -> Source:
    if opened is None:
        raise SourceError("A channel is named in the chat by its own mention: /ingest #channel.")
    if not re.fullmatch(r"[A-Z0-9]{1,32}", channel_id):
        raise SourceError(f"{platform}:{channel_id} is no channel; write {platform}: and the channel's id.")
    return opened(platform, channel_id)


def web_address(place: str, spec: str) -> str:
    """What stands behind ``crawl:`` and the like, as Slack may have dressed it up. Raises SourceError."""
    address = place.strip().strip("<>").split("|")[0]
    if not address.lower().startswith(("http://", "https://")):
        raise SourceError(f"{spec} names no site; write it as {spec.partition(':')[0]}:https://example.org/.")
    return address


def _repository(place: str, fetch_allow: Sequence[str], max_bytes: int, files: bool) -> Source:
    place = place.strip().strip("<>").split("|")[0]
    if place.lower().startswith(("http://", "https://")):
        return GitSource(place, fetch_allow=fetch_allow, max_bytes=max_bytes)
    if _SCHEME.match(place) or _SSH.match(place):
        raise SourceError("A repository is read by its address with https://, or as a folder: git:PATH.")
    if not files:
        raise SourceError(_TERMINAL_ONLY)
    path = Path(place).expanduser()
    if not place or not path.is_dir():
        raise SourceError(f"There is no folder {place or 'named'}; write git:PATH or git:https://example.org/name.git.")
    return GitSource(path, fetch_allow=fetch_allow, max_bytes=max_bytes)


def _site(kind: str, url: str, fetch_allow: Sequence[str], max_bytes: int) -> Source:
    if kind == "crawl":
        return CrawlSource(url, fetch_allow=fetch_allow, max_bytes=max_bytes)
    return SitemapSource(url, fetch_allow=fetch_allow, max_bytes=max_bytes)
