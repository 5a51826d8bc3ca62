"""Makes half-streamed Markdown displayable, and determines which part of it will not change any more."""

from __future__ import annotations

import re

from bot.engine.markdown.blocks import Kind, State, fence_runs, may_be_delimiter
from bot.engine.markdown.inline import code_spans, scanned

_Line = tuple[int, str, Kind, State]

_LONE_MARK = re.compile(r"[ >]*(?:[-*+_=~`]+|\d{1,9}[.)]?|#{1,6}|>|(?:[-*+]|\d{1,9}[.)]) +[`~]+)\s*$")
_HALF_OPEN = (
    re.compile(r"!?\[[^\[\]]{0,300}$|【[^【】]{0,40}$"),
    re.compile(r"!?\[[^\[\]]*\](?:\([^()\s]*(?:\([^()\s]*\)?[^()\s]*)*(?:\s+[^()]*)?|\[[^\[\]]*)$"),
    re.compile(r"!?\[(?!\s*\^?\d[\d\s,;^–-]*\])[^\[\]]+\]$"),
    re.compile(r"<[A-Za-z/!?@#][^<>]{0,300}$|<$"),
    re.compile(r"(?:\b[a-zA-Z][a-zA-Z0-9+.-]{1,15}://|\bwww\.)\S*$"),
)
_EMPHASIS = re.compile(r"\\[^\w\s]|\*{1,3}|_{1,3}|~~")
_MASK = "\ufffc"
"""Placeholder for a character of code, so that code is not parsed as Markdown."""
_CODE_CHARS = 300
"""Characters after which a backtick that nothing closes counts as text."""
_ROW_CHARS = 1000
"""Characters after which an incomplete table row is shown."""
_REACH = 800
"""Characters from the end in which incomplete constructs are searched."""
_NESTED = 8
"""Maximum number of nested incomplete constructs that are held back."""


def displayable(text: str) -> str:
    """Return the part of a half-streamed text that can be shown, with closing marks where something is open.

    Fences, code spans and emphasis are closed. An incomplete link, image, citation marker, address, tag, table row or
    block mark is held back until it is complete or cannot become one. A finished paragraph is always shown in full.
    """
    lines = list(scanned(text))
    start, line, kind, state = lines[-1]
    if state.fence is not None:
        return _fenced(text, lines)
    begin = _unfinished_table(lines)
    if begin is None and kind != "close" and _LONE_MARK.match(line):
        begin = start
    if begin is not None:
        return text[:begin].rstrip()
    begin = _paragraph_start(lines, len(text))
    return text[:begin] + _closed(text[begin:])


def _fenced(text: str, lines: list[_Line]) -> str:
    """Return a text that ends inside a fence, with the fence closed; a fence without a line is held back."""
    opened = max(index for index, line in enumerate(lines) if line[2] == "open")
    start, line, kind, state = lines[-1]
    assert state.fence is not None
    body = text[:start] if kind == "body" and fence_runs(line, state.fence) else text
    if opened + 1 == len(lines) or not body[lines[opened + 1][0] :].strip():
        return text[: lines[opened][0]].rstrip()
    return body.removesuffix("\n") + "\n" + state.fence.closer


def _unfinished_table(lines: list[_Line]) -> int | None:
    """Return where an incomplete table row begins, or a header without its delimiter row; None if there is none."""
    start, line, kind, _ = lines[-1]
    above = lines[-2] if len(lines) > 1 else None
    if above and (kind == "delimiter" or (_may_be_header(above) and may_be_delimiter(line))):
        return above[0] if kind == "delimiter" or not line or line.strip() else None
    if (kind == "row" and len(line) < _ROW_CHARS) or (kind == "text" and line.lstrip().startswith("|")):
        return start
    return None


def _may_be_header(line: _Line) -> bool:
    return line[2] == "text" and line[1].lstrip().startswith("|") and not may_be_delimiter(line[1])


def _paragraph_start(lines: list[_Line], end: int) -> int:
    """Return where the last block of the text begins; marks before it do not concern it."""
    for start, _, kind, _ in reversed(lines):
        if kind != "text":
            return start if kind in ("item", "heading", "row") else end
        end = start
    return end


