"""Separates a model's reasoning from its answer where a server sends both as one text, marked ``<think>…</think>``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_OPEN = ("<think>", "<thinking>")
_CLOSE = ("</think>", "</thinking>")
_LONGEST_CLOSE = max(map(len, _CLOSE))
_ANY_CLOSE = re.compile("|".join(_CLOSE), re.IGNORECASE)
_CLOSE_ON_ITS_LINE = re.compile(rf"\n[ \t]*(?:{'|'.join(_CLOSE)})", re.IGNORECASE)

Kind = Literal["answer", "reasoning", "restart"]
Piece = tuple[Kind, str]
"""Text of the answer, text of the reasoning, or ``restart``: all text so far was reasoning."""


@dataclass(slots=True)
class InlineReasoning:
    """Splits a streamed text, however its pieces are cut.

    Reasoning stands before the answer. Some servers put the opening tag into the prompt, so that only a closing tag at
    the beginning of a line is seen; then the text before it was reasoning. Tags inside an answer stay in it.
    """

    _state: Literal["start", "reasoning", "answer"] = "start"
    _held: str = ""
    """Text whose meaning the next piece decides."""
    _found: bool = False
    """Whether a reasoning block has ended."""
    _at_line_start: bool = True
    _shown: str = ""
    """The answer so far, unless a reasoning block has ended."""

    def feed(self, text: str) -> Iterator[Piece]:
        """Yield what a piece of text completes."""
        self._held += text
        while True:
            before = self._state
            match self._state:
                case "start":
                    yield from self._begin()
                case "reasoning":
                    yield from self._reason()
                case "answer":
                    yield from self._answer()
            if self._state == before:
                return

    def end(self) -> Iterator[Piece]:
        """Yield what is left when the text has ended."""
        rest, self._held = self._held, ""
        if self._state == "start" and self._found:
            rest = rest.lstrip()
        if rest:
            yield ("reasoning" if self._state == "reasoning" else "answer"), rest

    def _begin(self) -> Iterator[Piece]:
        """Decide whether a reasoning block or the answer begins."""
        stripped = self._held.lstrip()
        lower = stripped.lower()
        opened = next((tag for tag in _OPEN if lower.startswith(tag)), None)
        if opened:
            self._state, self._held = "reasoning", stripped[len(opened) :]
        elif self._found and not stripped:
            self._held = ""
        elif any(tag.startswith(lower) for tag in _OPEN):
            return
        else:
            self._state = "answer"
            self._held = stripped if self._found else self._held
        yield from ()

    def _reason(self) -> Iterator[Piece]:
        closed = _ANY_CLOSE.search(self._held)
        if closed:
            text, self._held = self._held[: closed.start()], self._held[closed.end() :]
            self._state, self._found = "start", True
        else:
            keep = min(len(self._held), _LONGEST_CLOSE - 1)
            text, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        if text:
            yield "reasoning", text

    def _answer(self) -> Iterator[Piece]:
        """Pass the answer on, and notice the end of a reasoning block whose beginning was not sent."""
        lines = f"\n{self._held}" if self._at_line_start else self._held
        closed = None if self._found else self._closing_tag(lines)
        if closed:
            self._state, self._found, self._held = "start", True, lines[closed.end() :]
            yield "restart", ""
            return
        keep = 0 if self._found else self._undecided()
        text, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        if text:
            self._shown += "" if self._found else text
            self._at_line_start = text.endswith("\n")
            yield "answer", text

    def _closing_tag(self, lines: str) -> re.Match[str] | None:
        """Return the first closing tag that begins a line outside a code block."""
        for found in _CLOSE_ON_ITS_LINE.finditer(lines):
            if (self._shown + lines[: found.start()]).count("```") % 2 == 0:
                return found
        return None

    def _undecided(self) -> int:
        """Return the length of the last line if it may become a closing tag."""
        _, newline, line = self._held.rpartition("\n")
        if not line or not (newline or self._at_line_start):
            return 0
        return len(line) if any(tag.startswith(line.lstrip(" \t").lower()) for tag in _CLOSE) else 0
