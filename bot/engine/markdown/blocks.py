"""Reads Markdown line by line: which block a line belongs to, and what is open after it.

A scanner and no parser: it knows fences, tables, lists, headings and quotes, as far as a cut has to mind them. It is
more forgiving than CommonMark where models are careless: inside a list a fence stays open until a closing line comes,
however that line is indented.
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
    """An open code fence. ``indent`` is what its lines begin with: spaces, or the marks of a quote."""

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
        """The line that closes it."""
        return self.indent + self.marker

    @property
    def opener(self) -> str:
        """A line that opens it again, with its language; an overlong info string is shortened to a word."""
        info = self.info if len(self.info) <= _INFO_CHARS else self.info.split()[0][:_INFO_CHARS]
        return self.indent + self.marker + info


@dataclass(frozen=True, slots=True)
class State:
    """What is open between two lines. ``table`` holds header and delimiter row; ``lists`` the indents of open items."""

    fence: Fence | None = None
    table: tuple[str, str] | None = None
    lists: tuple[int, ...] = ()
    above: str = ""
    after_blank: bool = True


def advance(state: State, line: str) -> tuple[Kind, State]:
    """Read one line (without its newline): its kind, and what is open after it."""
    if state.fence is not None:
        if not state.fence.quoted or _QUOTE.match(line):
            return _inside(state, state.fence, line)
        state = replace(state, fence=None)
    if not line.strip():
        return "blank", State(lists=state.lists)
    return _outside(state, line)


def fence_runs(line: str, fence: Fence) -> int:
    """How many fence characters the line consists of, apart from quote marks and white space; 0 if of anything else."""
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
    """Whether ``delimiter`` makes a table of the line above it: as many columns, at least one bar."""
    return "|" in above and bool(_DELIMITER.match(delimiter)) and _columns(above) == _columns(delimiter)


def may_be_delimiter(line: str) -> bool:
    """Whether a line that is still growing may become the delimiter row of a table."""
    return not line.strip(" \t|:->")


def _columns(row: str) -> int:
    mark = _QUOTE.match(row)
    return len(_CELL.findall(row[mark.end() if mark else 0 :].strip().strip("|"))) + 1


def _content_offset(rest: str) -> int:
    offset = 0
    while found := _ITEM.match(rest, offset):
        offset = found.end()
    return offset