def _closed(tail: str) -> str:
    """Return the last paragraph with incomplete constructs at its end held back and open marks closed."""
    spans, stray = code_spans(tail.replace("\n", " "))
    masked = tail
    for span in spans:
        masked = masked[: span.start] + _MASK * (span.end - span.start) + masked[span.end :]
    code = len(tail)
    if stray and len(tail) - stray[-1][1] < _CODE_CHARS:
        code, after = stray[-1]
        if not tail[after:].strip():
            tail = tail[:code]
        masked = masked[:code] + _MASK * (len(tail) - code)
    shown = len(_held_back(masked))
    backticks = tail[code : stray[-1][1]] if code < shown else ""
    masked, emphasis = _emphasis(masked[:shown].rstrip())
    shown = len(masked)
    return tail[:shown] + (backticks if code < shown else "") + emphasis if emphasis or backticks else tail[:shown]


def _held_back(masked: str) -> str:
    """Return the text without incomplete constructs at its end; deeply nested ones are shown."""
    for _ in range(_NESTED):
        halves = [pattern.search(masked, max(0, len(masked) - _REACH)) for pattern in _HALF_OPEN]
        if not any(halves):
            break
        masked = masked[: min(half.start() for half in halves if half)]
    return masked


def _emphasis(masked: str) -> tuple[str, str]:
    """Return the text without a trailing mark that closes nothing, and the marks that close open emphasis."""
    opened, dangling = _marks(masked)
    if dangling is not None:
        return _emphasis(masked[:dangling].rstrip())
    return masked, "".join(mark for _, mark in reversed(opened))


def _marks(masked: str) -> tuple[list[tuple[int, str]], int | None]:
    """Return open emphasis marks with their positions, and the position of a trailing mark that closes nothing."""
    opened: list[tuple[int, str]] = []
    for found in _EMPHASIS.finditer(masked):
        mark = found.group()
        if mark[0] == "\\":
            continue
        before, after = masked[: found.start()][-1:], masked[found.end() :][:1]
        if before.strip() and not (mark[0] == "_" and after.isalnum()):
            while opened and mark.startswith(opened[-1][1]):
                mark = mark[len(opened.pop()[1]) :]
        if mark and not after:
            return opened, found.start()
        if mark and after.strip() and not before.isalnum():
            opened.append((found.start(), mark))
    return opened, None


# --- the stable part


def stable_length(text: str) -> int:
    """Return how many characters from the start keep their text and meaning while the text grows.

    The stable part ends with a whole word. It includes a finished paragraph, fence or table, and a code span, emphasis
    or link that is closed.
    """
    lines = list(scanned(text))
    ended = len(lines) > 1 and not lines[-1][1]
    if ended:
        lines.pop()
    _, _, kind, state = lines[-1]
    if state.fence is not None or (kind == "close" and not ended):
        begin = next(start for start, _, kind, _ in reversed(lines) if kind == "open")
    elif state.table is not None:
        begin = next(lines[at - 1][0] for at in range(len(lines) - 1, 0, -1) if lines[at][2] == "delimiter")
    else:
        start = _paragraph_start(lines, len(text))
        begin = min(start + _closed_length(text[start:]), _possible_table(lines, text))
    kept = text[:begin].rstrip()
    mark = _LONE_MARK.match(kept, kept.rfind("\n") + 1)
    return len(kept[: mark.start()].rstrip()) if mark and mark.group().strip(" >`~") else len(kept)


def _possible_table(lines: list[_Line], text: str) -> int:
    """Return where a line begins that the next line may turn into a table header; else the end of the text."""
    for at in range(len(lines) - 1, max(-1, len(lines) - 3), -1):
        start, line, kind, _ = lines[at]
        below = lines[at + 1][1] if at + 1 < len(lines) else ""
        if kind == "text" and "|" in line and may_be_delimiter(below):
            return start
    return len(text)


def _closed_length(tail: str) -> int:
    """Return the length of a paragraph's beginning in which nothing is open, up to the end of a word."""
    spans, stray = code_spans(tail.replace("\n", " "))
    masked = tail
    for span in spans:
        masked = masked[: span.start] + _MASK * (span.end - span.start) + masked[span.end :]
    masked = _held_back(masked[: stray[0][0]] if stray else masked)
    opened, dangling = _marks(masked)
    end = min(opened[0][0] if opened else len(masked), len(masked) if dangling is None else dangling)
    return max((place for place in range(end) if masked[place].isspace()), default=0)
