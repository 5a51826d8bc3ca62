"""Parses HTML pages as headings, paragraphs, lists, tables and code: their main content, or all that they show."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import trafilatura
from lxml import etree, html  # type: ignore[import-untyped]

from knowledge.errors import ParseError
from knowledge.metadata import LANGUAGE
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.html import page_kinds
from knowledge.parsing.html.html_blocks import PageBlock, blocks_of
from knowledge.parsing.html.html_text import remove_skipped, text_of
from knowledge.parsing.html.main_content import main_blocks
from knowledge.parsing.html.page_signals import hints_of
from knowledge.parsing.text_encoding import decode_page


def parse(data: bytes, charset: str = "") -> ParsedDocument:
    """Parse the main content of a page. ``charset`` is what the server states. Raises ParseError."""
    tree = _tree(decode_page(data, charset))
    hints = hints_of(tree)
    blocks = _shown_blocks(tree)
    page_kinds.refuse_empty_page(tree, blocks, hints)
    return _document(tree, main_blocks(blocks, _found(tree)))


def parse_whole(data: bytes, charset: str = "") -> ParsedDocument:
    """Parse all that is shown, as of a mail or a book, which have no navigation. Raises ParseError.

    ``charset`` is what the mail states.
    """
    tree = _tree(decode_page(data, charset))
    return _document(tree, _shown_blocks(tree))


def _shown_blocks(tree: Any) -> list[PageBlock]:
    remove_skipped(tree)
    return blocks_of(tree.find("body") if tree.find("body") is not None else tree)


def _document(tree: Any, chosen: list[PageBlock]) -> ParsedDocument:
    parsed = _built(chosen).build(_title(tree, chosen))
    language = str(tree.get("lang") or "").strip().lower()
    return replace(parsed, metadata={LANGUAGE: language}) if language else parsed


def _tree(text: str) -> Any:
    """Parse the text of a page. Raises ParseError."""
    parser = html.HTMLParser(encoding="utf-8", huge_tree=False, no_network=True)
    try:
        tree = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        raise ParseError("the page is empty or is not HTML. Check the address or save the page again") from None
    return tree


def _found(tree: Any) -> str:
    """Return the text that the extraction library takes for the main content, an element a line."""
    extracted = trafilatura.bare_extraction(
        deepcopy(tree), include_tables=True, include_comments=False, include_formatting=False, favor_recall=True
    )
    body = getattr(extracted, "body", None)
    if body is None:
        return ""
    return "\n".join(text for element in body.iter() for text in (element.text, element.tail) if text)


def _built(blocks: list[PageBlock]) -> Builder:
    builder = Builder()
    for block in blocks:
        if block.kind == "heading":
            builder.heading(block.level, block.text)
        elif block.kind == "table":
            builder.table(block.rows)
        else:
            builder.add(block.kind, block.text)
    return builder


def _title(tree: Any, chosen: list[PageBlock]) -> str:
    """Return the first heading of the highest level in the content, else that of the page, else the page's title."""
    headings = [block.text for block in chosen if block.kind == "heading" and block.level == 1]
    first = tree.find(".//h1")
    title = " ".join((tree.findtext(".//title") or "").split())
    return headings[0] if headings else (text_of(first) if first is not None else "") or title
