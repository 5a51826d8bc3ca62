"""Parses Rich Text Format (RTF): the paragraphs of the text, without formatting and pictures."""

from __future__ import annotations

from striprtf.striprtf import rtf_to_text

from knowledge.errors import ParseError
from knowledge.parsing import plain_text
from knowledge.parsing.document_builder import Builder, ParsedDocument


def parse(data: bytes) -> ParsedDocument:
    """Parse an RTF file. Raises ParseError if it is damaged."""
    builder = Builder()
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
