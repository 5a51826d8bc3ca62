"""The links of a page, found with patterns that read a stranger's page in one go. Pure."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from urllib.parse import urldefrag, urljoin, urlsplit

MAX_READ = 2 * 1024 * 1024
"""Characters of a page that are looked through for links."""
MAX_LINKS = 5_000
MAX_URL = 2_000
_TAG = re.compile(r"<(a|area|base|meta)\s([^<>]{1,4096})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([a-zA-Z-]{1,20})\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")


@dataclass(frozen=True, slots=True)
class Links:
    """``urls`` are absolute, without fragments, each once. ``index``: whether the page may be taken in."""

    urls: tuple[str, ...]
    index: bool = True


def links(data: bytes, url: str, robots_header: str = "") -> Links:
    """What the page at ``url`` links to. A robots rule in the page or its header (nofollow, noindex) is kept."""
    text = _without_comments(data[:MAX_READ].decode("utf-8", "replace"))
    rules = robots_header.lower()
    base = url
    found: dict[str, None] = {}
    for tag in _TAG.finditer(text):
        values = {m[1].lower(): html.unescape(m[2] or m[3] or m[4] or "") for m in _ATTRIBUTE.finditer(tag[2])}
        kind = tag[1].lower()
        if kind == "meta" and values.get("name", "").lower() in ("robots", "parley"):
            rules += "," + values.get("content", "").lower()
        elif kind == "base" and base == url:
            base = _absolute(url, values.get("href", "")) or url
        elif kind in ("a", "area") and "href" in values and "nofollow" not in values.get("rel", "").lower().split():
            target = _absolute(base, values["href"])
            if target and len(found) < MAX_LINKS:
                found[target] = None
    said = set(re.split(r"[\s,:]+", rules))
    closed = "none" in said
    return Links(() if closed or "nofollow" in said else tuple(found), not closed and "noindex" not in said)


def _absolute(base: str, href: str) -> str:
    """The address of a link; empty where it is none of the web."""
    try:
        target = urldefrag(urljoin(base, href.strip()))[0]
        parts = urlsplit(target)
    except ValueError:
        return ""
    usable = parts.scheme in ("http", "https") and parts.hostname and not parts.username
    if not usable or len(target) > MAX_URL:
        return ""
    return parts._replace(path=parts.path or "/").geturl()


def _without_comments(text: str) -> str:
    kept: list[str] = []
    at = 0
    while (begin := text.find("<!--", at)) >= 0:
        kept.append(text[at:begin])
        end = text.find("-->", begin)
        if end < 0:
            return "".join(kept)
        at = end + 3
    return "".join([*kept, text[at:]])
