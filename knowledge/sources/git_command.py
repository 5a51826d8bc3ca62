"""Runs the system's git in isolation, so that an untrusted repository, URL or server cannot make it do anything else.

git runs without configuration of the machine or user, hooks, credentials, prompts and proxies, and speaks only the
protocols that the caller allows.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from knowledge.errors import SourceError
from knowledge.full_temporary_disk import NO_SPACE, no_room

PINNING_VERSION = (2, 37)
"""The first version of git that supports ``http.curloptResolve``, which sets the address to connect to."""
_SAFE_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "credential.helper=",
    "http.followRedirects=false",
    "transfer.bundleURI=false",
    "fetch.bundleURI=",
    "fetch.uriProtocols=",
    "promisor.acceptFromServer=None",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
)
_NO_ACCESS = re.compile(
    r"could not read Username|Authentication failed|not found|returned error: 40[134]", re.IGNORECASE
)
_NO_REVISION = re.compile(r"Needed a single revision|Remote branch .* not found")
_INCOMPLETE = re.compile(r"index-pack|unpack-objects|early EOF|File too large|signal 25")
"""What git prints when the limit on the size of a file ended its helper process, or when the server hung up."""
_MOVED = re.compile(r"returned error: 30\d|redirect", re.IGNORECASE)


class GitFailedError(SourceError):
    """git ended with an error or took too long."""


class NoRevisionError(GitFailedError):
    """The repository has no such branch, tag or commit."""


@dataclass(frozen=True, slots=True)
class Git:
    """Runs git commands with a private home folder.

    ``protocols``: those that git may speak; ``none`` for a local repository. ``settings``: further git configuration.
    ``proxy``: the URL of the proxy for every connection; none if empty.
    ``ceiling``: the folder above which git looks for no repository. ``max_file_blocks``: the largest file that git may
    write, in blocks of 512 bytes; None for no limit.
    """

    home: Path
    protocols: str = "none"
    settings: Sequence[str] = ()
    proxy: str = ""
    ceiling: Path | None = None
    max_file_blocks: int | None = None

    async def run(self, *arguments: str, seconds: float) -> bytes:
        """Run a command and return what git prints. Raises SourceError."""
        async with self.start(*arguments) as process:
            try:
                async with asyncio.timeout(seconds):
                    output, errors = await process.communicate()
            except TimeoutError:
                raise GitFailedError(
                    f"git took longer than {seconds:g} seconds. Clone the repository and give git:PATH."
                ) from None
            if process.returncode:
                printed = errors.decode("utf-8", "replace")
                raise (NoRevisionError if _NO_REVISION.search(printed) else GitFailedError)(_explain(printed))
            return output

    @asynccontextmanager
    async def start(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Start a command. At the end of the context, git and its child processes are killed. Raises SourceError."""
        program = shutil.which("git")
        if program is None:
            raise SourceError("Reading a repository needs git. Install git, or give a folder without git: in front.")
        options = [part for setting in (*_SAFE_SETTINGS, *self.settings) for part in ("-c", setting)]
        command = [program, *options, *arguments]
        if self.max_file_blocks is not None:
            command = ["/bin/sh", "-c", 'ulimit -f "$0" && exec "$@"', str(self.max_file_blocks), *command]
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
            "LANG": "C",
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "SSH_ASKPASS": "",
            "GCM_INTERACTIVE": "never",
            "GIT_ALLOW_PROTOCOL": self.protocols,
            # Not an argument of the command, because every user of the computer can read those.
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.proxy",
            "GIT_CONFIG_VALUE_0": self.proxy,
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            **({"GIT_CEILING_DIRECTORIES": str(self.ceiling)} if self.ceiling else {}),
        }


async def require_pinning(git: Git) -> None:
    """Raise SourceError if git is too old to connect to the address that was checked."""
    version = (await git.run("--version", seconds=10)).decode("utf-8", "replace")
    numbers = re.search(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < PINNING_VERSION:
        raise SourceError(
            "Reading a repository by its URL needs git 2.37 or later. Update git, or clone it and give git:PATH."
        )


def _explain(errors: str) -> str:
    """Turn what git prints to stderr into one line that says what to do."""
    if "dubious ownership" in errors:
        return "The repository belongs to another user of this computer. Run this as that user, or give its URL."
    if "not a git repository" in errors:
        return "There is no git repository at this path. Check the path, or give the folder without git: in front."
    if NO_SPACE in errors:
        return no_room()
    if _NO_REVISION.search(errors):
        return "The repository has no commit yet. Commit something and try again."
    if _INCOMPLETE.search(errors):
        return "The repository is too large, or the connection was lost. Clone it and give git:PATH."
    if _MOVED.search(errors):
        return "The repository has moved. Give its new URL."
    if _NO_ACCESS.search(errors):
        return "The repository does not exist or is not public. Clone it and give git:PATH."
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return f"git could not read the repository ({(lines or ['no reason given'])[-1][:200]}). Check the URL."
