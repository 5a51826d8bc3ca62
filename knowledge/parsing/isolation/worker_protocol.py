"""Wire format between the sandbox and its worker process: both lengths, a JSON head, then raw bytes.

The body of a parsed document has its text in UTF-8, its heading paths as a line of JSON each, and its blocks as records
of fixed size. So neither process holds the document a second time as JSON. The attached files follow: a list of names,
media types and sizes as JSON, then the bytes of each file.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, get_args

from knowledge.errors import ParseError
from knowledge.parsing.document_builder import AttachedFile, ParsedDocument
from knowledge.text.storable_text import storable, storable_values
from knowledge.types.documents import Block, BlockKind

LENGTHS = struct.Struct("<QQ")
BLOCK = struct.Struct("<BIIIi")
"""The index of the kind, start, end, the number of the heading path (0 is none) and the page (-1 is none)."""
MAX_TEXT_BYTES = 64 * 2**20
"""Most memory that the text of a document may need, here and encoded as UTF-8."""
MAX_BLOCKS = 400_000
MAX_HEADING_BYTES = 16 * 2**20
MAX_HEAD_BYTES = 2**20
MAX_ATTACHED_LIST_BYTES = 8 * 2**20
MAX_BODY_BYTES = MAX_TEXT_BYTES + MAX_HEADING_BYTES + MAX_BLOCKS * BLOCK.size + MAX_ATTACHED_LIST_BYTES
"""Most bytes of a body without attached files."""
ATTACHED_GROWTH = 2
"""How many times larger than a mail the files attached to it may be: a mail from Outlook is encoded again."""
MAX_ATTACHED_NAME_CHARS = 300
MAX_HEADING_CHARS = 200
"""Characters kept of a heading in heading paths, which every chunk below it repeats. The text keeps them all."""
MAX_HEADING_DEPTH = 20
MAX_METADATA_CHARS = 200
"""Characters kept of a metadata value, such as the author's name."""
MAX_METADATA_VALUES = 50
MAX_TITLE_CHARS = 1000
MAX_ERROR_CHARS = 300
MAX_WARNINGS = 20
MAX_WARNING_CHARS = 300
_KINDS: tuple[BlockKind, ...] = get_args(BlockKind)
_SLICE = 2**20
_NO_PAGE = -1


@dataclass(frozen=True, slots=True)
class Response:
    """A head and the parts of a body, which are written one after the other."""

    head: dict[str, Any]
    body: Sequence[bytes | bytearray] = ()

    def write(self, stream: BinaryIO) -> None:
        """Write one frame."""
        head = _encoded(self.head)
        stream.write(LENGTHS.pack(len(head), sum(map(len, self.body))) + head)
        for part in self.body:
            stream.write(part)
        stream.flush()


def request_head(head: dict[str, Any], body_bytes: int) -> bytes:
    """Return the beginning of a frame; the body follows it."""
    encoded = _encoded(head)
    return LENGTHS.pack(len(encoded), body_bytes) + encoded


