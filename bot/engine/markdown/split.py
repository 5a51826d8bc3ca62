"""Splits a long Markdown text into messages that are each valid Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from bot.engine.markdown.blocks import Fence, State, advance, fence_runs, may_be_delimiter
from bot.engine.markdown.inline import atoms, character_start
from bot.engine.markdown.text_size import TextSize, fitting_length

MIN_LIMIT = 64
"""Least limit of a part, in characters."""
NOTICE = "*This answer is too long to show in full. Its end is missing here.*"
"""Ends the last part of a text that is longer than all parts together may be."""

_INDENT_CHARS = 8
"""Longest fence indent that is kept when a fence is closed at a cut."""

_BLOCK, _ITEM, _LINE, _ORPHAN, _EMPTY = range(5)
_SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]*_]*(?:\s*\[\d+\])*(?=\s)|[。！？]")
_WORD_END = re.compile(r"(?<=\S)(?=\s)")
_STARTS_BLOCK = re.compile(r"\s*(?:`{3}|~{3}|#|>|[-*+=]\s|\d{1,9}[.)]|\|)")


class Split(NamedTuple):
    """``parts`` in order; ``rest`` is the end of the text that did not fit into them, usually empty."""

    parts: list[str]
    rest: str


class _Cut(NamedTuple):
    """A place to split: the part ends at ``end``, the next begins at ``following``, ``state`` is open between them."""

    end: int
    following: int
    state: State


def split(text: str, limit: int, max_parts: int | None = None, size: TextSize = len) -> Split:
    """Split Markdown into parts of at most ``limit`` characters (at least 64), each valid on its own.

    ``size`` counts the characters as the platform does.

    A cut is between blocks if possible, else between list items or table rows, lines, sentences or words, and inside a
    word only as a last resort. Links, code spans and composed characters stay together if they fit. A code fence is
    closed at the cut and reopened with its language, a table repeats its header row, list items keep their numbers.
    Nothing else is added. Only blank lines at the beginning and white space at a cut are lost, and a fence at the very
    end that has no line and no room.
    An open fence is closed.

    Splitting is stable: a cut depends only on the text before it and on the next ``limit`` characters. So when text is
    appended, all parts except the last stay the same, and there are never fewer parts.

    With ``max_parts``, the last part ends with ``NOTICE`` if there is more text, and ``rest`` is the missing text. An
    empty text has no parts. Raises ValueError for a limit that is too small.
    """
    if limit < MIN_LIMIT:
        raise ValueError(f"a part holds at least {MIN_LIMIT} characters, not {limit}")
    parts: list[str] = []
    start, state = _first_line(text), State()
    while text[start:].strip():
        last = _last(text, start, state, limit, size)
        if last is not None:
            parts.append(last)
            break
        if max_parts is not None and len(parts) == max_parts - 1:
            part, following = _capped(text, start, state, limit, size)
            return Split([*parts, part], text[following:])
        cut = _cut(text, start, state, limit, size)
        parts.append(_part(text, start, cut.end, state, cut.state.fence, limit, size))
        start, state = cut.following, cut.state
    return Split(parts, "")


def _first_line(text: str) -> int:
    """Return where the first line begins that is not blank. A part of blank lines alone could not be sent."""
    return text.rfind("\n", 0, len(text) - len(text.lstrip())) + 1


def _capped(text: str, start: int, state: State, limit: int, size: TextSize) -> tuple[str, int]:
    """Return the last part allowed, with the notice, and where the missing text begins."""
    notice = NOTICE if len(NOTICE) + 2 <= limit - MIN_LIMIT else "*(cut)*"
    room = limit - len(notice) - 2
    cut = _cut(text, start, state, room, size)
    return _part(text, start, cut.end, state, cut.state.fence, room, size) + "\n\n" + notice, cut.following


def _last(text: str, start: int, state: State, limit: int, size: TextSize) -> str | None:
    """Return the rest of the text as one part, or None if it does not fit.

    The check uses the shortest form that the finished text can have, so a text that does not fit now does not fit after
    more text either.
    """
    prefix = _reopened(text, start, state, limit, size)
    rest = text[start:].rstrip()
    length = size(prefix) + size(rest)
    if length > limit:
        return None
    for kind, after, line in _lines(rest, state):
        last_kind, last_state, last_line = kind, after, line
    fence = last_state.fence
    if fence is None or (fence.quoted and length + size(fence.closer) >= limit):
        return _dedented(prefix + rest, start, state)
    begun = fence_runs(last_line, fence) if last_kind == "body" else 0
    if begun:
        tail = fence.char * (fence.size - begun)
        return _dedented(prefix + rest + tail, start, state) if length + size(tail) <= limit else None
    for closer in (fence.closer, fence.marker):
        if length + 1 + size(closer) <= limit:
            return _dedented(f"{prefix}{rest}\n{closer}", start, state)
    return _dedented(prefix + rest[: -len(last_line)].rstrip(), start, state) if last_kind == "open" else None


def _lines(text: str, state: State) -> Iterator[tuple[str, State, str]]:
    for line in text.split("\n"):
        kind, state = advance(state, line)
        yield kind, state, line


def _part(text: str, start: int, end: int, before: State, fence: Fence | None, limit: int, size: TextSize) -> str:
    body = _reopened(text, start, before, limit, size) + (text[start:end] if fence else text[start:end].rstrip())
    if fence:
        body += "\n" + _closing(fence)
    return _dedented(body, start, before)


def _closing(fence: Fence) -> str:
    """Return the line that closes a fence at a cut; a long indent is dropped."""
    return fence.closer if len(fence.indent) <= _INDENT_CHARS else fence.marker


def _reopened(text: str, start: int, state: State, limit: int, size: TextSize) -> str:
    """Return the lines that a part begins with to continue a fence or a table."""
    if state.fence:
        fence = state.fence
        for opener in (fence.opener, fence.closer, fence.marker):
            if size(opener) + size(_closing(fence)) + 2 <= limit * 3 // 4:
                return opener + "\n"
    if state.table:
        header = "\n".join(state.table) + "\n"
        kind, _ = advance(state, text[start : start + limit].split("\n", 1)[0])
        return header if kind == "row" and size(header) <= limit // 2 else ""
    return ""


def _dedented(part: str, start: int, before: State) -> str:
    """Remove the indent of a part that continues a list, because four leading spaces would turn it into code."""
    indent = len(part) - len(part.lstrip(" "))
    if start == 0 or indent < 4 or not (before.lists or before.fence):
        return part
    lines = part.split("\n")
    for number, line in enumerate(lines):
        own = len(line) - len(line.lstrip(" "))
        if line.strip() and own < indent and not before.fence:
            break
        lines[number] = line[min(own, indent) :]
    return "\n".join(lines)


# --- where to cut


def _cut(text: str, start: int, state: State, limit: int, size: TextSize) -> _Cut:
    """Return the best place to end a part. Reads at most one character more than the part can hold."""
    room = limit - size(_reopened(text, start, state, limit, size))
    reach = _reach(text, start, room, size)
    window = text[start : start + reach + 1]
    found: dict[int, _Cut] = {}
    lines = _Lines(window, state, room, size)
    for rank, end, following, after in lines:
        found[rank] = _Cut(end, following, after)
    best = _choose(found, reach // 3, _LINE)
    must_keep_line = lines.state.fence or lines.state.table or window[lines.start :].lstrip(" ").startswith("|")
    if best is None and not must_keep_line:
        best = _within(window, lines, reach // 3)
    best = best or _choose(found, 0, _EMPTY) or _within(window, lines, 0)
    return _skip(text, start, best or _hard(window, lines, reach))


def _reach(text: str, start: int, room: int, size: TextSize) -> int:
    """Return how many characters of the text fit into ``room``. After the end of the text, each takes 1."""
    ahead = text[start : start + room]
    fitting = fitting_length(ahead, room, size)
    return fitting if fitting < len(ahead) else fitting + room - size(ahead)


def _choose(found: dict[int, _Cut], floor: int, worst: int) -> _Cut | None:
    return next((found[rank] for rank in sorted(found) if rank <= worst and found[rank].end > floor), None)


class _Lines:
    """Iterates over the complete lines of a window that fit, each with the rank of a cut after it.

    The worst cuts leave a heading alone at the end, or a fence or a table without a line. After the iteration,
    ``start`` is where the next line begins.
    """

    def __init__(self, window: str, state: State, room: int, size: TextSize) -> None:
        self._window = window
        self._room = room
        self._size = size
        self.start = 0
        self.state = state

    def __iter__(self) -> Iterator[tuple[int, int, int, State]]:
        in_heading = False
        while (newline := self._window.find("\n", self.start)) >= 0:
            line = self._window[self.start : newline]
            kind, after = advance(self.state, line)
            if not self.fits(newline, after.fence):
                return
            self.start, self.state = newline + 1, after
            in_heading = kind == "heading" or (in_heading and kind == "blank")
            yield _ORPHAN if in_heading else self._rank(kind, after, line), newline, newline + 1, after

    def fits(self, end: int, fence: Fence | None) -> bool:
        """Return whether the window up to ``end`` fits, with the line that closes a fence there."""
        if fence is None:
            return self._size(self._window[:end].rstrip()) <= self._room
        return self._size(self._window[:end]) + 1 + self._size(_closing(fence)) <= self._room

    def _rank(self, kind: str, after: State, line: str) -> int:
        upcoming = self._window[self.start :].split("\n", 1)[0]
        if kind in ("open", "delimiter") or (kind == "text" and "|" in line and may_be_delimiter(upcoming)):
            return _EMPTY
        if after.fence is None and kind in ("blank", "close"):
            return _BLOCK
        if kind == "row" or (after.fence is None and advance(after, upcoming)[0] in ("item", "heading", "open")):
            return _ITEM
        return _LINE


def _within(window: str, lines: _Lines, floor: int) -> _Cut | None:
    """Return a cut in the line after the complete ones: after a sentence or a word, but not in a link or code span."""
    start, state = lines.start, lines.state
    line = window[start:]
    torn = [] if state.fence else atoms(line)
    for pattern in (_WORD_END,) if state.fence else (_SENTENCE_END, _WORD_END):
        for found in reversed(list(pattern.finditer(line))):
            place = found.end()
            if start + place <= floor:
                break
            if any(left < place < right for left, right in torn) or _STARTS_BLOCK.match(line, place):
                continue
            after = advance(state, line[:place])[1]
            if lines.fits(start + place, after.fence):
                return _Cut(start + place, start + place, after)
    return None


def _hard(window: str, lines: _Lines, reach: int) -> _Cut:
    """Return a cut after as many characters as fit."""
    start, state = lines.start, lines.state
    end = min(reach, len(window))
    while True:
        after = advance(state, window[start:end])[1]
        if end <= start + 1 or lines.fits(end, after.fence):
            break
        end -= 1
    place = character_start(window, end, max(start, end - 32))
    after = advance(state, window[start:place])[1]
    return _Cut(place, place, after)


def _skip(text: str, start: int, cut: _Cut) -> _Cut:
    """Skip the white space at the cut before the next part; inside a fence, skip only the line break."""
    end, following, state = start + cut.end, start + cut.following, cut.state
    if state.fence:
        return _Cut(end, following, state)
    first = following + len(text[following:]) - len(text[following:].lstrip())
    blank = text.count("\n", end, first) > 1
    line_start = text.rfind("\n", end, first) + 1
    return _Cut(end, line_start or first, State(lists=state.lists) if blank else replace(state, after_blank=False))
