"""Plain text: paragraphs between empty lines, in whatever encoding it was saved."""

from __future__ import annotations

import re
from collections.abc import Iterator

from knowledge.errors import ParseError
from knowledge.parsing.document_builder import Parsed
from knowledge.types import Block

_EMPTY_LINE = re.compile(r"\n[ \t]*\n")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def decode(data: bytes) -> str:
    """The text of the bytes, with Unix line ends and without control characters. Raises ParseError."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        best = from_bytes(data).best()
        if best is None:
            raise ParseError("it is not text in any known encoding; save it as UTF-8") from None
        text = str(best).removeprefix("\ufeff")
    return cleaned(text)


def cleaned(text: str) -> str:
    """Unix line ends, and no control characters."""
    return _CONTROL.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))


def parse(text: str) -> Parsed:
    """Each paragraph is a block."""
    return Parsed("", text, tuple(Block("paragraph", start, end) for start, end in _paragraphs(text)))


def parse_code(text: str) -> Parsed:
    """Source code and data: each run of lines without an empty one is a block, and stays whole where it fits."""
    return Parsed("", text, tuple(Block("code", start, end) for start, end in _paragraphs(text)))


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for end in [*(match.start() for match in _EMPTY_LINE.finditer(text)), len(text)]:
        paragraph = text[start:end]
        words = paragraph.strip()
        if words:
            first = start + paragraph.index(words)
            yield first, first + len(words)
        start = end
