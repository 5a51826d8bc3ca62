"""Web pages: the main content without navigation, with its headings, tables and code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import trafilatura
from lxml import etree, html  # type: ignore[import-untyped]

from knowledge.errors import ParseError
from knowledge.metadata import LANGUAGE
from knowledge.parsing.document_builder import Builder, Parsed
from knowledge.types import BlockKind

_KINDS: dict[str, BlockKind] = {"quote": "quote", "code": "code", "list": "list"}
_NOISE = ("script", "style", "noscript", "template", "nav", "footer", "aside", "form", "svg", "iframe", "head")
_LEAVES = ("p", "pre", "table", "ul", "ol", "dl", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6")


def parse(data: bytes) -> Parsed:
    """The main content as trafilatura finds it; the whole body where it finds none. Raises ParseError."""
    tree = _tree(data)
    title = _title(tree)
    language = str(tree.get("lang") or "").strip().lower()
    found = trafilatura.bare_extraction(
        tree, include_tables=True, include_comments=False, include_formatting=True, favor_recall=True
    )
    builder = Builder()
    body = getattr(found, "body", None)
    if body is not None:
        for element in body:
            _add(builder, element)
    parsed = builder.build(title)
    parsed = parsed if parsed.blocks else _whole(_tree(data), title)
    return replace(parsed, metadata={LANGUAGE: language}) if language else parsed


def _tree(data: bytes) -> Any:
    """The encoding is UTF-8 where that is possible, else what the page declares."""
    try:
        data.decode()
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = None
    parser = html.HTMLParser(encoding=encoding, huge_tree=False, no_network=True)
    try:
        tree = html.document_fromstring(data, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        raise ParseError("the page is empty or no HTML") from None
    return tree


def _title(tree: Any) -> str:
    heading = tree.find(".//h1")
    named = tree.findtext(".//title") or ""
    return " ".join((heading.text_content() if heading is not None else "").split()) or " ".join(named.split())


def _add(builder: Builder, element: Any) -> None:
    if element.tag == "head":
        builder.heading(int(str(element.get("rend", "h2"))[1:] or 2), _words(element))
    elif element.tag == "table":
        builder.table([[_words(cell) for cell in row.iter("cell")] for row in element.iter("row")])
    elif element.tag == "code":
        builder.add("code", "".join(element.itertext()))
    elif element.tag == "list":
        builder.add("list", "\n".join(f"- {_own_words(item)}" for item in element.iter("item")))
    else:
        builder.add(_KINDS.get(element.tag, "paragraph"), _words(element))


def _words(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


def _own_words(item: Any) -> str:
    """The words of a list item without those of lists inside it, whose items come on their own."""
    inner = {id(text) for nested in item.iter("list") for text in nested.iter()}
    words = [item.text or ""]
    for child in item.iterdescendants():
        if id(child) not in inner:
            words.append(child.text or "")
        words.append(child.tail or "" if id(child.getparent()) not in inner else "")
    return " ".join(" ".join(words).split())


def _whole(tree: Any, title: str) -> Parsed:
    """Every block of the body, for pages that hold too little to tell content from frame."""
    for noise in list(tree.iter(*_NOISE)):
        if noise.getparent() is not None:
            noise.drop_tree()
    builder = Builder()
    for element in tree.iter(*_LEAVES):
        if any(above.tag in _LEAVES for above in element.iterancestors()):
            continue
        if element.tag == "table":
            builder.table([[_words(cell) for cell in row.iter("td", "th")] for row in element.iter("tr")])
        elif element.tag[0] == "h" and element.tag[1:].isdigit():
            builder.heading(int(element.tag[1:]), _words(element))
        elif element.tag == "pre":
            builder.add("code", "".join(element.itertext()))
        else:
            builder.add("paragraph", _words(element))
    if not builder.build().blocks:
        builder.add("paragraph", _words(tree))
    return builder.build(title)
