"""Runs the system's git so that a stranger's repository, address or server can make it do nothing but its task.

No configuration of the machine or the user, no hooks, no credentials, no prompts, no proxies, and no protocols but
those that are named.
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

PINNING = (2, 37)
"""The first version that connects to an address it is given (http.curloptResolve)."""
_SAFE = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "credential.helper=",
    "http.followRedirects=false",
    "http.proxy=",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
)
_NOT_OPEN = re.compile(
    r"could not read Username|Authentication failed|not found|returned error: 40[134]", re.IGNORECASE
)
_CUT_SHORT = re.compile(r"index-pack|unpack-objects|early EOF|File too large|signal 25")
"""git's words where a limit on the size of a file ended its helper, and where the server hung up."""
_MOVED = re.compile(r"returned error: 30\d|redirect", re.IGNORECASE)


class GitFailedError(SourceError):
    """git ended with an error."""


@dataclass(frozen=True, slots=True)
class Git:
    """``protocols`` are those that git may speak, none for what lies on this machine. ``blocks`` of 512 bytes are the
    most that git may write into one file, None for as much as it likes."""

    home: Path
    protocols: str = "none"
    settings: Sequence[str] = ()
    ceiling: Path | None = None
    blocks: int | None = None

    async def run(self, *arguments: str, seconds: float) -> bytes:
        """What git prints. Raises SourceError."""
        async with self.started(*arguments) as process:
            try:
                async with asyncio.timeout(seconds):
                    printed, complaint = await process.communicate()
            except TimeoutError:
                raise GitFailedError(f"git took longer than {seconds:g} s; clone it and give git:PATH.") from None
            if process.returncode:
                raise GitFailedError(_told(complaint.decode("utf-8", "replace")))
            return printed

    @asynccontextmanager
    async def started(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A running git; at the end of the context it and what it started are ended. Raises SourceError."""
        program = shutil.which("git")
        if program is None:
            raise SourceError("Reading a repository needs git; install it, or give a folder.")
        options = [part for setting in (*_SAFE, *self.settings) for part in ("-c", setting)]
        command = [program, *options, *arguments]
        if self.blocks is not None:
            command = ["/bin/sh", "-c", 'ulimit -f "$0" && exec "$@"', str(self.blocks), *command]
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
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            **({"GIT_CEILING_DIRECTORIES": str(self.ceiling)} if self.ceiling else {}),
        }


async def require_pinning(git: Git) -> None:
    """Raises SourceError where git is too old to connect to the address that was checked."""
    printed = (await git.run("--version", seconds=10)).decode("utf-8", "replace")
    found = re.search(r"(\d+)\.(\d+)", printed)
    if found is None or (int(found[1]), int(found[2])) < PINNING:
        raise SourceError("Reading a repository by its address needs git 2.37 or later; clone it and give git:PATH.")


def _told(complaint: str) -> str:
    """What git complained of, in one line for a person."""
    if "dubious ownership" in complaint:
        return "The repository belongs to another user of this machine; run this as that user, or give its address."
    if "not a git repository" in complaint:
        return "There is no git repository; check the path, or give the folder without git: in front."
    if "Needed a single revision" in complaint:
        return "The repository has no commit yet."
    if _CUT_SHORT.search(complaint):
        return (
            "The repository was not received whole: it is too large, or the line was cut; clone it and give git:PATH."
        )
    if _MOVED.search(complaint):
        return "The repository has moved; give its final address."
    if _NOT_OPEN.search(complaint):
        return "The repository is not there, or not open to everybody; clone it and give git:PATH."
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    return f"git could not read the repository ({(lines or ['no reason given'])[-1][:200]}); check the address."
