"""Reads what Outlook packs into a mail as ``winmail.dat`` (TNEF, MS-OXTNEF): the text, attached files and messages."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage

from knowledge.errors import ParseError
from knowledge.parsing import text_encoding
from knowledge.parsing.mail.outlook_properties import charset_of_code_page
from knowledge.parsing.mail.outlook_text import set_header, set_text

_SIGNATURE = 0x223E9F78
_ATTRIBUTE = struct.Struct("<BII")
"""The level, the number and the length of an attribute. Its bytes and a checksum of two bytes follow."""
_SUBJECT, _BODY, _PROPERTIES, _CODE_PAGE = 0x00018004, 0x0002800C, 0x00069003, 0x00069007
_ATTACHMENT_BEGINS, _ATTACHMENT_TITLE, _ATTACHMENT_DATA, _ATTACHMENT_PROPERTIES = (
    0x00069002,
    0x00018010,
    0x0006800F,
    0x00069005,
)
_PID_SUBJECT, _PID_BODY, _PID_RTF, _PID_HTML = 0x0037, 0x1000, 0x1009, 0x1013
_PID_DATA, _PID_LONG_NAME, _PID_CONTENT_ID, _PID_MIME_TYPE = 0x3701, 0x3707, 0x3712, 0x370E
_NAMED = 0x8000
_MULTIPLE = 0x1000
_FIXED = {0x02: 4, 0x03: 4, 0x04: 4, 0x05: 8, 0x06: 8, 0x07: 8, 0x0A: 4, 0x0B: 4, 0x14: 8, 0x40: 8, 0x48: 16}
"""Bytes of the values of each type of fixed size."""
_STRING8, _STRING, _OBJECT, _BINARY = 0x1E, 0x1F, 0x0D, 0x0102
_OBJECT_ID_BYTES = 16
MAX_VALUES = 10_000
_DAMAGED = "it holds attachments in a damaged form (TNEF). Ask the sender to send them as files"


@dataclass(slots=True)
class _File:
    name: str = ""
    data: bytes = b""
    properties: Mapping[int, bytes | str] = field(default_factory=dict)


def message_of(data: bytes, depth: int) -> EmailMessage:
    """Return the content of ``winmail.dat`` as a mail. ``depth`` levels of attached messages are read.

    Raises ParseError if it is damaged.
    """
    try:
        return _message(data, depth)
    except (struct.error, ValueError, LookupError):
        raise ParseError(_DAMAGED) from None


def _message(data: bytes, depth: int) -> EmailMessage:
    found: dict[int, bytes] = {}
    files: list[_File] = []
    encoding = "windows-1252"
    properties: Mapping[int, bytes | str] = {}
    for number, value in _attributes(data):
        if number == _CODE_PAGE:
            encoding = charset_of_code_page(int.from_bytes(value[:4], "little"))
        elif number == _PROPERTIES:
            properties = _properties(value, encoding)
        elif number == _ATTACHMENT_BEGINS:
            files.append(_File())
        elif files and number == _ATTACHMENT_TITLE:
            files[-1].name = _text(value, encoding)
        elif files and number == _ATTACHMENT_DATA:
            files[-1].data = value
        elif files and number == _ATTACHMENT_PROPERTIES:
            files[-1].properties = _properties(value, encoding)
        else:
            found[number] = value
    made = EmailMessage()
    set_header(made, "Subject", str(properties.get(_PID_SUBJECT) or _text(found.get(_SUBJECT, b""), encoding)))
    set_text(
        made,
        plain=str(properties.get(_PID_BODY) or _text(found.get(_BODY, b""), encoding)),
        page=_page(properties.get(_PID_HTML, b""), encoding),
        compressed=_bytes(properties.get(_PID_RTF, b"")),
    )
    for file in files:
        _attach(made, file, depth)
    return made


def _attach(made: EmailMessage, file: _File, depth: int) -> None:
    content = _bytes(file.properties.get(_PID_DATA, b""))
    inside = content[_OBJECT_ID_BYTES:]
    if inside[:4] == _SIGNATURE.to_bytes(4, "little"):
        if depth > 0:
            made.add_attachment(_message(inside, depth - 1))
        return
    kind = str(file.properties.get(_PID_MIME_TYPE, ""))
    if kind.startswith("image/") and file.properties.get(_PID_CONTENT_ID):
        return  # a picture inside the text
    name = str(file.properties.get(_PID_LONG_NAME) or file.name) or "attachment"
    made.add_attachment(
        file.data or content, maintype="application", subtype="octet-stream", filename=" ".join(name.split())
    )


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each attribute. Raises struct.error or ValueError at a damaged place."""
    if struct.unpack_from("<I", data)[0] != _SIGNATURE:
        raise ValueError("no TNEF")
    at = 6
    if len(data) < at + _ATTRIBUTE.size:
        raise ValueError("nothing in it")
    while at + _ATTRIBUTE.size <= len(data):
        _, number, size = _ATTRIBUTE.unpack_from(data, at)
        at += _ATTRIBUTE.size
        if at + size > len(data):
            raise ValueError("cut off")
        yield number, data[at : at + size]
        at += size + 2


def _properties(data: bytes, encoding: str) -> dict[int, bytes | str]:
    """Return the strings and bytes among MAPI properties, by their number. Of several values, the first counts."""
    found: dict[int, bytes | str] = {}
    (count,) = struct.unpack_from("<I", data)
    at = 4
    for _ in range(min(count, MAX_VALUES)):
        kind, number = struct.unpack_from("<HH", data, at)
        at += 4
        if number >= _NAMED:
            at = _after_name(data, at)
        single = kind & ~_MULTIPLE
        values = 1
        if kind & _MULTIPLE or single in (_STRING8, _STRING, _OBJECT, _BINARY):
            (values,) = struct.unpack_from("<I", data, at)
            at += 4
        if single in _FIXED:
            at += _FIXED[single] * values
            continue
        for _ in range(min(values, MAX_VALUES)):
            (size,) = struct.unpack_from("<I", data, at)
            value = data[at + 4 : at + 4 + size]
            at += 4 + _padded(size)
            found.setdefault(number, _value(value, single, encoding))
    return found


def _after_name(data: bytes, at: int) -> int:
    """Return where the name of a named property ends: a set, then a number or a text."""
    (kind,) = struct.unpack_from("<I", data, at + 16)
    (value,) = struct.unpack_from("<I", data, at + 20)
    return at + 24 + (_padded(value) if kind else 0)


def _padded(size: int) -> int:
    return -(-size // 4) * 4


def _value(value: bytes, kind: int, encoding: str) -> bytes | str:
    if kind == _STRING:
        return value.decode("utf-16-le", "replace").rstrip("\0")
    return _text(value, encoding) if kind == _STRING8 else value


def _text(value: bytes, encoding: str) -> str:
    return text_encoding.decode_known(value.rstrip(b"\0"), encoding)


def _bytes(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "replace")


def _page(value: bytes | str, encoding: str) -> str:
    return value if isinstance(value, str) else text_encoding.decode_known(value, encoding)
