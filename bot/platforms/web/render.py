"""Renders Markdown to safe HTML, and converts the engine's values to the page's JSON views.

Markdown is sanitized first. Then the allow-list is enforced again on the parsed document, so that no disagreement with
the output filter can produce a link. HTML in the Markdown is shown as text, and an image as its description.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.common.normalize_url import normalizeLink
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from bot.commands.base import Cell, Table
from bot.engine.display.character_filter import visible
from bot.engine.display.citation_links import link
from bot.engine.display.output_filter import sanitize
from bot.engine.display.urls import permitted
from bot.engine.markdown import commonmark
from bot.platforms.web import user_messages
from bot.platforms.web.code_blocks import code_block
from bot.platforms.web.json_views import MessageView, SourceView
from bot.platforms.web.math_markup import with_formulas
from bot.types.display import Citation, Part

_TASK = re.compile(r"\[([ xX])\]\s")
_MARKER = re.compile(r"\[(\d{1,3})\]")
_NUMBER = re.compile(r"[-–]?[$€]?[\d.,]+(e[-+]?\d+)?\s?(%|ms|s|k|M)?")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EMPTY_CELLS = (None, "", "-", "–")
_ONE_LINE_CHARS = 16
"""Table cells of up to this many characters never wrap."""
_LINK_SCHEMES = ("http", "https", "mailto")


_SCROLLING = '<div class="scroll" tabindex="0" role="group" aria-label="Table">'
"""Opens the element that scrolls a wide table. The keyboard scrolls it when it has the focus."""


class _Renderer(RendererHTML):
    """Renders scrollable tables without inline styles, and links without a referrer. Omits images."""

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"{_SCROLLING}<table>\n"

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _cell_open("th", tokens[idx])

    def td_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _cell_open("td", tokens[idx])

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        href = html.escape(normalizeLink(str(tokens[idx].attrGet("href") or "")))
        return f'<a href="{href}" target="_blank" rel="noopener noreferrer nofollow">'

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        language = tokens[idx].info.split(maxsplit=1)
        return code_block(tokens[idx].content, language[0] if language else "")

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return code_block(tokens[idx].content)

    def formula(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f'<code class="{f"formula {tokens[idx].info}".strip()}">{html.escape(tokens[idx].content)}</code>'

    def formula_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"<p>{self.formula(tokens, idx, options, env)}</p>\n"

    def checkbox(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        checked = " checked" if tokens[idx].info == "x" else ""
        return f'<input type="checkbox" disabled{checked} aria-label="{user_messages.TASK}">'

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


def _is_safe_link(url: str, links: frozenset[str]) -> bool:
    """Return whether the page may link a target: it is in ``links``, with a scheme that only opens a page or a mail."""
    try:
        return urlsplit(url).scheme.lower() in _LINK_SCHEMES and permitted(url, links)
    except ValueError:
        return False


@lru_cache(1)
def _markdown() -> MarkdownIt:
    return with_formulas(commonmark.parser(_Renderer))


def blocks(
    text: str,
    source_numbers: frozenset[int] = frozenset(),
    *,
    pending: bool = False,
    links: frozenset[str] = frozenset(),
) -> tuple[str, ...]:
    """Return the HTML of each top-level block. A marker ``[n]`` becomes a button if ``n`` is in ``source_numbers``.

    ``pending`` is True while the sources are not known yet: then every marker is shown as an inactive citation. Only
    addresses in ``links`` become links (see ``urls_in``).
    """
    markdown = _markdown()
    env: dict[str, Any] = {}
    tokens = markdown.parse(sanitize(text, links), env)
    rendered: list[str] = []
    start = 0
    for position, token in enumerate(tokens):
        if token.children and position >= 2 and tokens[position - 2].type == "list_item_open":
            token.children = _with_checkbox(token.children)
        if token.children:
            token.children = _with_citations(_without_other_links(token.children, links), source_numbers, pending)
        if token.level == 0 and token.nesting <= 0:
            rendered.append(markdown.renderer.render(tokens[start : position + 1], markdown.options, env).strip())
            start = position + 1
    return tuple(rendered)


def _without_other_links(children: Sequence[Token], links: frozenset[str]) -> list[Token]:
    """Replace links that are not allowed by their labels, followed by their targets as code."""
    result: list[Token] = []
    dropped: list[str] = []
    """The targets of the links that are open, an empty string for an allowed one."""
    for token in children:
        if token.type == "link_open":
            target = str(token.attrGet("href") or "")
            dropped.append("" if _is_safe_link(target, links) else target or "-")
            if not dropped[-1]:
                result.append(token)
        elif token.type == "link_close" and dropped:
            if target := dropped.pop():
                result += [Token("text", "", 0, content=" "), Token("code_inline", "code", 0, content=target)]
            else:
                result.append(token)
        else:
            result.append(token)
    return result


def _with_checkbox(children: Sequence[Token]) -> list[Token]:
    """Replace the ``[ ]`` or ``[x]`` at the beginning of a list item."""
    first, *rest = children
    task = _TASK.match(first.content) if first.type == "text" else None
    if task is None:
        return list(children)
    box = Token("checkbox", "input", 0, info=task[1].strip().lower())
    return [box, Token("text", "", 0, content=first.content[task.end() - 1 :]), *rest]


def _with_citations(children: Sequence[Token], source_numbers: frozenset[int], pending: bool) -> list[Token]:
    """Replace the citation markers in inline tokens."""
    result: list[Token] = []
    for token in children:
        if token.type != "text" or "[" not in token.content:
            result.append(token)
            continue
        for index, piece in enumerate(_MARKER.split(token.content)):
            if index % 2 == 0:
                result += [Token("text", "", 0, content=piece)] if piece else []
            elif int(piece) in source_numbers:
                result.append(Token("cite", "button", 0, content=piece))
            elif pending:
                result.append(Token("cite", "span", 0, content=piece, info="pending"))
            else:
                result.append(Token("text", "", 0, content=f"[{piece}]"))
    return result


def plain(text: str) -> tuple[str, ...]:
    """Return the HTML of a text that is shown exactly as the user typed it."""
    return (f'<p class="plain">{html.escape(visible(text))}</p>',)


def table(value: Table) -> str:
    """Return the HTML of a command's table. Columns of numbers are aligned right."""
    right = [_is_numeric_column(row[i] for row in value.rows) for i in range(len(value.columns))]
    head = "".join(_cell("th", name, right[i]) for i, name in enumerate(value.columns))
    rows = "".join(
        "<tr>" + "".join(_cell("td", _cell_text(cell), right[i]) for i, cell in enumerate(row)) + "</tr>"
        for row in value.rows
    )
    body = rows or f'<tr><td colspan="{len(value.columns)}" class="empty-cell">{user_messages.EMPTY_TABLE}</td></tr>'
    return f"{_SCROLLING}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(tag: str, text: str, right: bool) -> str:
    escaped = html.escape(visible(text))
    if _UUID.fullmatch(text):
        return f'<{tag}><code class="id" title="{escaped}">{escaped}</code></{tag}>'
    classes = [name for name, applies in (("right", right), ("short", len(text) <= _ONE_LINE_CHARS)) if applies]
    return f'<{tag} class="{" ".join(classes)}">{escaped}</{tag}>' if classes else f"<{tag}>{escaped}</{tag}>"


