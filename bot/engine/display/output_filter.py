"""Sanitizes the model's Markdown before display: links off the allow-list, images, HTML and mentions. Does no I/O.

An attacker may control what the model writes. So a link is only clickable if its address stands in the question or in a
passage; images never load and mentions never notify. The output is the same for every platform. Platforms parse
Markdown differently: Discord has no tilde fences, ends a fence at the first three backticks, and lets a code span run
over several lines. The output is written so that all of them treat the same text as code.

This filter reads Markdown line by line. A CommonMark parser, the one of the web page, then checks its output. Lines in
which the parser still finds an address that is not allowed are defanged: they lose all markup.
"""

from __future__ import annotations

import re
from functools import lru_cache

from bot.engine.display.character_filter import visible
from bot.engine.display.fenced_code import FencedCode, pieces_of
from bot.engine.display.line_filter import LineFilter
from bot.engine.display.urls import defanged, has_other_address, permitted
from bot.engine.markdown import commonmark

_ESCAPED_TICK = re.compile(r"(?<!\\)((?:\\\\)*)\\`")
"""An escaped backtick, which Slack may still pair with the next one."""
_PARSED = re.compile(r"\]\s*[(:]|!\[|<[a-zA-Z]|\\[:/.@&]|&(?:#|[a-zA-Z]+;)")
"""Marks without which a CommonMark parser finds no link, and no address that is not written out, in a text."""
_MARKUP = str.maketrans({"`": "'", "<": "＜", "~": "∼", "\\": "＼"})
"""Characters without markup in place of those that begin code, tags, fences and escapes."""
_PASSES = 6
"""Passes after which a text that still changes loses its punctuation. A second pass changes few texts, a third none
that people write."""


def sanitize(text: str, allowed: frozenset[str]) -> str:
    """Return the text sanitized for display. Idempotent; ``allowed`` comes from ``urls_in``.

    A link to another address becomes its label followed by the address as code. A bare address becomes code, an image
    its alternative text, HTML visible text. Mentions do not notify, invisible characters are removed, an open fence is
    closed. Code stays as it is except for mentions, and except for fences that platforms parse differently: if the text
    has an address that is not allowed, such a fence is rewritten in a form that all platforms parse alike.
    """
    text = visible(text)
    for _ in range(_PASSES):
        shown = _checked(_by_line(text, allowed), allowed)
        if shown == text:
            return text
        text = shown
    return _without_punctuation(text)


def plain(text: str, allowed: frozenset[str] = frozenset()) -> str:
    """Return text for a place that links addresses but cannot show code.

    Addresses not in ``allowed`` are defanged, mentions are muted, and invisible characters are removed.

    For example, ``https://a.example`` becomes ``https[:]//a[.]example``.
    """
    return defanged(visible(text), allowed)


def _by_line(text: str, allowed: frozenset[str]) -> str:
    """Sanitize the lines outside fences, and rewrite fences that platforms may parse differently.

    Discord reads a link from its first bracket on, so a link that begins before code may end in it.
    """
    pieces = pieces_of(text)
    blocks = [piece for piece in pieces if isinstance(piece, FencedCode)]
    ambiguous = "](" in text or not all(block.unambiguous for block in blocks)
    strict = ambiguous and has_other_address(text, allowed)
    lines: list[str] = []
    bracket = False
    for piece in pieces:
        if isinstance(piece, FencedCode):
            code = piece.rewritten() if strict and not piece.unambiguous else piece.literal()
            lines.extend(line.replace("](", "] (") if strict and bracket else line for line in code)
        else:
            bracket = bracket or "[" in piece
            lines.append(_safe_line(piece, allowed, strict))
    return "\n".join(lines)


def _checked(text: str, allowed: frozenset[str]) -> str:
    """Return the text with every line defanged in which the page's parser finds an address that is not allowed."""
    for _ in range(_PASSES):
        lines = _wrong_lines(text, allowed)
        if not lines:
            return text
        text = "\n".join(
            _defanged(line, allowed) if number in lines else line for number, line in enumerate(text.split("\n"))
        )
    return _without_punctuation(text)


@lru_cache(maxsize=256)
def _wrong_lines(text: str, allowed: frozenset[str]) -> frozenset[int]:
    """Return the numbers of the lines that hold an address that is not allowed, as a link or as text outside code."""
    if not _PARSED.search(text) and not has_other_address(text, allowed):
        return frozenset()
    targets, words = commonmark.targets_and_words(text)
    wrong = [one for one in targets if not permitted(one.text, allowed)]
    wrong += [one for one in words if has_other_address(one.text, allowed, cut="*_~")]
    return frozenset(number for one in wrong for number in range(one.start, one.end))


def _defanged(line: str, allowed: frozenset[str]) -> str:
    """Return a line as text without markup and without addresses that are not allowed."""
    line = defanged(line.translate(_MARKUP), allowed)
    return re.sub(r"\](?=[(:\[])", "] ", line).replace("![", "! [")


def _without_punctuation(text: str) -> str:
    """Return the words of a text, without anything that could be markup or an address."""
    return re.sub(r"[^\w\s]|_", " ", text)


@lru_cache(maxsize=4096)
def _safe_line(line: str, allowed: frozenset[str], strict: bool) -> str:
    """Sanitize a line outside fences. Cached, because each edit sanitizes the whole draft and only its end is new."""
    shown = LineFilter(allowed, strict).sanitize(line)
    return _ESCAPED_TICK.sub(r"\1ˋ", shown) if "\\`" in shown and has_other_address(shown, allowed) else shown
