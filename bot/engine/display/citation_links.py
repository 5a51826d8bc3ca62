"""Builds the link of a citation: to a page of a paged document, or to the quoted passage of a web page. Does no I/O."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from bot.types.display import Citation

_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_MARKS = re.compile(r"(?m:^\s*(?:(?:#{1,6}|>|[-+*]|\d{1,3}[.)])\s+)+)|[*`~\\]+|(?<!\w)_+|_+(?!\w)")
_DELIMITER_ROW = re.compile(r"(?m)^[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)+(?:[ \t]*:?-+:?)?[ \t]*$")
"""The line below the header of a Markdown table."""
_EDGE_WORDS = 4
"""Number of words at each end of a quote that the text fragment contains, so that a browser finds the quote."""
_CHAT_HOSTS = ("slack.com", "discord.com")
"""Hosts whose links open a message in an app. The app ignores text fragments."""


def link(citation: Citation) -> str:
    """Return the URL that opens the source at the quote, or an empty string if the source has no URL.

    A browser without support for text fragments opens the top of the page.
    """
    source = citation.source
    if not source.startswith(("https://", "http://")):
        return ""
    if citation.page is not None:
        return source if "#" in source else f"{source}#page={citation.page}"
    fragments = [] if _is_chat(source) else [*_quote_fragment(citation.quote), *map(_encoded, _heading(citation))]
    if not fragments:
        return source
    directive = "&".join(f"text={fragment}" for fragment in fragments)
    return f"{source}{'' if '#' in source else '#'}:~:{directive}"


def as_plain_text(text: str) -> str:
    """Return Markdown as one line of plain text: no marks, links as their labels, table cells separated by bars."""
    text = _MARKS.sub("", _LINK.sub(r"\1", _DELIMITER_ROW.sub("", text)))
    cells = [" | ".join(cell for cell in map(str.strip, line.split("|")) if cell) for line in text.split("\n")]
    return " ".join(" ".join(cells).split())


def _quote_fragment(quoted: str) -> list[str]:
    """Return the quote as a text fragment; empty for table cells, because a browser does not match across cells."""
    words = as_plain_text(quoted).split()
    if not words or "|" in quoted:
        return []
    if len(words) <= 2 * _EDGE_WORDS:
        return [_encoded(" ".join(words))]
    return [f"{_encoded(' '.join(words[:_EDGE_WORDS]))},{_encoded(' '.join(words[-_EDGE_WORDS:]))}"]


def _heading(citation: Citation) -> list[str]:
    """Return the heading that a browser scrolls to if it does not find the quote."""
    return [
        as_plain_text(heading)
        for heading in citation.heading[-1:]
        if heading != citation.title and as_plain_text(heading)
    ]


def _encoded(words: str) -> str:
    return quote(words, safe="").replace("-", "%2D")


def _is_chat(source: str) -> bool:
    try:
        host = urlsplit(source).hostname or ""
    except ValueError:
        return True
    return host in _CHAT_HOSTS or host.endswith(tuple(f".{chat}" for chat in _CHAT_HOSTS))
