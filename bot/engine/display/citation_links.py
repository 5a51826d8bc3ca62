"""Where a citation leads: to the page of a paged document, to the quoted words on a web page. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from bot.types.display import Citation

_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_MARKS = re.compile(r"[*`~\\]+|(?<!\w)_+|_+(?!\w)|(?m:^\s*(?:#{1,6}|>|[-+]|\d{1,3}[.)])\s+)")
_RULE = re.compile(r"(?m)^[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)+(?:[ \t]*:?-+:?)?[ \t]*$")
"""The line below the header of a table."""
_EDGE = 4
"""Words at each end of a quote by which a browser finds it."""
_CHATS = ("slack.com", "discord.com")
"""Their addresses open a message in an app, which takes no words to look for."""


def link(citation: Citation) -> str:
    """The address that opens the quote in its place; empty where the source has none.

    A browser that does not know how to look for words opens the page at its top.
    """
    source = citation.source
    if not source.startswith(("https://", "http://")):
        return ""
    if citation.page is not None:
        return source if "#" in source else f"{source}#page={citation.page}"
    words = [] if _is_chat(source) else [*_looked_for(citation.quote), *map(_encoded, _heading(citation))]
    if not words:
        return source
    directive = "&".join(f"text={one}" for one in words)
    return f"{source}{'' if '#' in source else '#'}:~:{directive}"


def plainly(text: str) -> str:
    """Markdown as one line of plain words: no marks, links by their labels, cells parted by bars."""
    text = _MARKS.sub("", _LINK.sub(r"\1", _RULE.sub("", text)))
    cells = [" | ".join(cell for cell in map(str.strip, line.split("|")) if cell) for line in text.split("\n")]
    return " ".join(" ".join(cells).split())


def _looked_for(quoted: str) -> list[str]:
    """The quote as a browser looks for it; nothing where it stands in cells, which it would not find as a whole."""
    words = plainly(quoted).split()
    if not words or "|" in quoted:
        return []
    if len(words) <= 2 * _EDGE:
        return [_encoded(" ".join(words))]
    return [f"{_encoded(' '.join(words[:_EDGE]))},{_encoded(' '.join(words[-_EDGE:]))}"]


def _heading(citation: Citation) -> list[str]:
    """What a browser goes to where it does not find the quote."""
    return [plainly(heading) for heading in citation.heading[-1:] if heading != citation.title and plainly(heading)]


def _encoded(words: str) -> str:
    return quote(words, safe="").replace("-", "%2D")


def _is_chat(source: str) -> bool:
    try:
        host = urlsplit(source).hostname or ""
    except ValueError:
        return True
    return host in _CHATS or host.endswith(tuple(f".{chat}" for chat in _CHATS))
