"""A git repository: the text files and documents of its newest commit, straight from git's own storage.

Nothing is ever checked out, so that no path name, link, filter or attribute of the repository touches the disk.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from knowledge.errors import SourceError
from knowledge.sources.files import NO_DOCUMENTS
from knowledge.sources.git_command import Git, require_pinning
from knowledge.sources.web_page import AddressRefusedError, CheckedResolver, PageError, check_url
from knowledge.types import NOTHING_KNOWN, Failure, Fetched, Item, Known, Mark, Unchanged

SECONDS = 300.0
MAX_CLONE = 1024 * 1024 * 1024
"""Bytes of a clone's largest file, which is nearly all of it."""
_BLOCK = 512
_BINARY_HEAD = 8_000
"""Bytes in which git itself looks for a null to tell binary files."""
_BINARY_DOCUMENTS = (".pdf", ".docx", ".pptx", ".xlsx")
_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")
_PATH = re.compile(r"/[A-Za-z0-9._~%!$&'()*+,;=:@/-]+")


@dataclass(frozen=True, slots=True)
class TrackedFile:
    """A file of a commit."""

    path: str
    blob: str
    size: int


class GitSource:
    """``place`` is an address with https:// (a shallow clone is made and thrown away) or a folder of this machine."""

    kind = "git"

    def __init__(self, place: str | Path, *, fetch_allow: Sequence[str], max_bytes: int) -> None:
        self._place = place.resolve() if isinstance(place, Path) else place
        self._allow = fetch_allow
        self._max_bytes = max_bytes
        self._name = PurePosixPath(str(self._place).rstrip("/")).name.removesuffix(".git") or "repository"
        self.uri = f"git:{self._place}"
        self._found: int | None = None

    def count(self) -> int | None:
        """Files that may be documents, once the commit is known."""
        return self._found

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]:
        with tempfile.TemporaryDirectory(prefix="parley-git-") as folder:
            home = Path(folder)
            if isinstance(self._place, Path):
                git, repository = Git(home, ceiling=self._place.parent), self._place
            else:
                git, url = await self._remote(self._place, home)
                if await self._stands_still(git, url, known):
                    self._found = len(known.documents)
                    for name in known.documents:
                        yield Unchanged(name)
                    yield Mark(known.mark)
                    return
                repository = await self._clone(git, url)
            head = await git.run("-C", str(repository), "rev-parse", "--verify", "HEAD^{commit}", seconds=30)
            commit, brought = head.decode().strip(), 0
            async for item in self._files(git, repository, commit, known):
                brought += not isinstance(item, Failure)
                yield item
            yield Mark(_mark(commit, brought))

    async def _remote(self, url: str, home: Path) -> tuple[Git, str]:
        """A git that connects to the address that was checked, and the address."""
        url, pin = await _checked(url, self._allow)
        git = Git(home, protocols="https:http", settings=pin, blocks=MAX_CLONE // _BLOCK)
        await require_pinning(git)
        return git, url

    async def _stands_still(self, git: Git, url: str, known: Known) -> bool:
        """Whether the newest commit is the one whose files are all known: then nothing needs to be cloned."""
        if not known.mark:
            return False
        head = (await git.run("ls-remote", "--quiet", "--", url, "HEAD", seconds=60)).decode().partition("\t")[0]
        return known.mark == _mark(head, len(known.documents))

    async def _clone(self, git: Git, url: str) -> Path:
        """A bare clone of the newest commit."""
        target = git.home / "clone"
        await git.run(
            *("clone", "--bare", "--depth=1", "--single-branch", "--no-tags", "--quiet", "--template="),
            *("--", url, str(target)),
            seconds=SECONDS,
        )
        return target

    async def _files(
        self, git: Git, repository: Path, commit: str, known: Known
    ) -> AsyncIterator[Fetched | Unchanged | Failure]:
        tree = await git.run("-C", str(repository), "ls-tree", "-r", "-z", "-l", "--full-tree", commit, seconds=60)
        async with git.started("-C", str(repository), "cat-file", "--batch") as blobs:
            files = tracked(tree)
            self._found = len(files)
            for file in files:
                name = f"{self._name}/{file.path}"
                kept = {"commit": commit, "blob": file.blob}
                if name in known.documents and known.documents[name].metadata.get("blob") == file.blob:
                    yield Unchanged(name, kept)
                    continue
                if file.size > self._max_bytes:
                    most = self._max_bytes // 1_000_000
                    yield Failure(
                        name, f"it is larger than {most} MB; raise PARLEY_MAX_FILE_MB to take it, or split it"
                    )
                    continue
                data = await _content(blobs, file)
                if not _is_binary(file, data) and data.strip():
                    yield Fetched(name, data, metadata=kept)
                else:
                    self._found -= 1


def _mark(commit: str, documents: int) -> str:
    return f"{commit} {documents}"


def tracked(tree: bytes) -> list[TrackedFile]:
    """The files of ``git ls-tree -r -z -l`` that may be documents; links and submodules are none."""
    files = []
    for entry in tree.split(b"\0"):
        head, tab, path = entry.partition(b"\t")
        fields = head.split()
        if not tab or len(fields) != 4 or fields[0] == b"120000" or fields[1] != b"blob":
            continue
        name = path.decode("utf-8", "replace")
        place = PurePosixPath(name)
        if place.suffix.lower() not in NO_DOCUMENTS and not any(part.startswith(".") for part in place.parts):
            files.append(TrackedFile(name, fields[2].decode(), int(fields[3])))
    return files


async def _content(blobs: asyncio.subprocess.Process, file: TrackedFile) -> bytes:
    assert blobs.stdin is not None
    assert blobs.stdout is not None
    try:
        blobs.stdin.write(f"{file.blob}\n".encode())
        await blobs.stdin.drain()
        head = (await blobs.stdout.readline()).split()
        if len(head) != 3:
            raise SourceError(f"The repository is not whole: {file.path} is missing in it; clone it again.")
        return (await blobs.stdout.readexactly(int(head[2]) + 1))[:-1]
    except (OSError, EOFError, ValueError):
        raise SourceError(f"git broke off at {file.path}; try again.") from None


def _is_binary(file: TrackedFile, data: bytes) -> bool:
    return PurePosixPath(file.path).suffix.lower() not in _BINARY_DOCUMENTS and b"\0" in data[:_BINARY_HEAD]


async def _checked(url: str, allow: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The address in a form that every reader takes alike, and the setting that ties its name to what was checked."""
    parts = urlsplit(url)
    try:
        check_url(url, allow)
        name = (parts.hostname or "").rstrip(".").encode("idna").decode().lower()
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        host = f"[{name}]" if ":" in name else name
        if not _HOST.fullmatch(host) or not _PATH.fullmatch(parts.path):
            raise PageError(f"{url} is no address of a repository; write it as https://example.org/team/name.git.")
        found = await CheckedResolver(allow).resolve(name, port)
    except AddressRefusedError as error:
        raise SourceError(f"{error}.") from None
    except (OSError, UnicodeError, ValueError):
        raise SourceError(f"{url} cannot be reached; check the address and the network.") from None
    addresses = ",".join(f"[{each['host']}]" if ":" in each["host"] else each["host"] for each in found)
    pin = () if ":" in name else (f"http.curloptResolve={name}:{port}:{addresses}",)
    return f"{parts.scheme}://{host}:{port}{parts.path}", pin
