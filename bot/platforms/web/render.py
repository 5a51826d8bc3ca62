"""Markdown to safe HTML, and the engine's values to the page's. Pure.

HTML in the text is shown as text, images are shown as their description, links keep http, https and mailto only.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from bot.commands.base import Cell, Table
from bot.engine.display.citation_links import link
from bot.platforms.web.json_views import MessageView, SourceView
from bot.types.display import Citation, Part

_MARKER = re.compile(r"\[(\d{1,3})\]")
_NUMBER = re.compile(r"[-–]?[$€]?[\d.,]+(e[-+]?\d+)?\s?(%|ms|s|k|M)?")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BLANK = (None, "", "-", "–")
_SHORT = 16
"""Characters that a cell of a table keeps on one line."""
_SCHEMES = ("http", "https", "mailto")


class _Renderer(RendererHTML):
    """Tables that scroll, aligned without inline styles; links that tell the other site nothing; no images."""

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return '<div class="scroll"><table>\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _cell_open("th", tokens[idx])

    def td_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _cell_open("td", tokens[idx])

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        href = html.escape(str(tokens[idx].attrGet("href") or ""))
        return f'<a href="{href}" target="_blank" rel="noopener noreferrer nofollow">'

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return html.escape(tokens[idx].content or "image")

    def cite(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        n = tokens[idx].content
        if tokens[idx].info == "pending":
            return f'<span class="cite pending">{n}</span>'
        return f'<button type="button" class="cite" data-n="{n}" aria-label="Source {n}">{n}</button>'


def _cell_open(tag: str, token: Token) -> str:
    align = re.search(r"text-align:\s*(left|right|center)", str(token.attrGet("style") or ""))
    return f'<{tag} class="{align[1]}">' if align else f"<{tag}>"


def _safe_link(url: str) -> bool:
    try:
        return urlsplit(url.strip()).scheme.lower() in _SCHEMES
    except ValueError:
        return False


@lru_cache(1)
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer)
    markdown.enable(["table", "strikethrough"])
    markdown.validateLink = _safe_link  # type: ignore[method-assign]
    return markdown


def blocks(text: str, known: frozenset[int] = frozenset(), *, pending: bool = False) -> tuple[str, ...]:
    """The HTML of each top-level block. Markers ``[n]`` of ``known`` sources become buttons.

    ``pending`` says that the sources are still to come: then every marker looks like one.
    """
    markdown = _markdown()
    env: dict[str, Any] = {}
    tokens = markdown.parse(text, env)
    found: list[str] = []
    start = 0
    for position, token in enumerate(tokens):
        if token.children:
            token.children = _with_markers(token.children, known, pending)
        if token.level == 0 and token.nesting <= 0:
            found.append(markdown.renderer.render(tokens[start : position + 1], markdown.options, env).strip())
            start = position + 1
    return tuple(found)


def _with_markers(children: Sequence[Token], known: frozenset[int], pending: bool) -> list[Token]:
    made: list[Token] = []
    for token in children:
        if token.type != "text" or "[" not in token.content:
            made.append(token)
            continue
        for index, piece in enumerate(_MARKER.split(token.content)):
            if index % 2 == 0:
                made += [Token("text", "", 0, content=piece)] if piece else []
            elif int(piece) in known:
                made.append(Token("cite", "button", 0, content=piece))
            elif pending:
                made.append(Token("cite", "span", 0, content=piece, info="pending"))
            else:
                made.append(Token("text", "", 0, content=f"[{piece}]"))
    return made


def plain(text: str) -> tuple[str, ...]:
    """What a person typed, as they typed it."""
    return (f'<p class="plain">{html.escape(text)}</p>',)


def table(value: Table) -> str:
    """A command's table; numbers stand to the right."""
    right = [_numeric(row[i] for row in value.rows) for i in range(len(value.columns))]
    head = "".join(_tagged("th", name, right[i]) for i, name in enumerate(value.columns))
    rows = "".join(
        "<tr>" + "".join(_tagged("td", _shown(cell), right[i]) for i, cell in enumerate(row)) + "</tr>"
        for row in value.rows
    )
    body = rows or f'<tr><td colspan="{len(value.columns)}" class="none">nothing yet</td></tr>'
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _tagged(tag: str, text: str, right: bool) -> str:
    shown = html.escape(text)
    if _ID.fullmatch(text):
        return f'<{tag}><code class="id" title="{shown}">{shown}</code></{tag}>'
    kinds = [name for name, applies in (("right", right), ("short", len(text) <= _SHORT)) if applies]
    return f'<{tag} class="{" ".join(kinds)}">{shown}</{tag}>' if kinds else f"<{tag}>{shown}</{tag}>"


def _numeric(cells: Any) -> bool:
    kinds = [not isinstance(cell, str) or _NUMBER.fullmatch(cell) for cell in cells if cell not in _BLANK]
    return bool(kinds) and all(kinds)


def _shown(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:,.4f}".rstrip("0").rstrip(".") if isinstance(cell, float) else cell


def source(citation: Citation) -> SourceView:
    """A citation as the page shows it."""
    return SourceView(
        n=citation.n,
        title=citation.title or citation.source,
        quote=citation.quote,
        source=citation.source,
        heading=citation.heading,
        page=citation.page,
        url=link(citation),
    )


def reply(ref: str, part: Part, *, thread: str, at: str, known: frozenset[int]) -> MessageView:
    """A part of an answer; ``known`` are the sources whose markers may be clicked."""
    return MessageView(
        id=ref,
        thread=thread,
        role="assistant",
        author="Parley",
        at=at,
        blocks=blocks(part.text, known | {citation.n for citation in part.sources}, pending=not part.final),
        turn=part.turn_id,
        final=part.final,
        sources=tuple(source(citation) for citation in part.sources),
        notes=part.notes,
        actions=part.actions,
    )
