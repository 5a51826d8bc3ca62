"""Wire format between the sandbox and its worker process: both lengths, a JSON head, then raw bytes."""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO, get_args

from knowledge.parsing.document_builder import ParsedDocument
from knowledge.storable_text import storable, storable_values
from knowledge.types import Block, BlockKind

LENGTHS = struct.Struct("<QQ")
MAX_METADATA_CHARS = 200
"""Characters kept of a metadata value, such as the author's name."""
MAX_METADATA_VALUES = 50
MAX_TITLE_CHARS = 1000
MAX_ERROR_CHARS = 300
_KINDS = frozenset(get_args(BlockKind))


def frame(head: dict[str, Any], body: bytes = b"") -> bytes:
    """Encode one frame. Half of a surrogate pair, which UTF-8 cannot encode, passes, as in the name of a file."""
    encoded = json.dumps(head, ensure_ascii=False).encode("utf-8", "surrogatepass")
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
    blocks = [[b.kind, b.start, b.end, list(map(storable, b.heading)), b.page] for b in parsed.blocks]
    metadata = storable_values(parsed.metadata)
    return {"title": storable(parsed.title), "text": storable(parsed.text), "blocks": blocks, "metadata": metadata}


def document_from_json(head: dict[str, Any]) -> ParsedDocument:
    """Convert a JSON object to a parsed document. Raises ValueError if it is not what ``document_to_json`` makes.

    Every value is checked, because an untrusted file may have taken control of the worker.
    """
    text = _text(head["text"])
    blocks = tuple(_block(value, len(text)) for value in head["blocks"])
    values = list(head["metadata"].items())[:MAX_METADATA_VALUES]
    metadata = {_text(str(key)): _text(str(value))[:MAX_METADATA_CHARS] for key, value in values}
    return ParsedDocument(_text(head["title"])[:MAX_TITLE_CHARS], text, blocks, metadata)


def error_from_json(head: dict[str, Any]) -> str:
    """Return the error of a response as one line of printable characters."""
    shown = "".join(char if char.isprintable() else " " for char in str(head["error"])[:MAX_ERROR_CHARS])
    return shown.strip() or "it cannot be read"


def _block(value: Any, length: int) -> Block:
    kind, start, end, heading, page = value
    if kind not in _KINDS or type(start) is not int or type(end) is not int or not 0 <= start < end <= length:
        raise ValueError("no block of the text")
    if page is not None and (type(page) is not int or not 0 <= page < 2**31):
        raise ValueError("no number of a page")
    return Block(kind, start, end, tuple(map(_text, heading)), page)


def _text(value: Any) -> str:
    """Check that a value is text that the database can store."""
    if not isinstance(value, str) or storable(value) != value:
        raise ValueError("no storable text")
    return value
