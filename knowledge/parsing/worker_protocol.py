"""How the parser's process is spoken to: a length, a JSON head, a length, raw bytes."""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

from knowledge.parsing.document_builder import Parsed
from knowledge.types import Block

LENGTHS = struct.Struct("<QQ")
MOST_TOLD = 200
"""Characters that are kept of an author's name and the like."""


def frame(head: dict[str, Any], body: bytes = b"") -> bytes:
    encoded = json.dumps(head).encode()
    return LENGTHS.pack(len(encoded), len(body)) + encoded + body


def read(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next frame, or None at the end of the stream."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head, body = LENGTHS.unpack(lengths)
    return json.loads(stream.read(head)), stream.read(body)


def packed(parsed: Parsed) -> dict[str, Any]:
    """A parsed document as JSON has it."""
    blocks = [[b.kind, b.start, b.end, list(b.heading), b.page] for b in parsed.blocks]
    return {"title": parsed.title, "text": parsed.text, "blocks": blocks, "metadata": dict(parsed.metadata)}


def unpacked(head: dict[str, Any]) -> Parsed:
    """The parsed document of a frame, whose offsets are checked: the process that sent it read a stranger's file."""
    text = str(head["text"])
    blocks = tuple(Block(kind, start, end, tuple(path), page) for kind, start, end, path, page in head["blocks"])
    if not all(0 <= block.start < block.end <= len(text) for block in blocks):
        raise ValueError("offsets outside the text")
    told = {str(key): str(value).replace("\0", "")[:MOST_TOLD] for key, value in head["metadata"].items()}
    return Parsed(str(head["title"]), text, blocks, told)
