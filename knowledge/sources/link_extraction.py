"""Extracts the links of an HTML page and its robots rules, with patterns that take linear time on any input.

Does no I/O.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from urllib.parse import urldefrag, urljoin, urlsplit

MAX_HTML_BYTES = 2 * 1024 * 1024
"""How much of a page is searched for links."""
MAX_LINKS = 5_000
MAX_URL_CHARS = 2_000
_TAG = re.compile(r"<(a|area|base|meta)\s([^<>]{1,4096})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([a-zA-Z-]{1,20})\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")


@dataclass(frozen=True, slots=True)
class Links:
    """The links of a page: absolute URLs without fragments or repetition. ``index``: whether the page may be added."""

    urls: tuple[str, ...]
    index: bool = True


def extract_links(data: bytes, url: str, robots_header: str = "") -> Links:
    """Return the links of the page at ``url``. Respects ``nofollow`` and ``noindex`` of the page and of its header."""
    text = _without_comments(data[:MAX_HTML_BYTES].decode("utf-8", "replace"))
    robots = robots_header.lower()
    base = url
    found: dict[str, None] = {}
    for tag in _TAG.finditer(text):
        values = {m[1].lower(): html.unescape(m[2] or m[3] or m[4] or "") for m in _ATTRIBUTE.finditer(tag[2])}
        kind = tag[1].lower()
        if kind == "meta" and values.get("name", "").lower() in ("robots", "parley"):
            robots += "," + values.get("content", "").lower()
        elif kind == "base" and base == url:
            base = _absolute(url, values.get("href", "")) or url
        elif kind in ("a", "area") and "href" in values and "nofollow" not in values.get("rel", "").lower().split():
            target = _absolute(base, values["href"])
            if target and len(found) < MAX_LINKS:
                found[target] = None
    rules = set(re.split(r"[\s,:]+", robots))
    none = "none" in rules
    return Links(() if none or "nofollow" in rules else tuple(found), not none and "noindex" not in rules)


def _absolute(base: str, href: str) -> str:
    """Return the absolute URL of a link without its fragment; empty if it is not a web URL."""
    try:
        target = urldefrag(urljoin(base, href.strip()))[0]
        parts = urlsplit(target)
    except ValueError:
        return ""
    usable = parts.scheme in ("http", "https") and parts.hostname and not parts.username
    if not usable or len(target) > MAX_URL_CHARS:
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
