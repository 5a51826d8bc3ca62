"""Sources that read local files and folders, and files that a person uploaded."""

from __future__ import annotations

import asyncio
import json
import stat
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from knowledge.errors import EmptySourceError, SourceError
from knowledge.parsing.chats.slack_export_layout import find_exports
from knowledge.parsing.format_detection import MAX_MEMBERS
from knowledge.parsing.zip_archives import DAMAGED
from knowledge.sources.chat_exports import ExportPart, ExportPlan, plan
from knowledge.sources.file_selection import as_picture
from knowledge.sources.folder_listing import FolderListing
from knowledge.sources.lfs_pointers import is_lfs_pointer, lfs_pointer
from knowledge.sources.mail_threads_in_folder import MailThreads
from knowledge.text.counted_nouns import counted
from knowledge.text.storable_text import storable, storable_file_name
from knowledge.types.source_items import NOTHING_KNOWN, Failure, Fetched, Known, SourceWarning

READ_FILES, READ_BYTES = 32, 1_000_000
"""Files, and their bytes, that are read of a folder at once. A larger file is read alone."""
_OF_EXPORT = "it is a part of a chat export. The export is read as a whole, without private conversations."
_PRIVATE_CHANNEL = "it is a private channel or a direct message in the export now, so it was left out."
_UNREADABLE_LIST = "it is damaged or cannot be read, so nobody knows which channels are public. Export it again."
_UNREADABLE_LISTS = "A list of channels cannot be read, so its chat export was left out. Nothing was removed."
_SINGLE_MEMBER_EXPORT = (
    "it belongs to a Slack export of one member's conversations, which are private. It was left out."
)


class FileSource:
    """One file. A Slack export is read a channel or month at a time, whatever its size is."""

    kind = "file"

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self._path = path.resolve()
        self._max_bytes = max_bytes
        self.uri = storable_file_name(str(self._path))
        self._found = 1

    def count(self) -> int | None:
        return self._found

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Fetched | Failure]:
        """Yield the file, or the channels of a Slack export."""
        sizes = await asyncio.to_thread(_export_members, self._path)
        name = self._path.name
        if not sizes:
            yield await asyncio.to_thread(read_file, self._path, name, self._max_bytes)
            if any(earlier.startswith(f"{name}/") for earlier in known.names):
                raise EmptySourceError(
                    f"{name} has no channels of a chat export now, so nothing was removed. Check it."
                )
            return
        with zipfile.ZipFile(self._path) as archive:
            files = ExportFiles(name, sizes, archive.read, self._max_bytes)
            made = await asyncio.to_thread(plan, sizes, files.read, private_chats=known.private_chats, discord=False)
            self._found = len(made.parts)
            for item in (*files.private(made, known), *files.unreadable_lists(made)):
                yield item
            for part in made.parts:
                for read in await asyncio.to_thread(files.items, part):
                    yield read
        if made.unreadable_lists:
            raise SourceError(_UNREADABLE_LISTS)


@dataclass(frozen=True, slots=True)
class ExportFiles:
    """The files of an archive or folder that has exports of chats. ``name`` is the prefix of its documents."""

    name: str
    sizes: dict[str, int]
    read_bytes: Callable[[str], bytes]
    max_bytes: int

    def read(self, file: str) -> bytes:
        """Return the content of a file. Raises OSError, also for a file that is larger than the limit."""
        if self.sizes[file] > self.max_bytes:
            raise OSError("larger than PARLEY_MAX_FILE_MB")
        return self.read_bytes(file)

    def items(self, part: ExportPart) -> list[Fetched | Failure]:
        """Return the document of a channel, and a failure for each file of it that cannot be read."""
        uri = f"{self.name}/{part.name}" if part.name else self.name
        if sum(self.sizes[file] for file in part.members) > self.max_bytes:
            return [too_large(uri, self.max_bytes)]
        items: list[Fetched | Failure] = []
        contents: dict[str, bytes] = {}
        for file in part.members:
            try:
                contents[file] = self.read(file)
                json.loads(contents[file])
            except DAMAGED as error:
                contents.pop(file, None)
                items.append(_broken(f"{self.name}/{file}", error))
        if part.messages and contents.keys().isdisjoint(part.messages):
            items.append(Failure(uri, "none of its files can be read. Export it again."))
        else:
            items.append(Fetched(uri, part.archive(contents), part.title))
        return items

    def private(self, made: ExportPlan, known: Known) -> list[Failure]:
        """Return a failure for each stored document that must not be read now: a channel, a file of an export."""
        prefix, files = f"{self.name}/", made.taken - made.private_files
        failures = []
        for name in known.names:
            inside = name.removeprefix(prefix)
            if made.is_private(inside):
                failures.append(Failure(name, _PRIVATE_CHANNEL, private=True))
            elif inside in files:
                failures.append(Failure(name, _OF_EXPORT, private=True))
        return failures

    def unreadable_lists(self, made: ExportPlan) -> list[Failure]:
        """Return a failure for each list of channels that cannot be read."""
        return [Failure(f"{self.name}/{name}", _UNREADABLE_LIST) for name in made.unreadable_lists]


