"""Converts CommonMark to Discord's dialect of Markdown. Does no I/O.

Source: https://support.discord.com/hc/en-us/articles/210298617 (Markdown Text 101). Discord knows headings up to
``###``, one level of quotations, lists with ``-`` and ``*``, and spoilers between bars. It starts the numbers of a list
again after a code block, reads ``__`` as underlining, and ``-#`` as small print. It shows HTML entities as they are
written.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from html.entities import html5

from bot.engine.display.character_filter import visible
from bot.engine.markdown.commonmark import parser
from bot.engine.markdown.inline import scanned
from bot.platforms.discord import link_guard
from bot.platforms.discord.text_limits import size

_URL = re.compile(r"(https?://[^\s<>]+)")
_ADDRESS = re.compile(r"(https?://[^\s<>()\[\]|]+)")
_QUOTED = re.compile(r"^ {0,3}>(?:[ \t]*>)*[ \t]?")
_SMALL_PRINT = re.compile(r"^(\s*)(-# )")
_PLUS_ITEM = re.compile(r"^([\s>]*)\+ (?=\S)")
_TASK = re.compile(r"^([\s>]*[-*] )\[([ xX])\] ")
_RULE = re.compile(r"^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_NUMBER = re.compile(r"^([\s>]*)\d{1,9}(?=[.)])")
_HEADING = re.compile(r"^#{4,6}[ \t]+(.+?)[ \t]*#*$")
_UNKNOWN_MARK = re.compile(r"^(?:>>> |#{4,6} +(?=[^\s#]))", re.MULTILINE)
_HARD_BREAK = re.compile(r"(?<!\\)((?:\\\\)*)\\$")
_BOLD = re.compile(r"(?<![\w\\_])__(?=[^\s_])(.+?)(?<=[^\s_\\])__(?![\w_])")
_BARS = re.compile(r"(?P<apart>(?<!\S)\|{2,}(?!\S))|(?<!\\)\|{2,}")
_SELF_LABELLED = re.compile(
    r"\[\s*<?(?P<label>https?://[^\s\[\]<>]+)>?\s*\]\((?P<url>https?://(?:[^\s()]|\([^\s()]*\))+)\)"
)
_ENTITY = re.compile(r"&(?:#(?:\d{1,7}|[xX][0-9a-fA-F]{1,6})|(?P<name>[A-Za-z][A-Za-z0-9]{1,31}));")
_MARKS = frozenset(r"\`*_~|<>#-+[]:@")
RULE = "───"
OTHER_BARS = "‖"
"""Looks like two bars, and hides nothing."""


def to_discord(text: str, limit: int) -> str:
    """Return the text in Discord's dialect; nearly unchanged if that would exceed ``limit`` characters.

    Fences must be three backticks. Tables and spoilers are left to other functions.
    """
    # What a muted mention begins with is no mark, so Discord would show the backslash before it.
    text = visible(outside_code(text, _without_entities)).replace("\\＜", "＜")
    converted = outside_code("\n".join(_lines(text)), _words)
    return _without_unknown_marks(converted if size(converted) <= limit else text)


def _without_entities(piece: str) -> str:
    """Replace HTML entities by their characters, outside addresses. A mark is escaped, so that it stays text."""
    pieces = _ADDRESS.split(piece)
    return "".join(one if index % 2 else _ENTITY.sub(_character, one) for index, one in enumerate(pieces))


def _character(found: re.Match[str]) -> str:
    character = _named(found)
    return f"\\{character}" if character in _MARKS else character


def _named(found: re.Match[str]) -> str:
    """Return the character that an entity stands for, or the entity if there is none of that name."""
    if found["name"] and f"{found['name']};" not in html5:
        return found[0]
    character = html.unescape(found[0])
    return " " if character.isspace() else character


def _character_in_code(found: re.Match[str]) -> str:
    """Return the character that an entity stands for; a backtick, which could end the block, stays an entity."""
    character = _named(found)
    return found[0] if character == "`" else character


def _without_unknown_marks(text: str) -> str:
    """Replace marks where Discord sees no code and CommonMark does, and in a text that could not be converted."""
    code = link_guard.code(text)

    def known(found: re.Match[str]) -> str:
        if any(start <= found.start() < end for start, end in code):
            return found[0]
        return "> " if found[0].startswith(">") else "### "

    return _UNKNOWN_MARK.sub(known, text)


def without_spoilers(text: str, limit: int) -> str:
    """Escape or separate bars between which Discord would hide words. Without room, they become a similar sign."""
    spare = limit - size(text)

    def escaped(found: re.Match[str]) -> str:
        nonlocal spare
        growth = len(found[0]) - 1
        if spare < growth:
            return OTHER_BARS * (len(found[0]) // 2)
        spare -= growth
        # A backslash next to a word might become part of an address.
        return r"\|" * growth + "|" if found["apart"] else " ".join(found[0])

    pairs = (len(bars[0]) // 2 for piece, is_code in _pieces(text) if not is_code for bars in _BARS.finditer(piece))
    return outside_code(text, lambda piece: _BARS.sub(escaped, piece)) if sum(pairs) > 1 else text


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return the text with everything changed that is no code by Discord's rules."""
    return "".join(piece if is_code else change(piece) for piece, is_code in _pieces(text))


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the pieces of a text, and whether they are code by Discord's rules."""
    position = 0
    for start, end in link_guard.code(text):
        yield text[position:start], False
        yield text[start:end], True
        position = end
    yield text[position:], False


