"""Writes ``winmail.dat`` for tests: attributes (MS-OXTNEF) and MAPI properties of a message and its attachments."""

from __future__ import annotations

import struct

_STRING, _STRING8, _BINARY, _OBJECT, _INT, _TIME, _MANY_STRINGS = 0x1F, 0x1E, 0x102, 0x0D, 0x03, 0x40, 0x101F
_IID_MESSAGE = bytes.fromhex("0703020000000000c000000000000046")
_NAME_SET = bytes.fromhex("0820060000000000c000000000000046")

Property = tuple[int, int, object]
"""The number, the type and the value."""


def winmail(*attributes: bytes, code_page: int = 1252) -> bytes:
    """Return the bytes of a TNEF stream."""
    pages = _attribute(1, 0x00069007, struct.pack("<II", code_page, 0))
    return struct.pack("<IH", 0x223E9F78, 7) + pages + b"".join(attributes)


def subject(value: bytes) -> bytes:
    """Return the attribute of the subject, in the code page of the file."""
    return _attribute(1, 0x00018004, value + b"\0")


def text_as_rtf(rtf: bytes) -> bytes:
    """Return the attribute of a message whose text is there only as Rich Text, after properties of other kinds."""
    before = [(0x0E06, _TIME, 0), (0x8005, _STRING, "named"), (0x8006, _MANY_STRINGS, ("a", "bc"))]
    return _attribute(1, 0x00069003, _properties([*before, (0x1009, _BINARY, uncompressed(rtf))]))


def attached_file(short: bytes, data: bytes, long: str = "", content_id: str = "", kind: str = "") -> bytes:
    """Return the attributes of an attached file."""
    values: list[Property] = [(0x3705, _INT, 1)]
    named = ((0x3707, long), (0x3712, content_id), (0x370E, kind))
    values += [(number, _STRING, value) for number, value in named if value]
    return (
        _attribute(2, 0x00069002, bytes(14))
        + _attribute(2, 0x00018010, short + b"\0")
        + _attribute(2, 0x0006800F, data)
        + _attribute(2, 0x00069005, _properties(values))
    )


def attached_message(inner: bytes) -> bytes:
    """Return the attributes of an attached message."""
    values: list[Property] = [(0x3701, _OBJECT, _IID_MESSAGE + inner)]
    return _attribute(2, 0x00069002, bytes(14)) + _attribute(2, 0x00069005, _properties(values))


def uncompressed(rtf: bytes) -> bytes:
    """Return Rich Text in the form of MS-OXRTFCP that is not compressed."""
    return struct.pack("<IIII", len(rtf) + 12, len(rtf), 0x414C454D, 0) + rtf


def _attribute(level: int, number: int, value: bytes) -> bytes:
    return struct.pack("<BII", level, number, len(value)) + value + struct.pack("<H", sum(value) & 0xFFFF)


def _properties(values: list[Property]) -> bytes:
    return struct.pack("<I", len(values)) + b"".join(_property(*one) for one in values)


def _property(number: int, kind: int, value: object) -> bytes:
    head = struct.pack("<HH", kind, number)
    if number >= 0x8000:
        head += _NAME_SET + (
            struct.pack("<II", 0, 0x8501) if number % 2 else struct.pack("<II", 1, 6) + _padded("ab\0")
        )
    if kind == _INT:
        return head + struct.pack("<i", value)
    if kind == _TIME:
        return head + struct.pack("<q", value)
    values = value if isinstance(value, tuple) else (value,)
    return head + struct.pack("<I", len(values)) + b"".join(_sized(one) for one in values)


def _sized(value: object) -> bytes:
    data = f"{value}\0".encode("utf-16-le") if isinstance(value, str) else value
    assert isinstance(data, bytes)
    return struct.pack("<I", len(data)) + data + bytes(-len(data) % 4)


def _padded(name: str) -> bytes:
    data = name.encode("utf-16-le")
    return data + bytes(-len(data) % 4)
