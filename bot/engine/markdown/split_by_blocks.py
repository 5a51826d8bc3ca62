"""Splits Markdown between its blocks, for platforms that limit how many blocks a message may render. Does no I/O."""

from __future__ import annotations

import re

from bot.engine.markdown.blocks import State, advance

_ALONE = ("heading", "open", "delimiter")
"""Kinds of lines that begin a rendered block: a heading, a fence, a table. Text between two of them is one block."""
_RULE = re.compile(r" {0,3}(?:([-*_])(?: *\1){2,}|-+|=+) *$")
"""A horizontal rule, which is a block too, or the line under a heading, which makes one of the text above."""


def split_by_blocks(text: str, max_blocks: int) -> list[str]:
    """Return the text in pieces that render at most ``max_blocks`` blocks (at least 4), each valid Markdown.

    A cut is before a heading, a rule, a fence, a table or the text that follows one. It depends only on the text before
    it, so that pieces stay the same while text is appended. Only white space at a cut is lost.
    """
    pieces, begin, offset, count, safe = [], 0, 0, 0, 0
    state, in_text, after_blank = State(), False, True
    for line in text.splitlines(keepends=True):
        kind, after = advance(state, line.rstrip("\r\n"))
        is_text = kind in ("text", "item")
        is_rule = (is_text or kind == "row") and _RULE.match(line) is not None
        starts_text = is_text and not in_text
        if kind in ("heading", "open") or starts_text or (is_text and after_blank):
            safe = offset
        if kind in _ALONE or starts_text or is_rule:
            count += 1
            if count >= max_blocks and safe > begin:
                pieces.append(text[begin:safe])
                begin, count = safe, 1 if safe == offset else 2
        if kind != "body":
            in_text = (is_text and not is_rule) or (in_text and kind == "blank")
        after_blank, state, offset = kind == "blank", after, offset + len(line)
    return [piece for piece in (*map(str.rstrip, pieces), text[begin:]) if piece.strip()]