def read(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Read the next frame. Return None at the end of the stream."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head, body = LENGTHS.unpack(lengths)
    return json.loads(stream.read(head)), stream.read(body)


def max_body_bytes(file_bytes: int) -> int:
    """Return the most bytes of a body that answers about a file of this size."""
    return MAX_BODY_BYTES + ATTACHED_GROWTH * file_bytes


def document_response(parsed: ParsedDocument, max_chars: int | None = None) -> Response:
    """Convert a parsed document, or the first ``max_chars`` characters of its text. Raises ParseError if it is too
    large.
    """
    if max_chars is not None and len(parsed.text) > max_chars:
        blocks = tuple(Block(b.kind, b.start, min(b.end, max_chars)) for b in parsed.blocks if b.start < max_chars)
        parsed = replace(parsed, text=parsed.text[:max_chars], blocks=blocks)
    if len(parsed.blocks) > MAX_BLOCKS:
        raise ParseError(f"it has more than {MAX_BLOCKS} paragraphs and tables. Split it into smaller files")
    text = storable(parsed.text).encode()
    if len(text) > MAX_TEXT_BYTES or _text_memory(text) > MAX_TEXT_BYTES:
        millions = max(1, len(parsed.text) // 1_000_000)
        raise ParseError(f"it has too much text ({millions} million characters). Split it into smaller files")
    paths = _HeadingPaths()
    blocks_packed = bytearray()
    for b in parsed.blocks:
        page = _NO_PAGE if b.page is None else b.page
        blocks_packed += BLOCK.pack(_KINDS.index(b.kind), b.start, b.end, paths.number(b.heading), page)
    headings = "\n".join(paths.lines).encode()
    if len(headings) > MAX_HEADING_BYTES:
        raise ParseError("it has too many headings. Split it into smaller files")
    listed = _encoded([[file.name, file.content_type, len(file.data)] for file in parsed.attached])
    if len(listed) > MAX_ATTACHED_LIST_BYTES:
        raise ParseError("it has too many attachments. Split it into smaller files")
    head = {
        "title": storable(parsed.title)[:MAX_TITLE_CHARS],
        "metadata": {key: value[:MAX_METADATA_CHARS] for key, value in storable_values(parsed.metadata).items()},
        "warnings": [storable(sentence)[:MAX_WARNING_CHARS] for sentence in parsed.warnings[:MAX_WARNINGS]],
        "sizes": [len(text), len(headings), len(blocks_packed), len(listed)],
    }
    return Response(head, (text, headings, blocks_packed, listed, *(file.data for file in parsed.attached)))


def document_of(head: dict[str, Any], body: bytearray) -> ParsedDocument:
    """Convert a response to a parsed document. Raises ValueError if it is not what ``document_response`` makes.

    Every value is checked, because an untrusted file may have taken control of the worker.
    """
    text_size, headings_size, blocks_size, listed_size = head["sizes"]
    sizes = (text_size, headings_size, blocks_size, listed_size)
    if any(type(size) is not int or size < 0 for size in sizes) or sum(sizes) > len(body):
        raise ValueError("no sizes of the parts")
    if headings_size > MAX_HEADING_BYTES or blocks_size > MAX_BLOCKS * BLOCK.size or blocks_size % BLOCK.size:
        raise ValueError("too many parts")
    view = memoryview(body)
    encoded = view[:text_size]
    if _text_memory(encoded) > MAX_TEXT_BYTES:
        raise ValueError("too much text")
    text = str(encoded, "utf-8")
    if "\0" in text:
        raise ValueError("no storable text")
    paths = _heading_paths(view[text_size : text_size + headings_size])
    after_headings = view[text_size + headings_size :]
    records = BLOCK.iter_unpack(after_headings[:blocks_size])
    attached = _attached_files(after_headings[blocks_size:], listed_size)
    blocks = tuple(_block(record, len(text), paths) for record in records)
    values = list(head["metadata"].items())[:MAX_METADATA_VALUES]
    metadata = {_text(str(key)): _text(str(value))[:MAX_METADATA_CHARS] for key, value in values}
    warnings = tuple(_line(_text(sentence)[:MAX_WARNING_CHARS]) for sentence in head["warnings"][:MAX_WARNINGS])
    return ParsedDocument(_text(head["title"])[:MAX_TITLE_CHARS], text, blocks, metadata, warnings, attached)


def _attached_files(view: memoryview, listed_size: int) -> tuple[AttachedFile, ...]:
    """Return the attached files from their list and the bytes that follow it. Raises ValueError as above."""
    listed, data = json.loads(bytes(view[:listed_size])), view[listed_size:]
    files: list[AttachedFile] = []
    start = 0
    for name, content_type, size in listed:
        if type(size) is not int or size < 0 or not _is_attached_name(_text(name)):
            raise ValueError("no attached file")
        files.append(AttachedFile(name, bytes(data[start : start + size]), _line(_text(content_type))))
        start += size
    if start != len(data) or len({file.name for file in files}) != len(files):
        raise ValueError("no sizes of the attached files")
    return tuple(files)


def _is_attached_name(name: str) -> bool:
    """Return whether a name is one line, not too long, and leads to a place below that of the mail."""
    is_below = not {"", ".", ".."} & set(name.split("/"))
    return is_below and len(name) <= MAX_ATTACHED_NAME_CHARS and name.splitlines() == [name]


def error_from_json(head: dict[str, Any]) -> str:
    """Return the error of a response as one line of printable characters."""
    return _line(str(head["error"])[:MAX_ERROR_CHARS]) or "it cannot be read"


def _line(text: str) -> str:
    """Return one line of printable characters."""
    return "".join(char if char.isprintable() else " " for char in text).strip()


class _HeadingPaths:
    """Numbers heading paths. Each line is the number of the path without its last heading, and that heading."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._numbers: dict[tuple[str, ...], int] = {(): 0}

    def number(self, path: tuple[str, ...]) -> int:
        path = path[:MAX_HEADING_DEPTH]
        known = self._numbers.get(path)
        if known is None:
            above = self.number(path[:-1])
            self.lines.append(json.dumps([above, storable(path[-1])[:MAX_HEADING_CHARS]], ensure_ascii=False))
            known = self._numbers[path] = len(self.lines)
        return known


def _heading_paths(encoded: memoryview) -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = [()]
    for line in _lines(encoded):
        above, name = json.loads(line)
        if type(above) is not int or not 0 <= above < len(paths) or len(paths[above]) >= MAX_HEADING_DEPTH:
            raise ValueError("no heading above")
        if len(paths) > MAX_BLOCKS:
            raise ValueError("too many headings")
        paths.append((*paths[above], _text(name)[:MAX_HEADING_CHARS]))
    return paths


def _lines(encoded: memoryview) -> Iterator[bytes]:
    """Yield the lines one by one, because all of them together would need several times their size."""
    data = bytes(encoded)
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        yield data[start:end]
        start = end + 1


def _block(record: tuple[int, int, int, int, int], length: int, paths: Sequence[tuple[str, ...]]) -> Block:
    kind, start, end, path, page = record
    if kind >= len(_KINDS) or not 0 <= start < end <= length or path >= len(paths) or page < _NO_PAGE:
        raise ValueError("no block of the text")
    return Block(_KINDS[kind], start, end, paths[path], None if page == _NO_PAGE else page)


def _text_memory(encoded: bytes | memoryview) -> int:
    """Return the bytes that the text needs as a string: one, two or four for each character, as for the widest."""
    characters, widest = 0, 1
    for start in range(0, len(encoded), _SLICE):
        piece = bytes(encoded[start : start + _SLICE])
        first_bytes = piece.translate(None, _CONTINUING)
        characters += len(first_bytes)
        wide = first_bytes.translate(None, _NARROW)
        if wide:
            widest = 4 if widest == 4 or wide.translate(None, _BELOW_ASTRAL) else 2
    return characters * widest


_CONTINUING = bytes(range(0x80, 0xC0))
_NARROW = bytes((*range(0x80), 0xC2, 0xC3))
_BELOW_ASTRAL = bytes(range(0xF0))


def _encoded(head: Any) -> bytes:
    """Encode a head or a list. Half of a surrogate pair, which UTF-8 cannot encode, passes, as in a file name."""
    return json.dumps(head, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    """Check that a value is text that the database can store."""
    if not isinstance(value, str) or storable(value) != value:
        raise ValueError("no storable text")
    return value
