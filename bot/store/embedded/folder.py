"""The data folder of the embedded server: its files, its owner, its locks and its socket directory."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.errors import ConfigError

MAX_SOCKET_PATH = 100
"""Longest socket path in bytes; the kernel allows 107 on Linux and 103 on macOS."""
SOCKET_NAME = ".s.PGSQL.5432.lock"
_PLAIN_PATH = re.compile(r"[\w./+@-]+", re.ASCII)
"""Paths that PostgreSQL reads literally in ``unix_socket_directories``, where commas and quotes are syntax."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The files of one embedded server. ``home`` is PARLEY_DATA_DIR, resolved."""

    home: Path

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.home / "postgres"

    @property
    def passwords(self) -> Path:
        """The passwords of the server's roles, as JSON, readable by the owner alone."""
        return self.home / "postgres-passwords.json"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.cluster / "log"

    @classmethod
    def open(cls, data_dir: Path) -> DataFolder:
        """Create the folder if it is missing. Raises ConfigError if another user owns it, or if it is not writable."""
        home = data_dir.resolve()
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = home.stat().st_uid
        except OSError as error:
            raise ConfigError(
                f"The data folder {home} cannot be used ({error.strerror}). Set PARLEY_DATA_DIR to your own folder."
            ) from error
        if owner != os.geteuid():
            raise ConfigError(
                f"The data folder {home} belongs to {user_name(owner)}, and Parley runs as {user_name(os.geteuid())}. "
                f"Run it as {user_name(owner)}, or set PARLEY_DATA_DIR to a folder of your own."
            )
        return cls(home)

    @contextmanager
    def starting_or_stopping(self) -> Iterator[None]:
        """Keep other processes from starting or stopping the server while the body runs."""
        with self._locked("postgres.lock", fcntl.LOCK_EX):
            yield

    @contextmanager
    def _locked(self, name: str, kind: int) -> Iterator[None]:
        descriptor = _open_lock(self.home / name)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)

    def join(self) -> int:
        """Count this process as a user of the server.

        The kernel ends this when the descriptor is closed or the process dies.
        """
        descriptor = _open_lock(self.home / "postgres.users")
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return descriptor

    def leave(self, descriptor: int) -> bool:
        """Stop counting this process as a user. Return whether it was the last one."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def socket_directory(self, uid: int, gid: int) -> Path:
        """Return the folder for the server's socket: the cluster's own, or a private one if that path does not work.

        A private folder is below the system's temporary folder, with a name derived from the data folder.
        """
        path = str(self.cluster)
        if _PLAIN_PATH.fullmatch(path) and len(f"{path}/{SOCKET_NAME}".encode()) <= MAX_SOCKET_PATH:
            return self.cluster
        name = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        private = Path(tempfile.gettempdir()) / f"parley-{os.geteuid()}-{name}"
        try:
            private.mkdir(mode=0o700)
            os.chown(private, uid, gid)
        except FileExistsError:
            found = private.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or stat.S_IMODE(found.st_mode) & 0o077:
                raise ConfigError(
                    f"{private} is not a private folder of this user. Delete it, or shorten PARLEY_DATA_DIR."
                ) from None
        return private


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def user_name(uid: int) -> str:
    """Return the name of a user, or the number if there is no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
