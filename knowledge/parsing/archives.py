"""The members of a ZIP archive, read in memory and within limits. Nothing is ever unpacked to a disk."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from knowledge.errors import ParseError


@contextmanager
def opened(data: bytes) -> Iterator[zipfile.ZipFile]:
    """The archive; what is broken about it or its members is told as ParseError."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, OSError, NotImplementedError, EOFError):
        raise ParseError("it is a broken ZIP archive; download it again") from None


def read_json(archive: zipfile.ZipFile, name: str) -> Any:
    """A member as JSON; None where it is missing. Raises ParseError where it is no JSON."""
    try:
        with archive.open(name) as member:
            return json.loads(member.read(archive.getinfo(name).file_size))
    except KeyError:
        return None
    except (ValueError, RecursionError):
        raise ParseError(f"{name} in it is no JSON; export it again") from None
