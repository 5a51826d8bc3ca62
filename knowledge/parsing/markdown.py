"""Parses Markdown. The text stays as written, and blocks are offsets into it."""

from __future__ import annotations

import itertools
import re
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from knowledge.parsing import front_matter
from knowledge.parsing.document_builder import ParsedDocument
from knowledge.types.documents import Block, BlockKind

_KINDS: dict[str, BlockKind] = {
    "paragraph_open": "paragraph",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "blockquote_open": "quote",
    "table_open": "table",
    "fence": "code",
    "code_block": "code",
    "html_block": "paragraph",
}


def parse(text: str) -> ParsedDocument:
    """Parse Markdown with tables. Front matter is a block of its own, and provides the title and metadata."""
    front = front_matter.read(text)
    skipped = text[: front.end].count("\n")
    line_starts = _line_starts(text)
    body = text[front.end :]
    tokens = _reader().parse(body)
    path: list[tuple[int, str]] = []
    blocks = [Block("paragraph", front.start, front.stop - 1)] if front.stop > front.start + 1 else []
    for token, following in zip(tokens, [*tokens[1:], None], strict=False):
        if token.level != 0 or token.map is None:
            continue
        start, end = _span(text, line_starts, token, skipped)
        if start == end:
            continue
        if token.type == "heading_open":
            level, name = int(token.tag[1:]), _plain(following)
            path = [(above, title) for above, title in path if above < level]
            blocks.append(Block("heading", start, end, tuple(title for _, title in path)))
            path.append((level, name))
        elif token.type in _KINDS:
            blocks.append(Block(_KINDS[token.type], start, end, tuple(title for _, title in path)))
    return ParsedDocument(front.title or _title(tokens), text, tuple(blocks), front.metadata)


@cache
def _reader() -> MarkdownIt:
    """Return the reader of Markdown. To build it takes longer than to read a short file."""
    return MarkdownIt("commonmark").enable("table")


def _line_starts(text: str) -> list[int]:
    starts = [0]
    starts += (match.end() for match in re.finditer("\n", text))
    return [*starts, len(text)]


def _span(text: str, line_starts: list[int], token: Token, skipped: int) -> tuple[int, int]:
    """Return the offsets of a token. ``skipped`` is the number of lines of front matter before the parsed text."""
    first, last = token.map or (0, 0)
    start, end = line_starts[first + skipped], line_starts[min(last + skipped, len(line_starts) - 1)]
    return start, start + len(text[start:end].rstrip())


def _plain(inline: Token | None) -> str:
    """Return the text of a heading without its markup."""
    if inline is None:
        return ""
    children = inline.children or []
    return " ".join("".join(c.content for c in children if c.type in ("text", "code_inline")).split())


def _title(tokens: list[Token]) -> str:
    pairs = itertools.pairwise(tokens)
    return next((_plain(inline) for token, inline in pairs if token.type == "heading_open" and token.tag == "h1"), "")
