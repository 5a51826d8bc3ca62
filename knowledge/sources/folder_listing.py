"""Lists the documents below a local folder, and what is left out of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from knowledge.sources.file_selection import FileSelection, is_picture


class FolderListing:
    """The documents below a folder in order of path, and the folders that cannot be read with the reason.

    Hidden files and folders are skipped. A symbolic link is followed only to a file inside the folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.unreadable: list[tuple[Path, OSError]] = []
        self.selection = FileSelection()
        self.paths = list(self._walk())

    def sizes(self) -> dict[str, int]:
        """Return the size of each file in bytes, by its path below the folder; 0 if the size cannot be read."""
        return {path.relative_to(self._root).as_posix(): _size(path) for path in self.paths}

    def _walk(self) -> Iterator[Path]:
        for folder, subfolders, names in os.walk(self._root, onerror=self._add_error):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            self.selection.links += sum(self._leads_outside(Path(folder) / name) for name in subfolders)
            for name in sorted(names):
                path = Path(folder) / name
                if not name.startswith(".") and self._takes(path) and self._is_inside(path):
                    yield path

    def _add_error(self, error: OSError) -> None:
        self.unreadable.append((Path(error.filename or self._root), error))

    def _takes(self, path: Path) -> bool:
        # Only pictures are chosen by their size, and each size costs a system call.
        return self.selection.takes(path.name, _size(path) if is_picture(path.name) else 0)

    def _is_inside(self, path: Path) -> bool:
        try:
            is_outside = self._leads_outside(path)
            self.selection.links += is_outside
            return path.is_file() and not is_outside
        except OSError:
            return True  # Reading it fails with the reason.

    def _leads_outside(self, path: Path) -> bool:
        """Return whether a path is a link out of the folder, or to nothing."""
        # Resolving a path takes longer than everything else about it, and only a link can lead outside.
        if not _is_link(path):
            return False
        try:
            return not (path.exists() and path.resolve().is_relative_to(self._root))
        except OSError:
            return True


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError:
        return False  # Reading it fails with the reason.


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
