"""Parses plain text and source code, in any encoding, into blocks separated by empty lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from knowledge.parsing import text_encoding
from knowledge.parsing.document_builder import ParsedDocument
from knowledge.types.documents import Block

_EMPTY_LINE = re.compile(r"\n[ \t]*\n")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def decode(data: bytes, charset: str = "") -> str:
    """Decode text, with Unix line ends and no control characters; ``charset`` is the stated one. Raises ParseError."""
    return normalize(text_encoding.decode(data, charset))


def normalize(text: str) -> str:
    """Convert line ends to Unix and replace control characters by spaces."""
    return _CONTROL.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))


def parse(text: str) -> ParsedDocument:
    """Parse plain text. Each paragraph is a block."""
    return ParsedDocument("", text, tuple(Block("paragraph", start, end) for start, end in _paragraphs(text)))


def parse_code(text: str) -> ParsedDocument:
    """Parse source code or data. Each run of non-empty lines is a code block, kept in one chunk if it fits."""
    return ParsedDocument("", text, tuple(Block("code", start, end) for start, end in _paragraphs(text)))


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Yield the offsets of each paragraph without surrounding white space."""
    start = 0
    for end in [*(match.start() for match in _EMPTY_LINE.finditer(text)), len(text)]:
        paragraph = text[start:end]
        stripped = paragraph.strip()
        if stripped:
            first = start + paragraph.index(stripped)
            yield first, first + len(stripped)
        start = end
