"""Finds inline Markdown in a line: code spans, links, bare addresses, and boundaries of composed characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from bot.engine.markdown.blocks import Kind, State, advance

_RUN = re.compile(r"\\[^\w\s]|`+")
_ATOM = re.compile(
    r"!?\[[^\[\]\n]*\](?:\([^()\n]*\)|\[[^\[\]\n]*\])?"
    r"|【[^【】\n]*】"
    r"|<[^<>\s]+>"
    r"|(?:https?://|www\.)\S+"
    r"|\*\*[^*\n]+\*\*"
)
_HALF_OPEN = re.compile(r"[\[【<][^\]】>\n]{0,300}$")
_JOINERS = "\u200d\ufe0e\ufe0f\u20e3"


class Span(NamedTuple):
    """A code span ``line[start:end]`` including its backticks, ``size`` on each side."""

    start: int
    end: int
    size: int


def code_spans(line: str) -> tuple[list[Span], list[tuple[int, int]]]:
    """Return the code spans of one line, and the ranges of backticks that pair with nothing."""
    spans: list[Span] = []
    stray: list[tuple[int, int]] = []
    position = 0
    while found := _RUN.search(line, position):
        position = found.end()
        size = position - found.start()
        if found.group()[0] == "\\":
            continue
        closing = re.compile(rf"(?<!`)`{{{size}}}(?!`)").search(line, position)
        if closing:
            position = closing.end()
            spans.append(Span(found.start(), position, size))
        else:
            stray.append((found.start(), position))
    return spans, stray


def code_ranges(text: str) -> list[tuple[int, int]]:
    """Return the ranges of code in a text: lines of fences, and code spans; in order, not overlapping."""
    ranges: list[tuple[int, int]] = []
    for start, line, kind, _ in scanned(text):
        if kind in ("open", "body", "close"):
            ranges.append((start, start + len(line)))
        else:
            ranges.extend((start + span.start, start + span.end) for span in code_spans(line)[0])
    return ranges


def scanned(text: str) -> Iterator[tuple[int, str, Kind, State]]:
    """Yield each line as offset, text, kind, and the state after it."""
    state = State()
    start = 0
    for line in text.split("\n"):
        kind, state = advance(state, line)
        yield start, line, kind, state
        start += len(line) + 1


def atoms(line: str) -> list[tuple[int, int]]:
    """Return the ranges of a line that a split should not break, including those still open at its end."""
    spans, stray = code_spans(line)
    ranges = [(span.start, span.end) for span in spans]
    ranges.extend(found.span() for found in _ATOM.finditer(line))
    if stray:
        ranges.append((stray[-1][0], len(line)))
    half = _HALF_OPEN.search(line)
    if half:
        ranges.append((half.start(), len(line)))
    return ranges


def character_start(text: str, position: int, lowest: int) -> int:
    """Return the nearest index at or before ``position`` where a visible character begins, but not below ``lowest``."""
    place = position
    while place > lowest and place < len(text) and _joined(text, place):
        place -= 1
    return place if place > lowest else position


def _joined(text: str, place: int) -> bool:
    here, before = text[place], text[place - 1]
    if here in _JOINERS or before == "\u200d" or unicodedata.category(here) in ("Mn", "Mc", "Me"):
        return True
    if "\U0001f3fb" <= here <= "\U0001f3ff":
        return True
    return _flag(here) and _flags_before(text, place) % 2 == 1


def _flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _flags_before(text: str, place: int) -> int:
    count = 0
    while place - count > 0 and _flag(text[place - count - 1]):
        count += 1
    return count
