"""Parses Rich Text Format (RTF): the paragraphs of the text, and headers and footers once, without formatting."""

from __future__ import annotations

import re
from collections.abc import Iterator

from striprtf.striprtf import rtf_to_text

from knowledge.errors import ParseError
from knowledge.parsing import plain_text
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.office.page_headers import add_page_headers

_PAGE_HEADER = re.compile(rb"\{\\(?:header|footer)[lrf]?(?![A-Za-z])")
_FONTS = re.compile(rb"\{\\fonttbl(?![A-Za-z])")
_CODE_PAGE = re.compile(rb"\\ansicpg\d+")
_BRACE = re.compile(rb"\\bin(\d+) ?|\\.|[{}]", re.DOTALL)


def parse(data: bytes) -> ParsedDocument:
    """Parse an RTF file. Raises ParseError if it is damaged."""
    builder = Builder()
    add_page_headers(builder, _page_headers(data))
    for line in text_of(data).split("\n"):
        builder.add("paragraph", line)
    return builder.build()


def text_of(data: bytes) -> str:
    """Return the text, a line for each paragraph. Raises ParseError if the data is damaged."""
    try:
        text = rtf_to_text(data.decode("latin-1"), errors="replace")  # type: ignore[no-untyped-call]
    except (ValueError, LookupError, IndexError, KeyError, TypeError):
        raise ParseError("it is damaged and cannot be opened. Save it again as DOCX") from None
    return plain_text.normalize(text)


def _page_headers(data: bytes) -> Iterator[str]:
    """Yield the text of each header and footer. It is read like a document with the fonts and code page of the file."""
    code_page, fonts = _CODE_PAGE.search(data), _FONTS.search(data)
    begin = b"{\\rtf1\\ansi" + (code_page.group() if code_page else b"")
    begin += data[fonts.start() : _end_of_group(data, fonts.start())] if fonts else b" "
    for found in _PAGE_HEADER.finditer(data):
        inside = data[found.end() : _end_of_group(data, found.start())]
        lines = text_of(begin + inside).split("\n")
        yield "\n".join(filter(None, map(str.strip, lines)))


def _end_of_group(data: bytes, start: int) -> int:
    """Return where the group that begins at ``start`` ends."""
    depth, at = 0, start
    while found := _BRACE.search(data, at):
        at = found.end()
        if found.group(1):
            at += int(found.group(1))
        elif found.group() in b"{}":
            depth += 1 if found.group() == b"{" else -1
        if not depth:
            return at
    return len(data)
