"""Finds the code fences of a text, and rewrites those that platforms read differently. Does no I/O.

Discord has no tilde fences, ends a fence at the first three backticks, and needs a space after the mark of a quotation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bot.engine.markdown.blocks import Fence, fence_runs
from bot.engine.markdown.inline import scanned

_QUOTED = re.compile(r" *> ")
_QUOTE_MARK = re.compile(r"^( *)>(?! )")
"""A quote mark without the space that Discord requires."""
_INFO = re.compile(r"[\w+#-]*")
"""An info string that no platform reads as anything but the name of a language."""


@dataclass(slots=True)
class FencedCode:
    """A code fence with its lines. ``closing`` is None if the text leaves it open."""

    fence: Fence
    opening: str
    body: list[str] = field(default_factory=list)
    closing: str | None = None

    @property
    def unambiguous(self) -> bool:
        """Whether every platform treats exactly these lines as code."""
        fence = self.fence
        return (
            fence.marker == "```"
            and _INFO.fullmatch(fence.info) is not None
            and not any("```" in line for line in self.body)
            and any(line.strip(" >") for line in self.body)
            and (self.closing is None or fence_runs(self.closing, fence) == fence.size)
            and all(_QUOTED.match(line) for line in self._lines() if fence.quoted)
            and (fence.quoted or all(not line.strip() or line.startswith(fence.indent) for line in self.body))
        )

    def _lines(self) -> list[str]:
        return [self.opening, *self.body, *([] if self.closing is None else [self.closing])]

    def literal(self) -> list[str]:
        """Return the lines as they stand, with the fence closed."""
        return [self.opening, *self.body, self.fence.closer if self.closing is None else self.closing]

    def rewritten(self) -> list[str]:
        """Return the lines in a form that all platforms parse alike.

        The fence has three backticks and none inside; the body is not empty and indented like the fence.
        """
        indent = self.fence.indent
        body = [re.sub("`(?=``)", "` ", line) for line in self.body]
        if self.fence.quoted:
            body = [_QUOTE_MARK.sub(r"\1> ", line) for line in body]
            indent = _QUOTE_MARK.sub(r"\1> ", indent)
        else:
            body = [line if not line.strip() or line.startswith(indent) else indent + line for line in body]
        if not any(line.strip(" >") for line in body):
            body = [indent + "."]
        marker = "```"
        opening = self.opening[: -len(self.opening.lstrip(" >-*+.)0123456789"))] + marker
        info = _INFO.match(self.fence.info)
        opening = _QUOTE_MARK.sub(r"\1> ", opening) if self.fence.quoted else opening
        return [opening + (info.group() if info else ""), *body, indent + marker]


def pieces_of(text: str) -> list[str | FencedCode]:
    """Return the lines outside fences, and the fences, in order."""
    pieces: list[str | FencedCode] = []
    block: FencedCode | None = None
    for _, line, kind, state in scanned(text):
        if kind == "open" and state.fence:
            block = FencedCode(state.fence, line)
            pieces.append(block)
        elif block and kind == "body":
            block.body.append(line)
        elif block and kind == "close":
            block.closing, block = line, None
        else:
            block = None
            pieces.append(line)
    return pieces