def plain_cell(cell: str) -> str:
    """Return the words of a table cell for a code block, which shows marks and links as they are written."""
    pieces = re.split(r"(`+)(.+?)\1", cell)
    shown = []
    for index in range(0, len(pieces), 3):
        words = re.sub(r"\[([^\[\]]*)\]\((\S+?)\)", _label_and_address, pieces[index])
        for mark in (r"\*\*", "~~"):
            words = re.sub(rf"(?<!\\){mark}(?=\S)(.+?)(?<=\S){mark}", r"\1", words)
        words = re.sub(r"(?<![\w\\])(_{1,2}|\*)(?=[^\s_*])([^_*]+)(?<=\S)\1(?!\w)", r"\2", words)
        words = _ENTITY.sub(_character_in_code, re.sub(r"\\([^\w\s])", r"\1", words))
        shown += [words, *pieces[index + 2 : index + 3]]
    return "".join(shown)


def _label_and_address(found: re.Match[str]) -> str:
    return found[1] if found[1] == found[2] else f"{found[1]} ({found[2]})"


def _lines(text: str) -> Iterator[str]:
    """Yield the lines outside code in Discord's dialect: quotations, headings, lists, rules, hard breaks."""
    numbers, headings, underlines = _structure(text)
    quoted = ""
    following = [*text.split("\n")[1:], ""]
    for at, (_, line, kind, _state) in enumerate(scanned(text)):
        if kind == "open":
            found = _QUOTED.match(line)
            depth = found[0].count(">") if found else 0
            quoted = rf"^ {{0,3}}(?:>[ \t]?){{{depth}}}" if depth else ""
        if kind in ("open", "body", "close"):
            yield re.sub(quoted, "> ", line) if quoted else line
        elif at in underlines:
            continue
        elif at in headings:
            yield f"{headings[at]} {line.strip()}"
        elif _RULE.match(line):
            yield RULE
        else:
            yield _line(line, numbers.get(at), ends=not following[at].strip(" \t>"))


def _line(line: str, number: int | None, *, ends: bool) -> str:
    """Return a line that is no heading. ``ends``: its paragraph ends with it, so that a backslash breaks no line."""
    line = _QUOTED.sub("> ", line)
    if number is not None:
        line = _NUMBER.sub(rf"\g<1>{number}", line)
    line = _PLUS_ITEM.sub(r"\1- ", line)
    line = _TASK.sub(lambda found: f"{found[1]}{'☐' if found[2] == ' ' else '☑'} ", line)
    line = _SMALL_PRINT.sub(r"\1\\\2", line)
    if heading := _HEADING.match(line):
        line = f"**{heading[1].replace('**', '')}**"
    return line if ends else _HARD_BREAK.sub(r"\1", line)


def _structure(text: str) -> tuple[dict[int, int], dict[int, str], set[int]]:
    """Return by line: the numbers of list items, the marks of headings that are underlined, and the underlines."""
    numbers: dict[int, int] = {}
    headings: dict[int, str] = {}
    underlines: set[int] = set()
    counts: list[int] = []
    for token in parser().parse(text):
        if token.type == "ordered_list_open":
            counts.append(int(token.attrs.get("start", 1)))
        elif token.type == "bullet_list_open":
            counts.append(-1)
        elif token.type in ("ordered_list_close", "bullet_list_close"):
            counts.pop()
        elif token.type == "list_item_open" and token.map and counts[-1] >= 0:
            numbers[token.map[0]] = counts[-1]
            counts[-1] += 1
        elif token.type == "heading_open" and token.map and token.markup in "=-" and not token.level:
            start, end = token.map[0], token.map[1]
            if end - start == 2:
                headings[start] = "#" if token.markup == "=" else "##"
                underlines.add(start + 1)
    return numbers, headings, underlines


def _words(piece: str) -> str:
    """Convert marks within lines: links whose label is an address, and bold words between underscores."""
    piece = _SELF_LABELLED.sub(_address_as_text, piece)
    pieces = _URL.split(piece)
    return "".join(one if index % 2 else _BOLD.sub(r"**\1**", one) for index, one in enumerate(pieces))


def _address_as_text(found: re.Match[str]) -> str:
    """Return a link as its address, because Discord shows no link whose label is an address."""
    label, url = found["label"], found["url"]
    return url if label == url else f"{label} ({url})"
