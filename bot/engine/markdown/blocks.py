"""Scans Markdown line by line: the kind of each line, and which blocks are open after it.

This is a scanner, not a parser: it recognizes fences, tables, lists, headings and quotes as far as splitting needs it.
It is more lenient than CommonMark where models are careless: inside a list, a fence stays open until a closing line,
whatever the indent of that line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["blank", "open", "body", "close", "heading", "item", "delimiter", "row", "text"]

_QUOTE = re.compile(r"(?: {0,3}> ?)+")
_ITEM = re.compile(r" *(?:[-*+]|\d{1,9}[.)]) {1,4}(?=\S)")
_FENCE = re.compile(r" *(`{3,16}(?!`)(?=[^`]*$)|~{3,16}(?!~))(.*)$")
_HEADING = re.compile(r" {0,3}#{1,6}(?: |$)")
_DELIMITER = re.compile(r" *\|?(?: *:?-+:? *\|)* *:?-+:? *\|? *$")
_CELL = re.compile(r"(?<!\\)\|")
_INFO_CHARS = 24


@dataclass(frozen=True, slots=True)
class Fence:
    """An open code fence. ``indent`` is the prefix of its lines: spaces, or quote marks."""

    char: str
    size: int
    indent: str
    info: str
    quoted: bool

    @property
    def marker(self) -> str:
        return self.char * self.size

    @property
    def closer(self) -> str:
        """The line that closes the fence."""
        return self.indent + self.marker

    @property
    def opener(self) -> str:
        """The line that reopens the fence with its language; a long info string is shortened to one word."""
        info = self.info if len(self.info) <= _INFO_CHARS else self.info.split()[0][:_INFO_CHARS]
        return self.indent + self.marker + info


@dataclass(frozen=True, slots=True)
class State:
    """The open blocks between two lines. ``table`` is header and delimiter row; ``lists`` the indents of open items."""

    fence: Fence | None = None
    table: tuple[str, str] | None = None
    lists: tuple[int, ...] = ()
    above: str = ""
    after_blank: bool = True


def advance(state: State, line: str) -> tuple[Kind, State]:
    """Scan one line without its newline; return its kind and the state after it."""
    if state.fence is not None:
        if not state.fence.quoted or _QUOTE.match(line):
            return _inside(state, state.fence, line)
        state = replace(state, fence=None)
    if not line.strip():
        return "blank", State(lists=state.lists)
    return _outside(state, line)


def fence_runs(line: str, fence: Fence) -> int:
    """Return the number of fence characters if the line has nothing else except quote marks and spaces; else 0."""
    mark = _QUOTE.match(line) if fence.quoted else None
    rest = line[mark.end() :] if mark else line
    bare = rest.strip()
    lead = len(rest.expandtabs(4)) - len(rest.expandtabs(4).lstrip(" "))
    room = 4 if fence.quoted else len(fence.indent) + 4
    return len(bare) if bare and set(bare) == {fence.char} and lead < room else 0


def _inside(state: State, fence: Fence, line: str) -> tuple[Kind, State]:
    if fence_runs(line, fence) >= fence.size:
        return "close", State(lists=state.lists)
    return "body", state


def _outside(state: State, line: str) -> tuple[Kind, State]:
    line = line.expandtabs(4)
    mark = _QUOTE.match(line)
    quote = mark.group() if mark else ""
    rest = line[len(quote) :]
    indent = len(rest) - len(rest.lstrip(" "))
    content = _content_offset(rest)
    lists = state.lists
    if content or state.after_blank or _FENCE.match(rest):
        lists = tuple(offset for offset in lists if offset <= indent)
    base = max(lists, default=0)
    opening = _FENCE.match(rest, content) if content or indent - base < 4 else None
    if content:
        lists = (*lists, content)
    if opening:
        lead = quote + " " * (content or indent)
        marker, info = opening.group(1), opening.group(2).strip()
        return "open", State(Fence(marker[0], len(marker), lead, info, bool(quote)), lists=lists, after_blank=False)
    if content or _HEADING.match(rest):
        return "item" if content else "heading", State(lists=lists, above=line if content else "", after_blank=False)
    return _tabular(State(None, state.table, lists, state.above, after_blank=False), line, rest)


def _tabular(state: State, line: str, rest: str) -> tuple[Kind, State]:
    if state.table:
        return "row", state
    if is_header(state.above, rest):
        return "delimiter", replace(state, table=(state.above, line), above="")
    return "text", replace(state, above=line)


def is_header(above: str, delimiter: str) -> bool:
    """Return whether ``delimiter`` turns the line above it into a table header: equal columns, at least one bar."""
    return "|" in above and bool(_DELIMITER.match(delimiter)) and _columns(above) == _columns(delimiter)


def may_be_delimiter(line: str) -> bool:
    """Return whether a line that is still growing may become the delimiter row of a table."""
    return not line.strip(" \t|:->")


def _columns(row: str) -> int:
    mark = _QUOTE.match(row)
    return len(_CELL.findall(row[mark.end() if mark else 0 :].strip().strip("|"))) + 1


def _content_offset(rest: str) -> int:
    offset = 0
    while found := _ITEM.match(rest, offset):
        offset = found.end()
    return offset
