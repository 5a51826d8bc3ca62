"""Parses Markdown with the rules of the web page, for the page itself and for checks of sanitized text. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token


@dataclass(frozen=True, slots=True)
class Found:
    """A link target, or text outside code, with the lines ``start`` to ``end`` of the block that it stands in."""

    text: str
    start: int
    end: int


def parser(renderer: type[RendererHTML] = RendererHTML) -> MarkdownIt:
    """Return the Markdown parser of the web page. It keeps link targets as written, so that they can be compared.

    HTML is text. Every target counts as a link, also one with a scheme that a browser would run: callers decide by an
    allow-list which links they show.
    """
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=cast(Any, renderer))
    markdown.enable(["table", "strikethrough"])
    markdown.validateLink = lambda url: True  # type: ignore[method-assign]
    markdown.normalizeLink = lambda url: url  # type: ignore[method-assign]
    markdown.normalizeLinkText = lambda link: link  # type: ignore[method-assign]
    return markdown


@lru_cache(1)
def _parser() -> MarkdownIt:
    return parser()


def targets_and_words(text: str) -> tuple[list[Found], list[Found]]:
    """Return the targets of links, images and link references, and the pieces of text outside code.

    The lines of a link reference are those of its definition.
    """
    env: dict[str, Any] = {}
    tokens = _parser().parse(text, env)
    links: list[Found] = []
    words: list[Found] = []
    for token, start, end in _inline(tokens, text.count("\n") + 1):
        for child in _flat(token.children or []):
            target = child.attrs.get("href", child.attrs.get("src"))
            if target is not None:
                links.append(Found(str(target), start, end))
            if child.type in ("text", "text_special"):
                words.append(Found(child.content, start, end))
    references = [*env.get("references", {}).values(), *env.get("duplicate_refs", ())]
    links += [Found(str(one["href"]), *one["map"]) for one in references]
    return links, words


def _inline(tokens: list[Token], last: int) -> Iterator[tuple[Token, int, int]]:
    """Yield the inline tokens with the lines of their block; a table cell without lines of its own has its row's."""
    lines = (0, last)
    for token in tokens:
        if token.map:
            lines = (token.map[0], token.map[1])
        if token.type == "inline":
            yield token, *lines


def _flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _flat(token.children or [])