class FolderSource:
    """Every document below a folder, in order of path, and the channels of exports of chats.

    Hidden files and folders are skipped, and what is no document. A symbolic link is followed only to a file inside
    the folder. A folder that cannot be read is a failure, and keeps what is known of it.
    """

    kind = "folder"

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self._root = path.resolve()
        self._max_bytes = max_bytes
        self.uri = storable_file_name(str(self._root))
        self._listing: FolderListing | None = None
        self._found = 0

    def count(self) -> int | None:
        return self._found or len(self._files().paths)

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Fetched | Failure | SourceWarning]:
        """Yield each file and channel. Raises SourceError after the last one if a folder could not be read."""
        listing = await asyncio.to_thread(self._files)
        files = ExportFiles(self._root.name, listing.sizes(), self._bytes, self._max_bytes)
        exports = await asyncio.to_thread(plan, files.sizes, files.read, private_chats=known.private_chats)
        single = [path for path in listing.paths if self._relative(path) not in exports.taken]
        self._found = len(single) + len(exports.parts)
        for name in sorted(exports.private_files):
            yield Failure(f"{self._root.name}/{name}", _SINGLE_MEMBER_EXPORT, private=True)
        for failure in (*files.private(exports, known), *files.unreadable_lists(exports)):
            yield failure
        for part in exports.parts:
            for item in await asyncio.to_thread(files.items, part):
                yield item
        threads = await asyncio.to_thread(MailThreads, single)
        for group in _groups(single, [files.sizes[self._relative(path)] for path in single]):
            for read in await asyncio.to_thread(self._read, group, threads):
                yield as_picture(read) if isinstance(read, Fetched) else read
        for warning in listing.selection.warnings():
            yield warning
        for folder, error in listing.unreadable:
            yield unreadable(f"{self._root.name}/{self._relative(folder)}".removesuffix("/."), error)
        if listing.unreadable:
            raise SourceError(_unreadable_folders(len(listing.unreadable)))
        if exports.unreadable_lists:
            raise SourceError(_UNREADABLE_LISTS)

    def _files(self) -> FolderListing:
        if self._listing is None:
            self._listing = FolderListing(self._root)
        return self._listing

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _read(self, group: Sequence[Path], threads: MailThreads) -> list[Fetched | Failure]:
        read = [read_file(path, f"{self._root.name}/{self._relative(path)}", self._max_bytes) for path in group]
        return [
            replace(one, earlier_mails=threads.earlier_mails(path)) if isinstance(one, Fetched) else one
            for path, one in zip(group, read, strict=True)
        ]

    def _bytes(self, name: str) -> bytes:
        return (self._root / name).read_bytes()


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


def _groups(paths: Sequence[Path], sizes: Sequence[int]) -> Iterator[list[Path]]:
    """Yield the paths in order, those together that are read at once."""
    group: list[Path] = []
    total = 0
    for path, size in zip(paths, sizes, strict=True):
        if group and (len(group) == READ_FILES or total + size > READ_BYTES):
            yield group
            group, total = [], 0
        group.append(path)
        total += size
    if group:
        yield group


def read_file(path: Path, name: str, max_bytes: int) -> Fetched | Failure:
    """Read a file; return a Failure if it is too large, missing, not readable, a pipe or a Git LFS pointer."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            # Opening a pipe waits for somebody who writes to it.
            return Failure(name, "it is no file. Give the path of a file.")
        if status.st_size > max_bytes:
            return too_large(name, max_bytes)
        data = path.read_bytes()
    except OSError as error:
        return unreadable(name, error)
    return lfs_pointer(name) if is_lfs_pointer(data) else Fetched(name, data)


def unreadable(name: str, error: Exception) -> Failure:
    """Return the failure of a file or folder that the system cannot read."""
    reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
    return Failure(name, f"it cannot be read ({reason}). Check that it exists and that this user may read it.")


def _broken(name: str, error: Exception) -> Failure:
    """Return the failure of one file of an export."""
    if isinstance(error, OSError):
        return unreadable(name, error)
    return Failure(name, "it is damaged or not valid JSON. The rest of the export was read. Export it again.")


def too_large(name: str, max_bytes: int) -> Failure:
    """Return the failure of a file that exceeds the size limit."""
    limit = max_bytes // 1_000_000
    return Failure(name, f"it is larger than {limit} MB. Raise PARLEY_MAX_FILE_MB, or split it into smaller files.")


def local_path(spec: str) -> Path | None:
    """Return the path that ``spec`` names, with the home folder for ``~``; None if there cannot be such a path."""
    try:
        path = Path(spec).expanduser()
        path.exists()  # fails for a name that is too long for the file system
    except (OSError, RuntimeError, ValueError):
        return None
    return path


def open_path(spec: str, *, max_bytes: int) -> FileSource | FolderSource:
    """Return the source of a path. Raises SourceError if nothing exists there."""
    path = local_path(spec)
    if path is not None and path.is_dir():
        return FolderSource(path, max_bytes=max_bytes)
    if path is not None and path.is_file():
        return FileSource(path, max_bytes=max_bytes)
    raise SourceError(f"There is no file or folder {spec}. Check the path, or give a URL that starts with https://.")


def _export_members(path: Path) -> dict[str, int]:
    """Return the files of a Slack export archive by name, with their sizes in bytes; nothing for other files."""
    if not zipfile.is_zipfile(path):
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return {}
    sizes = {member.filename: member.file_size for member in members[:MAX_MEMBERS]}
    has_lists = any(export.lists for export in find_exports(sizes))
    return sizes if has_lists and not any(member.flag_bits & 1 for member in members) else {}


def _unreadable_folders(count: int) -> str:
    folders = counted(count, "folder")
    return f"{folders} could not be read, so documents may be missing. Nothing was removed. Check the rights."
