"""Makes text storable: PostgreSQL stores neither NUL characters nor halves of surrogate pairs.

Both occur in streamed JSON, file names and chat messages. Text is cleaned where it enters: questions, streamed answers
and documents.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping

REPLACEMENT = "\ufffd"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_BYTE_OF_FILE_NAME = re.compile("[\udc80-\udcff]")
"""What Python reads in place of a byte of a file name that is not UTF-8 (PEP 383)."""


def storable(text: str) -> str:
    """Replace each character that PostgreSQL cannot store. The length stays the same, so offsets stay valid."""
    return _UNSTORABLE.sub(REPLACEMENT, text)


def storable_file_name(name: str) -> str:
    """Return a file name that PostgreSQL can store. Two files keep different names: the byte E9 becomes ``\\xe9``."""
    return storable(_BYTE_OF_FILE_NAME.sub(lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", name))


def storable_values(values: Mapping[str, str]) -> dict[str, str]:
    """Return the mapping with storable keys and values."""
    return {storable(key): storable(value) for key, value in values.items()}


class StorableStream:
    """Cleans a text that arrives in pieces. A surrogate pair that two pieces share becomes one character."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-16-le")("replace")

    def feed(self, piece: str) -> str:
        """Return the next storable text; half of a pair at the end of ``piece`` is kept for the next piece."""
        return storable(self._decoder.decode(piece.encode("utf-16-le", "surrogatepass")))

    def end(self) -> str:
        """Return what is left: a replacement character if half of a pair is waiting, else nothing."""
        return storable(self._decoder.decode(b"", final=True))