def _is_numeric_column(cells: Any) -> bool:
    numeric = [not isinstance(cell, str) or _NUMBER.fullmatch(cell) for cell in cells if cell not in _EMPTY_CELLS]
    return bool(numeric) and all(numeric)


def _cell_text(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:,.4f}".rstrip("0").rstrip(".") if isinstance(cell, float) else cell


def source(citation: Citation) -> SourceView:
    """Return the view of a citation."""
    quote = visible(citation.quote)
    return SourceView(
        n=citation.n,
        title=visible(citation.title or citation.source),
        quote=quote,
        source=visible(citation.source),
        heading=tuple(map(visible, citation.heading)),
        page=citation.page,
        page_label=visible(citation.page_label),
        url=link(citation),
        document=citation.document_id,
        start=citation.start,
        literal="" if quote == citation.quote else citation.quote,
    )


def reply(ref: str, part: Part, *, thread: str, at: str, source_numbers: frozenset[int]) -> MessageView:
    """Return the view of one message of an answer. ``source_numbers`` are the sources whose markers are clickable."""
    return MessageView(
        id=ref,
        thread=thread,
        role="assistant",
        author="Parley",
        at=at,
        blocks=blocks(
            part.text,
            source_numbers | {citation.n for citation in part.sources},
            pending=not part.final,
            links=part.links,
        ),
        turn=part.turn_id,
        final=part.final,
        sources=tuple(source(citation) for citation in part.sources),
        notes=tuple(map(visible, part.notes)),
        actions=part.actions,
    )
