"""Isolates the process that parses files: Landlock, seccomp, no capabilities, limits. Works for any user.

Each layer is applied where the kernel has it. ``Isolation`` says which are in force.
"""

from __future__ import annotations

import ctypes
import mimetypes
import os
import resource
import struct
import sys
import sysconfig
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowledge.parsing.isolation import landlock, seccomp_filter

LANDLOCK, SECCOMP, CAPABILITIES, LIMITS = LAYERS = ("landlock", "seccomp", "capabilities", "limits")

MAX_OPEN_FILES = 64
MAX_CPU_SECONDS = 1800
"""CPU time of the process over all files. The parent process limits the time of one file."""

_PACKAGE = Path(__file__).resolve().parents[2]
_SITE_PACKAGES = ("site-packages", "dist-packages")
_SYSTEM_FILES = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/dev/null",
    "/dev/urandom",
    "/sys/devices/system/cpu",
)
"""Shared libraries, time zones and the number of processors."""

_SET_PARENT_DEATH_SIGNAL = 1
_SET_DUMPABLE = 4
_SET_NO_NEW_PRIVS = 38
_SIGKILL = 9
_CAPABILITY_VERSION = 0x20080522
_CAP_DAC_READ_SEARCH = 1 << 2


@dataclass(frozen=True, slots=True)
class Isolation:
    """The layers that are in force in a process. ``landlock`` is the version of its ABI, 0 for none."""

    landlock: int = 0
    seccomp: bool = False

    @classmethod
    def from_json(cls, value: Any) -> Isolation:
        """Convert what the process sent when it started."""
        return cls(int(value["landlock"]), bool(value["seccomp"]))

    @property
    def complete(self) -> bool:
        """Whether the process has neither files, nor a network, nor a way to start or reach other processes."""
        return bool(self.landlock) and self.seccomp

    def __str__(self) -> str:
        active = [f"Landlock ABI {self.landlock}"] if self.landlock else []
        active += ["seccomp"] if self.seccomp else []
        missing = [] if self.landlock else ["Landlock"]
        missing += [] if self.seccomp else ["seccomp"]
        shown = ", ".join([*active, "separate process with memory and time limits"])
        return shown + (f"; missing: {' and '.join(missing)}" if missing else "")

    @property
    def risk(self) -> str:
        """What a file that takes over the parser can do, or an empty string."""
        if self.complete:
            return ""
        if self.seccomp:
            return "could read files that Parley can read"
        if self.landlock:
            return f"could use {'UDP' if self.landlock >= 4 else 'TCP, UDP'} and local sockets"
        return "could read files and use the network like Parley itself"


def isolate(*, without: Collection[str] = ()) -> Isolation:
    """Isolate this process for ever. Call it with one thread, when nothing untrusted has been read yet.

    ``without`` leaves layers out, for tests.
    """
    files = readable_files()
    if LIMITS not in without:
        _limit()
    landlock_abi, seccomp = 0, False
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if LANDLOCK not in without:
            with suppress(OSError):
                landlock_abi = landlock.apply(files)
        if CAPABILITIES not in without:
            _drop_capabilities(libc, keep_reading=bool(landlock_abi))
        libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
        libc.prctl(_SET_PARENT_DEATH_SIGNAL, _SIGKILL, 0, 0, 0)
        if SECCOMP not in without:
            with suppress(OSError):
                seccomp_filter.apply()
                seccomp = True
    if not seccomp and LIMITS not in without:
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    return Isolation(landlock_abi, seccomp)


def hide_memory_and_environment() -> None:
    """Close ``/proc/PID/environ`` and ``/proc/PID/mem`` of this process to other processes of the same user.

    It also means that a crash of this process leaves no core dump, and that only root can attach a debugger.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)


def readable_files() -> list[Path]:
    """Return the files and folders that importing and running the parsers needs, without those of the bot.

    The folder of the project is not among them: it may hold ``.env`` and the data folder.
    """
    paths = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
    paths += [Path(entry) for entry in sys.path if entry.endswith(".zip") or _has_libraries(Path(entry))]
    paths += [Path(entry) for entry in os.environ.get("LD_LIBRARY_PATH", "").split(":") if entry]
    paths += [Path(sys.base_prefix, "lib"), _PACKAGE, *map(Path, _SYSTEM_FILES), *map(Path, mimetypes.knownfiles)]
    return list(_absolute(paths))


def _has_libraries(folder: Path) -> bool:
    if folder.name in _SITE_PACKAGES:
        return True
    return folder.resolve() != _PACKAGE.parent and any(folder.glob("*.dist-info"))


def _absolute(paths: Iterable[Path]) -> Iterable[Path]:
    """Resolve links, and leave out the root of the file system, which a strange prefix could make of a folder."""
    return (path for path in dict.fromkeys(path.resolve() for path in paths) if len(path.parts) > 1)


def _limit() -> None:
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_CPU, MAX_CPU_SECONDS),
    ):
        _, hard = resource.getrlimit(limit)
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (allowed, allowed))


def _drop_capabilities(libc: ctypes.CDLL, *, keep_reading: bool) -> None:
    """Give up the powers of root. ``keep_reading`` keeps one: to read libraries that belong to another user."""
    kept = _CAP_DAC_READ_SEARCH if keep_reading and os.geteuid() == 0 else 0
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    if libc.capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0)) != 0:
        libc.capset(header, bytes(24))
