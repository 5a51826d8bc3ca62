"""Defines a document that was read from its source and parsed, before it is stored."""

from __future__ import annotations

from dataclasses import dataclass

from knowledge.types import Document


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """A parsed document with the memo of its source and the SHA-256 of its bytes in hexadecimal digits.

    ``file`` has the bytes themselves if the pages are shown as pictures.
    """

    document: Document
    memo: str
    content_hash: str
    file: bytes = b""
