"""Checks the final text of a Discord message: links that are not allowed stay text, also where parsers disagree. Pure.

Discord reads Markdown by rules of its own: code blocks begin and end anywhere, code spans run over several lines, and a
URL begins in the middle of a word. So this check looks at the text that is sent, after all conversions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.engine.display.urls import permitted, trimmed
from bot.engine.markdown import code_ranges

_CODE = re.compile(
    r"\\[^0-9A-Za-z\s]"
    r"|(?P<block>```(?:[a-zA-Z0-9_+\-.#]+?\n)?\n*[^\n][\s\S]*?\n*```)"
    r"|(?P<span>(?P<ticks>`+)[\s\S]*?[^`](?P=ticks)(?!`))"
)
_URL = re.compile(r"https?://", re.IGNORECASE)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:/|mailto:", re.IGNORECASE)
_MASKED = re.compile(r"\]\(")
_REST = re.compile(r"[^\s<>]*")
_TARGET = re.compile(r"(?:[^\s<>()]|\([^\s<>()]*\))+(?=\))")
_END = ".,:;\"')]"
_BALANCED = re.compile(r"(?:[^\s<>()]|\([^\s<>()]*\))*")
_COLON, _PARENTHESIS = "\uff1a", "\uff08"
"""Full-width characters that look like the mark they replace, and that Discord reads as text."""


def without_other_links(text: str, allowed: frozenset[str]) -> str:
    """Return the text, at the same length, with every link that is not allowed turned into text.

    An address stays as it is only if it is allowed, or if both Discord's rules and CommonMark see it as code. The
    target of a link in code also counts if the label may begin before the code, because Discord reads a link from its
    first bracket on.
    """
    in_code = _code_everywhere(text)
    first = _first_bracket(text, in_code)
    changed = list(text)
    for position in _other_links(text, allowed):
        inside = any(start <= position < end for start, end in in_code)
        if not inside or (text[position] == "(" and first < position):
            changed[position] = _PARENTHESIS if text[position] == "(" else _COLON
    return "".join(changed)


def code(text: str) -> list[tuple[int, int]]:
    """Return the ranges that are code by Discord's rules, in order."""
    return [found.span() for found in _CODE.finditer(text) if found["block"] or found["span"]]


def _first_bracket(text: str, in_code: list[tuple[int, int]]) -> int:
    """Return the position of the first opening bracket outside code."""
    brackets = (found.start() for found in re.finditer(r"\[", text))
    outside = (at for at in brackets if not any(start <= at < end for start, end in in_code))
    return next(outside, len(text))


def _other_links(text: str, allowed: frozenset[str]) -> Iterator[int]:
    """Yield the positions of the colons and parentheses of links that are not allowed."""
    inside = 0
    for found in _URL.finditer(text):
        if found.start() < inside:
            continue
        if url := _allowed_url(text, found.start(), allowed):
            inside = found.start() + len(url)
        else:
            yield text.index(":", found.start())
    for found in _MASKED.finditer(text):
        target = text[found.end() :].lstrip()
        is_angled = target[:1] == "<"
        shown = target[1:].partition(">")[0] if is_angled else _match(_BALANCED, target)
        # Discord ends a link that is not closed at any closing parenthesis inside its target.
        is_closed = target[len(shown) + 2 * is_angled :].lstrip()[:1] == ")" or ")" not in shown
        if _SCHEME.match(shown.replace("\\", "")) and not (is_closed and permitted(shown, allowed)):
            yield found.end() - 1


def _allowed_url(text: str, start: int, allowed: frozenset[str]) -> str:
    """Return the URL at ``start`` if it is allowed, else an empty string. It may hold another URL, as in a query."""
    if text[start - 1 : start] == "<" and (end := text.find(">", start)) > 0:
        url = text[start:end]
    elif text[max(0, start - 2) : start] == "](" and (url := _match(_TARGET, text[start:])):
        pass
    else:
        # Discord ends a bare address before these marks, even if the address has the opening bracket.
        url = trimmed(_match(_REST, text[start:])).rstrip(_END)
    return url if permitted(url, allowed) else ""


def _match(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.match(text)
    return found.group() if found else ""


def _code_everywhere(text: str) -> list[tuple[int, int]]:
    """Return the ranges that are code by Discord's rules and by CommonMark's."""
    other = code_ranges(text)
    both = [(max(a, c), min(b, d)) for a, b in code(text) for c, d in other]
    return [(start, end) for start, end in both if start < end]
