"""Recognizes the pointers that Git LFS stores in place of large files."""

from __future__ import annotations

from knowledge.types.source_items import Failure

_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_LFS_POINTER_BYTES = 1024


def is_lfs_pointer(data: bytes) -> bool:
    """Return whether the data is a pointer that Git LFS stores in place of a large file."""
    return len(data) <= _LFS_POINTER_BYTES and data.startswith(_LFS_POINTER)


def lfs_pointer(name: str) -> Failure:
    """Return the failure of a file of which only the Git LFS pointer is there."""
    return Failure(
        name, "it is a Git LFS pointer, not the file itself. Run git lfs pull in a clone and add the folder."
    )
