"""Source that reads the text files and documents of a git repository's newest commit, without checking it out.

Files are read from git's object storage, so that no path name, link, filter or attribute of the repository can affect
the disk.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from knowledge.errors import EmptySourceError, SourceError
from knowledge.full_temporary_disk import full_disk_reported
from knowledge.sources.checked_git_remote import GitRemote, checked_remote
from knowledge.sources.file_selection import FileSelection, as_picture, is_picture
from knowledge.sources.files import too_large
from knowledge.sources.git_command import Git, GitFailedError, NoRevisionError, require_pinning
from knowledge.sources.git_tunnel import GitTunnel
from knowledge.sources.lfs_pointers import is_lfs_pointer, lfs_pointer
from knowledge.text.storable_text import storable_file_name
from knowledge.types.source_items import NOTHING_KNOWN, Failure, Fetched, Item, Known, Mark, SourceWarning, Unchanged

CLONE_TIMEOUT_SECONDS = 300.0
MAX_CLONE_BYTES = 1024 * 1024 * 1024
"""The size limit of the largest file of a clone, which is nearly all of it."""
_BLOCK_BYTES = 512
_BINARY_CHECK_BYTES = 8_000
"""git itself takes a file for binary if it has a null byte in this many bytes."""
_BINARY_DOCUMENTS = (".pdf", ".docx", ".pptx", ".xlsx")


@dataclass(frozen=True, slots=True)
class TrackedFile:
    """A file of a commit. ``size`` is in bytes."""

    path: str
    blob: str
    size: int


class GitSource:
    """A git repository: an ``https://`` URL, of which a temporary shallow clone is made, or a local folder.

    ``branch`` is a branch or tag in place of the newest commit of the default branch. ``folder`` limits the files.
    """

    kind = "git"

    def __init__(
        self,
        location: str | Path,
        *,
        fetch_allow: Sequence[str],
        max_bytes: int,
        branch: str = "",
        folder: str = "",
    ) -> None:
        self._location = location.resolve() if isinstance(location, Path) else location
        self._allow = fetch_allow
        self._max_bytes = max_bytes
        self._name = PurePosixPath(str(self._location).rstrip("/")).name.removesuffix(".git") or "repository"
        self._branch = branch
        self._folder = folder.strip("/")
        part = f"#{branch}" + (f":{self._folder}" if self._folder else "") if branch or self._folder else ""
        self.uri = f"git:{self._location}{part}"
        self._found: int | None = None

    def count(self) -> int | None:
        """Return the number of files that may be documents; None until the commit is read."""
        return self._found

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]:
        """Yield the files of the newest commit, then a Mark that names it. Raises SourceError."""
        async with AsyncExitStack() as stack:
            with full_disk_reported():
                home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-git-")))
            if isinstance(self._location, Path):
                git, repository = Git(home, ceiling=self._location.parent), self._location
            else:
                remote = await checked_remote(self._location, self._allow)
                tunnel = await stack.enter_async_context(remote.tunnel())
                git = await _remote_git(remote, tunnel, home)
                stack.enter_context(_explain_refusals(tunnel))
                if await self._is_unchanged(git, remote.url, known):
                    self._found = len(known.documents)
                    for name in (*known.documents, *known.pictures_without_text):
                        yield Unchanged(name)
                    yield Mark(known.mark)
                    return
                repository = await self._clone(git, remote.url)
            commit, documents = await self._commit(git, repository), 0
            async for item in self._files(git, repository, commit, known):
                documents += isinstance(item, Fetched | Unchanged) and not is_picture(item.uri)
                yield item
            yield Mark(_mark(commit, documents))

    async def _is_unchanged(self, git: Git, url: str, known: Known) -> bool:
        """Return whether all files of the newest commit are stored already, so that no clone is needed."""
        if not known.mark:
            return False
        wanted = f"refs/heads/{self._branch}" if self._branch else "HEAD"
        head = (await git.run("ls-remote", "--quiet", "--", url, wanted, seconds=60)).decode().partition("\t")[0]
        # A reading that was interrupted may have stored files of another commit than that of the mark.
        commits = {earlier.metadata.get("commit") for earlier in known.documents.values()}
        documents = sum(not is_picture(name) for name in known.documents)
        return known.mark == _mark(head, documents) and commits == {head}

    async def _commit(self, git: Git, repository: Path) -> str:
        """Return the newest commit of the branch. A clone has only that one."""
        revision = self._branch if self._branch and isinstance(self._location, Path) else "HEAD"
        try:
            head = await git.run("-C", str(repository), "rev-parse", "--verify", f"{revision}^{{commit}}", seconds=30)
        except NoRevisionError:
            if revision == "HEAD":
                raise
            raise self._no_branch() from None
        return head.decode().strip()

    def _no_branch(self) -> SourceError:
        return SourceError(f"The repository has no branch or tag {self._branch}. Check its name.")

    def _is_inside(self, path: str) -> bool:
        return not self._folder or path.startswith(f"{self._folder}/")

    async def _clone(self, git: Git, url: str) -> Path:
        """Make a bare clone of the newest commit."""
        target = git.home / "clone"
        try:
            await git.run(
                *("clone", "--bare", "--depth=1", "--single-branch", "--no-tags", "--quiet", "--template="),
                *(("--branch", self._branch) if self._branch else ()),
                *("--", url, str(target)),
                seconds=CLONE_TIMEOUT_SECONDS,
            )
        except NoRevisionError:
            raise self._no_branch() from None
        return target

    async def _files(
        self, git: Git, repository: Path, commit: str, known: Known
    ) -> AsyncIterator[Fetched | Unchanged | Failure | SourceWarning]:
        """Yield the files of the commit. A file whose blob is stored already is Unchanged."""
        tree = await git.run("-C", str(repository), "ls-tree", "-r", "-z", "-l", "--full-tree", commit, seconds=60)
        async with git.start("-C", str(repository), "cat-file", "--batch") as blob_reader:
            selection = FileSelection()
            inside = [file for file in parse_tree(tree) if self._is_inside(file.path)]
            files = [file for file in inside if selection.takes(file.path, file.size)]
            if self._folder and not files:
                raise EmptySourceError(
                    f"The repository has no documents in {self._folder}. Check the name of the folder."
                )
            self._found = len(files)
            for file in files:
                name = f"{self._name}/{file.path}"
                metadata = {"commit": commit, "blob": file.blob}
                if name in known.documents and known.documents[name].metadata.get("blob") == file.blob:
                    yield Unchanged(name, metadata)
                    continue
                if file.size > self._max_bytes:
                    yield too_large(name, self._max_bytes)
                    continue
                data = await _read_blob(blob_reader, file)
                if is_lfs_pointer(data):
                    yield lfs_pointer(name)
                elif not _is_binary(file, data) and data.strip():
                    yield as_picture(Fetched(name, data, metadata=metadata))
                else:
                    self._found -= 1
            for warning in selection.warnings():
                yield warning


async def _remote_git(remote: GitRemote, tunnel: GitTunnel, home: Path) -> Git:
    """Return a git that connects only to the addresses that were checked. Raises SourceError."""
    git = Git(
        home,
        protocols="https:http",
        settings=remote.settings,
        proxy=tunnel.url,
        max_file_blocks=MAX_CLONE_BYTES // _BLOCK_BYTES,
    )
    await require_pinning(git)
    return git


@contextmanager
def _explain_refusals(tunnel: GitTunnel) -> Iterator[None]:
    """Turn git's message about a connection that the tunnel refused into the reason."""
    try:
        yield
    except GitFailedError:
        if tunnel.refusal:
            raise SourceError(f"{tunnel.refusal}.") from None
        raise


