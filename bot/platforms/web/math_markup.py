r"""Finds formulas in Markdown: ``$x$``, ``$$x$$``, ``\(x\)`` and ``\[x\]``. The page draws them; here they stay text.

A ``$`` is money where a space, a letter or a digit stands on the wrong side of it, as in pandoc.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

MAX_CHARS = 5_000
"""Characters of the longest formula. A longer one is shown as text."""
_DOLLARS = re.compile(r"\$(?![\s$])((?:[^$\\\n]|\\.)+?)(?<!\s)\$(?![\w$])")
_INLINE = {
    "$": (re.compile(r"\$\$(?!\$)((?:[^$\\]|\\.)+?)\$\$(?!\$)", re.DOTALL), _DOLLARS),
    "\\": (re.compile(r"\\\[(.+?)\\\]", re.DOTALL), re.compile(r"\\\((.+?)\\\)", re.DOTALL)),
}
"""By the first character: the pattern of a formula on lines of its own, and of one in the text."""
_FENCES = {"$$": "$$", "\\[": "\\]"}
"""What begins and what ends a formula on lines of its own."""


def with_formulas(markdown: MarkdownIt) -> MarkdownIt:
    """Add the rules for formulas to a parser. Their tokens are ``formula`` and ``formula_block``."""
    markdown.inline.ruler.before("escape", "formula", _inline)
    markdown.block.ruler.before("fence", "formula_block", _block, {"alt": ["paragraph", "blockquote", "list"]})
    return markdown


def _inline(state: StateInline, silent: bool) -> bool:
    patterns = _INLINE.get(state.src[state.pos])
    before = state.src[state.pos - 1] if state.pos else " "
    if patterns is None or (state.src[state.pos] == "$" and (before.isalnum() or before == "$")):
        return False
    for display, pattern in zip((True, False), patterns, strict=True):
        found = pattern.match(state.src, state.pos, state.posMax)
        if found is None or len(found[1]) > MAX_CHARS or not found[1].strip():
            continue
        if not silent:
            token = state.push("formula", "code", 0)
            token.content, token.info = found[1].strip(), "display" if display else ""
        state.pos = found.end()
        return True
    return False


def _block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Take lines from one that is only an opening mark, such as ``$$``, to one that is only the closing mark."""
    if state.is_code_block(start_line):
        return False
    closing = _FENCES.get(_line(state, start_line))
    if closing is None:
        return False
    for line in range(start_line + 1, end_line):
        if _line(state, line) != closing:
            continue
        content = state.getLines(start_line + 1, line, state.blkIndent, False).strip()
        if not content or len(content) > MAX_CHARS:
            return False
        if not silent:
            state.line = line + 1
            token = state.push("formula_block", "code", 0)
            token.content, token.info, token.map = content, "display", [start_line, line + 1]
        return True
    return False


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].strip()
