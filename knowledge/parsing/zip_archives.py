"""Reads members of a ZIP archive in memory. Nothing is unpacked to disk."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from knowledge.errors import ParseError

DAMAGED = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError)
"""What the standard library raises for a damaged or encrypted archive or member."""


@contextmanager
def open_zip(data: bytes) -> Iterator[zipfile.ZipFile]:
    """Open the archive. Raises ParseError if it is damaged."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except DAMAGED:
        raise ParseError("it is a damaged ZIP archive. Download it again") from None
    with archive:
        yield archive


def read_json(archive: zipfile.ZipFile, name: str) -> Any:
    """Return a member parsed as JSON; None if there is no such member. Raises ParseError if it is damaged."""
    try:
        with archive.open(name) as member:
            content = member.read(archive.getinfo(name).file_size)
    except KeyError:
        return None
    except DAMAGED:
        raise ParseError(f"the file {name} in this archive is damaged. Download the archive again") from None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise ParseError(f"the file {name} in this archive is not valid JSON. Export the archive again") from None
