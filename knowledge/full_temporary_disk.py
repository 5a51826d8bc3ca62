"""Reports a full disk below Parley's temporary files, in which large documents and changed pages wait to be stored."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from knowledge.errors import DiskFullError

NO_SPACE = os.strerror(errno.ENOSPC)
"""What the system, and programs in its language, say about a full disk."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


def no_room() -> str:
    """Return what is said to users when temporary files have no room."""
    folder = tempfile.tempdir or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108
    return (
        f"The disk of the folder for temporary files is full ({folder}). Free disk space there, or set TMPDIR to a "
        "folder on another disk. What was added before is kept; add the rest again."
    )


@contextmanager
def full_disk_reported() -> Iterator[None]:
    """Raise DiskFullError in place of the error of a temporary file that has no room.

    Where no folder at all has room for a file, Python says that it finds no usable one.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL or (error.errno == errno.ENOENT and "temporary directory" in str(error)):
            raise DiskFullError(no_room()) from error
        raise


def discard(file: IO[bytes]) -> None:
    """Close a temporary file whose content is not needed, even if the disk has no room for the rest of it."""
    with suppress(OSError):
        file.close()