def _mark(commit: str, documents: int) -> str:
    return f"{commit} {documents}"


def parse_tree(tree: bytes) -> list[TrackedFile]:
    """Parse ``git ls-tree -r -z -l``. Return the files that are not hidden, without symbolic links and submodules."""
    files = []
    for entry in tree.split(b"\0"):
        head, tab, raw_path = entry.partition(b"\t")
        fields = head.split()
        if not tab or len(fields) != 4 or fields[0] == b"120000" or fields[1] != b"blob":
            continue
        name = storable_file_name(raw_path.decode("utf-8", "surrogateescape"))
        path = PurePosixPath(name)
        is_hidden = any(part.startswith(".") for part in path.parts)
        if not is_hidden:
            files.append(TrackedFile(name, fields[2].decode(), int(fields[3])))
    return files


async def _read_blob(blob_reader: asyncio.subprocess.Process, file: TrackedFile) -> bytes:
    """Read a file's content from ``git cat-file --batch``. Raises SourceError."""
    assert blob_reader.stdin is not None
    assert blob_reader.stdout is not None
    try:
        blob_reader.stdin.write(f"{file.blob}\n".encode())
        await blob_reader.stdin.drain()
        head = (await blob_reader.stdout.readline()).split()
        if len(head) != 3:
            raise SourceError(f"The repository is incomplete: {file.path} is missing. Clone it again.")
        return (await blob_reader.stdout.readexactly(int(head[2]) + 1))[:-1]
    except (OSError, EOFError, ValueError):
        raise SourceError(f"git stopped while reading {file.path}. Try again.") from None


def _is_binary(file: TrackedFile, data: bytes) -> bool:
    if is_picture(file.path):
        return False
    return PurePosixPath(file.path).suffix.lower() not in _BINARY_DOCUMENTS and b"\0" in data[:_BINARY_CHECK_BYTES]
