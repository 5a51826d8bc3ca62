"""Parses HTML pages: extracts the main content as headings, paragraphs, lists, tables and code, without navigation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import trafilatura
from lxml import etree, html  # type: ignore[import-untyped]

from knowledge.errors import ParseError
from knowledge.metadata import LANGUAGE
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.types import BlockKind

_KINDS: dict[str, BlockKind] = {"quote": "quote", "code": "code", "list": "list"}
_SKIPPED_TAGS = ("script", "style", "noscript", "template", "nav", "footer", "aside", "form", "svg", "iframe", "head")
_BLOCK_TAGS = ("p", "pre", "table", "ul", "ol", "dl", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6")


def parse(data: bytes) -> ParsedDocument:
    """Parse the main content that trafilatura finds, or the full body if it finds none. Raises ParseError."""
    tree = _tree(data)
    title = _title(tree)
    language = str(tree.get("lang") or "").strip().lower()
    extracted = trafilatura.bare_extraction(
        tree, include_tables=True, include_comments=False, include_formatting=True, favor_recall=True
    )
    builder = Builder()
    body = getattr(extracted, "body", None)
    if body is not None:
        for element in body:
            _add(builder, element)
    parsed = builder.build(title)
    parsed = parsed if parsed.blocks else _parse_body(_tree(data), title)
    return replace(parsed, metadata={LANGUAGE: language}) if language else parsed


def _tree(data: bytes) -> Any:
    """Parse the HTML as UTF-8 if it is valid UTF-8, else in the encoding that the page declares. Raises ParseError."""
    try:
        data.decode()
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = None
    parser = html.HTMLParser(encoding=encoding, huge_tree=False, no_network=True)
    try:
        tree = html.document_fromstring(data, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        raise ParseError("the page is empty or is not HTML; check the address or save the page again") from None
    return tree


def _title(tree: Any) -> str:
    heading = tree.find(".//h1")
    title = tree.findtext(".//title") or ""
    return " ".join((heading.text_content() if heading is not None else "").split()) or " ".join(title.split())


def _add(builder: Builder, element: Any) -> None:
    if element.tag == "head":
        builder.heading(int(str(element.get("rend", "h2"))[1:] or 2), _text(element))
    elif element.tag == "table":
        builder.table([[_text(cell) for cell in row.iter("cell")] for row in element.iter("row")])
    elif element.tag == "code":
        builder.add("code", "".join(element.itertext()))
    elif element.tag == "list":
        builder.add("list", "\n".join(f"- {_item_text(item)}" for item in element.iter("item")))
    else:
        builder.add(_KINDS.get(element.tag, "paragraph"), _text(element))


def _text(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


def _item_text(item: Any) -> str:
    """Return the text of a list item without its nested lists, whose items are added on their own."""
    nested = {id(element) for inner in item.iter("list") for element in inner.iter()}
    words = [item.text or ""]
    for child in item.iterdescendants():
        if id(child) not in nested:
            words.append(child.text or "")
        words.append(child.tail or "" if id(child.getparent()) not in nested else "")
    return " ".join(" ".join(words).split())


def _parse_body(tree: Any, title: str) -> ParsedDocument:
    """Parse every block of the body, for pages too short to separate the content from the navigation."""
    for noise in list(tree.iter(*_SKIPPED_TAGS)):
        if noise.getparent() is not None:
            noise.drop_tree()
    builder = Builder()
    for element in tree.iter(*_BLOCK_TAGS):
        if any(above.tag in _BLOCK_TAGS for above in element.iterancestors()):
            continue
        if element.tag == "table":
            builder.table([[_text(cell) for cell in row.iter("td", "th")] for row in element.iter("tr")])
        elif element.tag[0] == "h" and element.tag[1:].isdigit():
            builder.heading(int(element.tag[1:]), _text(element))
        elif element.tag == "pre":
            builder.add("code", "".join(element.itertext()))
        else:
            builder.add("paragraph", _text(element))
    if not builder.build().blocks:
        builder.add("paragraph", _text(tree))
    return builder.build(title)
