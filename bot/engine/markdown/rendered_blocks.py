"""Divides Markdown at its blocks, for platforms that limit how many blocks a message may render. Does no I/O."""

from __future__ import annotations

from bot.engine.markdown.blocks import State, advance

_ALONE = ("heading", "open", "delimiter")
"""Kinds of lines that begin a rendered block: a heading, a fence, a table. Text between two of them is one block."""


def divided(text: str, max_blocks: int) -> list[str]:
    """Return the text in pieces that render at most ``max_blocks`` blocks (at least 4), each valid Markdown.

    A cut is before a heading, a fence, a table or the text that follows one. It depends only on the text before it, so
    that pieces stay the same while text is appended. Only white space at a cut is lost.
    """
    pieces, begin, offset, count, safe = [], 0, 0, 0, 0
    state, in_text, after_blank = State(), False, True
    for line in text.splitlines(keepends=True):
        kind, after = advance(state, line.rstrip("\r\n"))
        starts_text = kind in ("text", "item") and not in_text
        if kind in ("heading", "open") or starts_text or (kind in ("text", "item") and after_blank):
            safe = offset
        if kind in _ALONE or starts_text:
            count += 1
            if count >= max_blocks and safe > begin:
                pieces.append(text[begin:safe])
                begin, count = safe, 1 if safe == offset else 2
        if kind != "body":
            in_text = kind in ("text", "item") or (in_text and kind == "blank")
        after_blank, state, offset = kind == "blank", after, offset + len(line)
    return [piece for piece in (*map(str.rstrip, pieces), text[begin:]) if piece.strip()]
