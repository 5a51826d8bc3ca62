"""Sources that read local files and folders, and files that a person uploaded."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

from knowledge.errors import SourceError
from knowledge.storable_text import storable
from knowledge.types import NOTHING_KNOWN, Failure, Fetched, Known

SKIPPED_EXTENSIONS = frozenset(
    """.png .jpg .jpeg .gif .bmp .webp .ico .svg .tif .tiff .mp3 .mp4 .m4a .wav .ogg .mov .avi .mkv .webm .woff .woff2
    .ttf .otf .eot .zip .gz .tgz .bz2 .xz .7z .rar .tar .exe .dll .so .dylib .o .a .class .jar .pyc .pyo .wasm .bin
    .iso .dmg .db .sqlite .sqlite3 .parquet .npy .npz .safetensors .pt .onnx .lock .map""".split()
)
"""Extensions that a folder skips: images, audio, video, fonts, archives, programs and databases."""


class FileSource:
    """One file."""

    kind = "file"

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self._path = path.resolve()
        self._max_bytes = max_bytes
        self.uri = storable(str(self._path))

    def count(self) -> int | None:
        return 1

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Fetched | Failure]:
        """Yield the file."""
        yield await asyncio.to_thread(read_file, self._path, self._path.name, self._max_bytes)


class FolderSource:
    """Every document below a folder, in order of path.

    Hidden files and folders are skipped, and so are extensions that are not documents. A symbolic link is followed only
    to a file inside the folder.
    """

    kind = "folder"

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self._root = path.resolve()
        self._max_bytes = max_bytes
        self.uri = storable(str(self._root))
        self._paths: list[Path] | None = None

    def count(self) -> int | None:
        return len(self._files())

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Fetched | Failure]:
        """Yield each file."""
        for path in await asyncio.to_thread(self._files):
            name = f"{self._root.name}/{path.relative_to(self._root).as_posix()}"
            yield await asyncio.to_thread(read_file, path, name, self._max_bytes)

    def _files(self) -> list[Path]:
        if self._paths is None:
            self._paths = list(self._walk())
        return self._paths

    def _walk(self) -> Iterator[Path]:
        for folder, subfolders, names in os.walk(self._root):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for name in sorted(names):
                path = Path(folder) / name
                if not name.startswith(".") and path.suffix.lower() not in SKIPPED_EXTENSIONS and self._inside(path):
                    yield path

    def _inside(self, path: Path) -> bool:
        return path.is_file() and path.resolve().is_relative_to(self._root)


class UploadSource:
    """A file that a person uploaded, under the name that they gave it.

    ``data`` may be a function that reads the file when it is needed. Then the source does not keep it in memory.
    """

    kind = "upload"

    def __init__(self, name: str, data: bytes | Callable[[], Awaitable[bytes]], *, content_type: str = "") -> None:
        self._name = storable(Path(name.replace("\\", "/")).name) or "upload"
        self._data = data
        self._content_type = content_type
        self.uri = f"upload:{self._name}"

    def count(self) -> int | None:
        return 1

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Fetched | Failure]:
        """Yield the file."""
        data = self._data if isinstance(self._data, bytes) else await self._data()
        yield Fetched(self._name, data, content_type=self._content_type)


def read_file(path: Path, name: str, max_bytes: int) -> Fetched | Failure:
    """Read a file; return a Failure if it is too large, missing or not readable."""
    try:
        if path.stat().st_size > max_bytes:
            return too_large(name, max_bytes)
        return Fetched(name, path.read_bytes())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return Failure(name, f"it cannot be read ({reason}); check that it exists and that this user may read it.")


def too_large(name: str, max_bytes: int) -> Failure:
    """Return the failure of a file that exceeds the size limit."""
    limit = max_bytes // 1_000_000
    return Failure(name, f"it is larger than {limit} MB; raise PARLEY_MAX_FILE_MB, or split it into smaller files.")


def open_path(spec: str, *, max_bytes: int) -> FileSource | FolderSource:
    """Return the source of a path. Raises SourceError if nothing exists there."""
    path = Path(spec).expanduser()
    if path.is_dir():
        return FolderSource(path, max_bytes=max_bytes)
    if path.is_file():
        return FileSource(path, max_bytes=max_bytes)
    raise SourceError(f"There is no file or folder {spec}. Check the path, or give a URL that starts with https://.")
