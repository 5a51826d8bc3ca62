"""Splits an HTML page into blocks in the order of the page: headings, paragraphs, lists, tables, quotes and code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from knowledge.parsing.html import html_tables
from knowledge.parsing.html.html_text import BLOCK_TAGS, code_of, collapsed, inline_pieces, pieces_of, text_of
from knowledge.types.documents import BlockKind
from knowledge.whole_numbers import whole_number

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LISTS = ("ul", "ol", "menu", "dir")
_COMPLEX_ITEM = ("pre", "table", "blockquote", "figure", *_HEADINGS)
_MAX_SIMPLE_ITEM_BLOCKS = 2
_LINE_NUMBERS = frozenset(("linenos", "lineno", "linenodiv", "gutter", "line-numbers-rows"))


@dataclass(frozen=True, slots=True)
class PageBlock:
    """One block of a page. ``element`` is where it stands; ``level`` is that of a heading, ``rows`` those of a table.

    ``linked`` counts the characters of its text that are links.
    """

    kind: BlockKind
    text: str
    element: Any
    level: int = 0
    rows: list[list[str]] = field(default_factory=list)
    linked: int = 0


def blocks_of(root: Any) -> list[PageBlock]:
    """Return the blocks of an element, of which ``html_text.remove_skipped`` has removed what is not shown."""
    return [block for block in _blocks(root) if block.text]


def _blocks(element: Any, kind: BlockKind = "paragraph", marker: str = "") -> Iterator[PageBlock]:
    """Yield the blocks inside an element. Text between block elements is a block of its own.

    ``marker`` starts the first text, as ``1. `` does in a list item.
    """
    pieces: list[str] = [marker, (element.text or "").replace("\n", " ")]
    inline: list[Any] = []
    in_link = element.tag == "a" or next(element.iterancestors("a"), None) is not None

    def flush() -> Iterator[PageBlock]:
        text = collapsed(pieces, "\n")
        linked = sum(_linked(one) for one in inline)
        pieces.clear()
        inline.clear()
        if text and text != marker.strip():
            yield PageBlock(kind, text, element, linked=len(text) if in_link else linked)
        elif text:
            pieces.append(marker)

    for child in element:
        tag = child.tag
        if tag == "hr":
            yield from flush()
        elif tag in BLOCK_TAGS or _has_blocks(child):
            yield from flush()
            held = "".join(pieces)
            pieces.clear()
            yield from _block(child, kind, held)
        else:
            pieces.extend(inline_pieces(child))
            inline.append(child)
        pieces.append((child.tail or "").replace("\n", " "))
    yield from flush()


def _has_blocks(element: Any) -> bool:
    return any(inner.tag in BLOCK_TAGS for inner in element.iterdescendants())


def _block(element: Any, kind: BlockKind, marker: str) -> Iterator[PageBlock]:
    tag = element.tag
    level = _heading_level(element)
    if level:
        yield PageBlock("heading", text_of(element), element, level, linked=_linked(element))
    elif tag == "pre":
        if not _LINE_NUMBERS & set((element.get("class") or "").split()):
            yield PageBlock("code", code_of(element), element)
    elif tag == "table":
        yield from _table(element, kind)
    elif tag in _LISTS or tag == "dl":
        yield from _list(element, kind)
    elif tag == "blockquote":
        yield from _blocks(element, "quote", marker)
    else:
        yield from _blocks(element, kind, marker)


def _heading_level(element: Any) -> int:
    if element.tag in _HEADINGS:
        return _HEADINGS[element.tag]
    if element.get("role") == "heading" and not _has_blocks(element):
        return min(6, whole_number(str(element.get("aria-level") or "2")) or 2)
    return 0


def _table(table: Any, kind: BlockKind) -> Iterator[PageBlock]:
    for caption in table.iterchildren("caption"):
        yield from _blocks(caption, kind)
    if html_tables.is_layout(table):
        for row in html_tables.rows_of(table):
            for cell in row:
                if not _LINE_NUMBERS & set((cell.get("class") or "").split()):
                    yield from _blocks(cell, kind)
        return
    rows = html_tables.grid(table)
    text = "\n".join(" ".join(row) for row in rows).strip()
    yield PageBlock("table", text, table, rows=rows, linked=_linked(table))


def _list(element: Any, kind: BlockKind) -> Iterator[PageBlock]:
    """Yield a list as one block, or the blocks of each item if items hold code, tables or several paragraphs."""
    if _is_simple(element):
        text = "\n".join(_item_lines(element, ""))
        yield PageBlock("list", text, element, linked=_linked(element))
        return
    numbers = _numbers(element)
    for item in element:
        if item.tag == "li":
            yield from _blocks(item, kind, next(numbers))
        elif item.tag == "dt":
            yield PageBlock(kind, text_of(item), item, linked=_linked(item))
        else:
            yield from _block(item, kind, "")


def _is_simple(element: Any) -> bool:
    if any(True for _ in element.iterdescendants(*_COMPLEX_ITEM)):
        return False
    for item in element.iter("li", "dd"):
        paragraphs = sum(child.tag in ("p", "div", "section") for child in item)
        if paragraphs > _MAX_SIMPLE_ITEM_BLOCKS:
            return False
    return True


def _item_lines(element: Any, indent: str) -> Iterator[str]:
    """Yield a line for each item of a list, with the items of lists inside it indented below."""
    numbers, term = _numbers(element), ""
    for item in element:
        tag = item.tag
        if tag in _LISTS or tag == "dl":
            yield from _item_lines(item, indent + "  ")
        elif tag == "dt":
            if term:
                yield f"{indent}- {term}"
            term = text_of(item)
        elif tag == "div" and element.tag == "dl":
            yield from _item_lines(item, indent)
        else:
            start = next(numbers) if tag == "li" else "- "
            parts = _parts_of(item)
            first = parts.pop(0) if isinstance(parts[0], str) else ""
            shown = f"{term}: {first}" if term and first else term or first
            term = ""
            if shown:
                yield f"{indent}{start}{shown}"
            for part in parts:
                if isinstance(part, str):
                    yield f"{indent}  {part}"
                else:
                    yield from _item_lines(part, indent + "  ")
    if term:
        yield f"{indent}- {term}"


def _parts_of(item: Any) -> list[Any]:
    """Return the text of a list item and the lists inside it, in order. There is at least one part."""
    pieces: list[Any] = []
    _add_parts(item, pieces)
    parts: list[Any] = []
    for is_text, group in groupby(pieces, lambda piece: isinstance(piece, str)):
        found = list(group)
        parts += filter(None, [collapsed(found)]) if is_text else found
    return parts or [""]


def _add_parts(element: Any, pieces: list[Any]) -> None:
    """Append the pieces of text in an element, and the outermost lists in it."""
    pieces.append((element.text or "").replace("\n", " "))
    for child in element:
        if child.tag in (*_LISTS, "dl"):
            pieces.append(child)
        elif any(True for _ in child.iterdescendants(*_LISTS, "dl")):
            _add_parts(child, pieces)
        else:
            pieces.extend(inline_pieces(child))
        pieces.append((child.tail or "").replace("\n", " "))


def _numbers(element: Any) -> Iterator[str]:
    """Yield what stands before each item: ``- ``, or ``1. `` and so on in a numbered list."""
    start = whole_number(str(element.get("start") or "1"))
    number = 1 if start is None else start
    while True:
        yield f"{number}. " if element.tag == "ol" else "- "
        number += 1


def _linked(element: Any) -> int:
    """Return the number of characters of an element that are links. A link may stand around the element."""
    if element.tag == "a" or next(element.iterancestors("a"), None) is not None:
        return len(collapsed(pieces_of(element)))
    return sum(len(" ".join("".join(link.itertext()).split())) for link in element.iter("a"))
