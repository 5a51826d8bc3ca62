"""Wire format between the sandbox and its worker process: both lengths, a JSON head, then raw bytes."""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

from knowledge.parsing.document_builder import ParsedDocument
from knowledge.types import Block

LENGTHS = struct.Struct("<QQ")
MAX_METADATA_CHARS = 200
"""Characters kept of a metadata value, such as the author's name."""


def frame(head: dict[str, Any], body: bytes = b"") -> bytes:
    """Encode one frame."""
    encoded = json.dumps(head).encode()
    return LENGTHS.pack(len(encoded), len(body)) + encoded + body


def read(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Read the next frame. Return None at the end of the stream."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head, body = LENGTHS.unpack(lengths)
    return json.loads(stream.read(head)), stream.read(body)


def document_to_json(parsed: ParsedDocument) -> dict[str, Any]:
    """Convert a parsed document to a JSON object."""
    blocks = [[b.kind, b.start, b.end, list(b.heading), b.page] for b in parsed.blocks]
    return {"title": parsed.title, "text": parsed.text, "blocks": blocks, "metadata": dict(parsed.metadata)}


def document_from_json(head: dict[str, Any]) -> ParsedDocument:
    """Convert a JSON object to a parsed document. Raises ValueError if an offset is outside the text.

    The offsets are checked because an untrusted file may have taken control of the worker.
    """
    text = str(head["text"])
    blocks = tuple(Block(kind, start, end, tuple(path), page) for kind, start, end, path, page in head["blocks"])
    if not all(0 <= block.start < block.end <= len(text) for block in blocks):
        raise ValueError("offsets outside the text")
    metadata = {str(key): str(value).replace("\0", "")[:MAX_METADATA_CHARS] for key, value in head["metadata"].items()}
    return ParsedDocument(str(head["title"]), text, blocks, metadata)
