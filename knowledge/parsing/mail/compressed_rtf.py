"""Decompresses the Rich Text that Outlook stores in messages (LZFu, MS-OXRTFCP)."""

from __future__ import annotations

import struct

_HEADER = struct.Struct("<IIII")
"""Bytes that follow the first four, bytes of the text, the form, and a checksum."""
_COMPRESSED, _PLAIN = 0x75465A4C, 0x414C454D
_DICTIONARY = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}"
    rb"{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbol"
    rb"ArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
"""What both sides know before the first byte, by MS-OXRTFCP 2.1.2.1."""
_WINDOW = 4096
_SHORTEST = 2
MAX_BYTES = 64 * 2**20
"""Most bytes of a text. Each compressed byte can become eight."""


def decompress(data: bytes) -> bytes:
    """Return the RTF. Raises ValueError if the data is damaged or the text too long."""
    if len(data) < _HEADER.size:
        raise ValueError("no header")
    following, size, form, _ = _HEADER.unpack_from(data)
    content = data[_HEADER.size : following + 4]
    if size > MAX_BYTES:
        raise ValueError("too long")
    if form == _PLAIN:
        return content[:size]
    if form != _COMPRESSED:
        raise ValueError("unknown form")
    return _expanded(content, size)


def _expanded(content: bytes, size: int) -> bytes:
    """Expand tokens: a flag byte says for each of the next eight whether it is a byte or a reference of two bytes."""
    window = bytearray(_DICTIONARY.ljust(_WINDOW, b"\0"))
    at = len(_DICTIONARY)
    text = bytearray()
    position = 0
    while position < len(content) and len(text) < size:
        flags, position = content[position], position + 1
        for bit in range(8):
            if position >= len(content):
                break
            if not flags >> bit & 1:
                found, position = content[position : position + 1], position + 1
            else:
                reference, position = int.from_bytes(content[position : position + 2], "big"), position + 2
                start, length = reference >> 4, (reference & 0xF) + _SHORTEST
                if start == at:
                    return bytes(text[:size])
                found = b""
                for index in range(length):
                    # A reference may reach into the bytes that it is writing itself.
                    found += bytes((window[(start + index) % _WINDOW],))
                    window[(at + index) % _WINDOW] = found[-1]
            for byte in found:
                window[at] = byte
                at = (at + 1) % _WINDOW
            text += found
    return bytes(text[:size])
