"""Markdown. The text stays as it was written; blocks point into it."""

from __future__ import annotations

import itertools
import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from knowledge.parsing.document_builder import Parsed
from knowledge.types import Block, BlockKind

_FRONT_MATTER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[ \t]*[\"']?(.*?)[\"']?[ \t]*$", re.MULTILINE)
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


def parse(text: str) -> Parsed:
    """Headings make the path of what follows; front matter gives a title and is no block."""
    front = _FRONT_MATTER.match(text)
    skipped = text[: front.end()].count("\n") if front else 0
    lines = _line_starts(text)
    body = text[front.end() :] if front else text
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    path: list[tuple[int, str]] = []
    blocks: list[Block] = []
    for token, following in zip(tokens, [*tokens[1:], None], strict=False):
        if token.level != 0 or token.map is None:
            continue
        start, end = _span(text, lines, token, skipped)
        if start == end:
            continue
        if token.type == "heading_open":
            level, name = int(token.tag[1:]), _plain(following)
            path = [(above, title) for above, title in path if above < level]
            blocks.append(Block("heading", start, end, tuple(title for _, title in path)))
            path.append((level, name))
        elif token.type in _KINDS:
            blocks.append(Block(_KINDS[token.type], start, end, tuple(title for _, title in path)))
    return Parsed(_title(front.group(1) if front else "", tokens), text, tuple(blocks))


def _line_starts(text: str) -> list[int]:
    starts = [0]
    starts += (match.end() for match in re.finditer("\n", text))
    return [*starts, len(text)]


def _span(text: str, lines: list[int], token: Token, skipped: int) -> tuple[int, int]:
    first, last = token.map or (0, 0)
    start, end = lines[first + skipped], lines[min(last + skipped, len(lines) - 1)]
    return start, start + len(text[start:end].rstrip())


def _plain(inline: Token | None) -> str:
    """The words of a heading without their markup."""
    if inline is None:
        return ""
    children = inline.children or []
    return " ".join("".join(c.content for c in children if c.type in ("text", "code_inline")).split())


def _title(front: str, tokens: list[Token]) -> str:
    named = _FRONT_TITLE.search(front)
    if named and named.group(1):
        return named.group(1)
    pairs = itertools.pairwise(tokens)
    return next((_plain(inline) for token, inline in pairs if token.type == "heading_open" and token.tag == "h1"), "")
