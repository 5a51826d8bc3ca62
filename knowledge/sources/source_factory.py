"""Opens the source that a name describes: a URL, file, folder, site, sitemap, git repository or chat channel.

To add a source, write a class with ``uri``, ``kind``, ``count`` and ``fetch``, and add a line to ``open_source``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence

from knowledge.errors import SourceError
from knowledge.ports import Source
from knowledge.sources.crawl import CrawlSource
from knowledge.sources.files import local_path, open_path
from knowledge.sources.git import GitSource
from knowledge.sources.page_rendering import PageRenderer
from knowledge.sources.polite_fetch import Sleep
from knowledge.sources.sitemap import SitemapSource
from knowledge.sources.web_address import require_web_address
from knowledge.sources.web_page import UrlSource

_TERMINAL_ONLY = (
    "Files of the server can be added from the terminal only (parley ingest PATH). "
    "Here, give a URL that starts with https://, or attach the file."
)
_SITEMAP = re.compile(r"sitemap[^/]*\.xml(\.gz)?$", re.IGNORECASE)
_SSH = re.compile(r"[^/\s@:]+@(?P<host>[^/\s:@]+):(?P<path>[^\s#]+)")
_SSH_URL = re.compile(r"ssh://(?:[^/\s@]+@)?(?P<host>[^/\s:@]+)(?::\d+)?/(?P<path>[^\s#]+)", re.IGNORECASE)
_BRANCH = re.compile(r"(?!.*(?:\.\.|//|@\{))[A-Za-z0-9_][A-Za-z0-9_./-]*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


OpenChannel = Callable[[str, str], Source]
"""Opens a channel's history by platform and channel ID. Raises SourceError."""


def open_source(
    spec: str,
    *,
    fetch_allow: Sequence[str],
    max_bytes: int,
    files: bool,
    channel: OpenChannel | None = None,
    sleep: Sleep = asyncio.sleep,
    renderer: PageRenderer | None = None,
) -> Source:
    """Return the source that ``spec`` names, without reading it. Raises SourceError.

    ``spec`` is a URL, or ``crawl:``, ``sitemap:`` or ``git:`` and a URL. A repository may end in ``#branch:folder``. If
    ``files`` is true it may also be a local path, or ``git:`` and one. If ``channel`` is given it may be ``slack:`` or
    ``discord:`` and a channel ID. ``fetch_allow`` lists private hosts, addresses and networks that may be fetched from.
    ``sleep`` waits between two pages of a site. ``renderer`` draws pages that need JavaScript.
    """
    spec = spec.strip()
    if not spec:
        raise SourceError("Say what to add: a URL that starts with https://, or a path.")
    if spec.startswith("upload:"):
        raise SourceError("That document was uploaded, so it cannot be fetched again. Upload it again.")
    kind, _, location = spec.partition(":")
    if kind in ("slack", "discord"):
        return _open_channel(kind, location, channel)
    if kind in ("crawl", "sitemap"):
        return _open_site(kind, web_url(location, spec), fetch_allow, max_bytes, sleep, renderer)
    if _SSH.match(spec) or spec.lower().startswith("ssh://"):
        return _open_repository(spec, fetch_allow, max_bytes, files)
    if kind == "git" and not _SCHEME.match(spec):
        return _open_repository(location, fetch_allow, max_bytes, files)
    if _SCHEME.match(spec):
        if not spec.lower().startswith(("http://", "https://")):
            raise SourceError(f"{spec} cannot be fetched. Give a URL that starts with http:// or https://.")
        path = require_web_address(spec).raw_path
        if path.endswith(".git"):
            return _open_repository(spec, fetch_allow, max_bytes, files)
        if _SITEMAP.search(path):
            return SitemapSource(spec, fetch_allow=fetch_allow, max_bytes=max_bytes, sleep=sleep, renderer=renderer)
        return UrlSource(spec, fetch_allow=fetch_allow, max_bytes=max_bytes, renderer=renderer)
    if not files:
        raise SourceError(_TERMINAL_ONLY)
    return open_path(spec, max_bytes=max_bytes)


def reads_local_files(kind: str, uri: str) -> bool:
    """Return whether a source of this kind and name reads paths of this machine."""
    location = uri.removeprefix("git:").lower()
    return kind in ("file", "folder") or (kind == "git" and not location.startswith(("http://", "https://")))


def _open_channel(platform: str, channel_id: str, open_history: OpenChannel | None) -> Source:
    if open_history is None:
        raise SourceError("To add a channel, mention it in the chat: /ingest #channel.")
    if not re.fullmatch(r"[A-Z0-9]{1,32}", channel_id):
        raise SourceError(f"{platform}:{channel_id} is not a channel. Write {platform}: and the channel ID.")
    return open_history(platform, channel_id)


def web_url(location: str, spec: str) -> str:
    """Return the URL that follows ``crawl:`` or ``sitemap:``, without Slack's link markup. Raises SourceError."""
    url = _without_link_markup(location)
    if not url.lower().startswith(("http://", "https://")):
        raise SourceError(f"{spec} has no URL. Write it as {spec.partition(':')[0]}:https://example.org/.")
    require_web_address(url)
    return url


def _without_link_markup(location: str) -> str:
    """Return the URL of a link that Slack wrote as ``<URL|label>``."""
    return location.strip().strip("<>").split("|")[0]


def _open_repository(location: str, fetch_allow: Sequence[str], max_bytes: int, files: bool) -> Source:
    location = _without_link_markup(location)
    if files and "#" in location and (named := local_path(location)) and named.is_dir():
        return GitSource(named, fetch_allow=fetch_allow, max_bytes=max_bytes)
    location, hash_sign, part = location.partition("#")
    branch, _, folder = part.partition(":")
    if (hash_sign and not part) or (branch and not _BRANCH.fullmatch(branch)) or ".." in folder.split("/"):
        raise SourceError(f"#{part} names no branch. Write git:https://example.org/name.git#branch:folder.")
    location = _https_of_ssh(location)
    if location.lower().startswith(("http://", "https://")):
        require_web_address(location)
        return GitSource(location, fetch_allow=fetch_allow, max_bytes=max_bytes, branch=branch, folder=folder)
    if _SCHEME.match(location):
        raise SourceError("A repository needs a URL with https://, or the path of a folder: git:PATH.")
    if not files:
        raise SourceError(_TERMINAL_ONLY)
    path = local_path(location)
    if not location or path is None or not path.is_dir():
        folder = f" {location}" if location else ""
        raise SourceError(f"There is no folder{folder}. Write git:PATH or git:https://example.org/name.git.")
    return GitSource(path, fetch_allow=fetch_allow, max_bytes=max_bytes, branch=branch, folder=folder)


def _https_of_ssh(location: str) -> str:
    """Return the ``https://`` URL of a repository whose address is for SSH; other locations stay."""
    match = _SSH.fullmatch(location) or _SSH_URL.fullmatch(location)
    return f"https://{match['host']}/{match['path'].lstrip('/')}" if match else location


def _open_site(
    kind: str, url: str, fetch_allow: Sequence[str], max_bytes: int, sleep: Sleep, renderer: PageRenderer | None
) -> Source:
    site = CrawlSource if kind == "crawl" else SitemapSource
    return site(url, fetch_allow=fetch_allow, max_bytes=max_bytes, sleep=sleep, renderer=renderer)
