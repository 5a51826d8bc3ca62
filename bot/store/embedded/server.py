"""Starts, joins, watches and stops the embedded PostgreSQL server. All processes of one data folder share it.

The server starts with the first process that needs it and stops with the last one: each holds a shared lock while it
uses the server, which the kernel releases if the process dies.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bot.errors import ConfigError, for_operator
from bot.health import Health
from bot.store.embedded import binaries, roles
from bot.store.embedded.binaries import Account
from bot.store.embedded.folder import DataFolder

log = logging.getLogger(__name__)

START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.02
WATCH_SECONDS = 1.0
"""Seconds between two checks whether the server still runs."""

LONGEST_WATCH_SECONDS = 60.0
PART = "embedded database"
"""The name under which the server reports its health."""

_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""Servers that this process started, by process id. Only the parent process can collect their exit status."""


@dataclass(slots=True)
class EmbeddedServer:
    """The running server of a data folder. ``url`` connects as the application, ``admin_url`` as superuser.

    ``keep`` leaves the server running when the last process that uses it ends.
    """

    folder: DataFolder
    url: str
    admin_url: str
    options: Mapping[str, str] = field(default_factory=dict)
    keep: bool = False
    _membership: int | None = None

    def pid(self) -> int | None:
        """Return the process id of the running server, or None."""
        return running(self.folder.cluster)

    def ensure_running(self) -> bool:
        """Start the server again if it died. Return whether that was necessary. Raises ConfigError."""
        if self.pid() is not None:
            return False
        with self.folder.starting_or_stopping():
            if self.pid() is not None:
                return False
            _launch(self.folder, self.options)
        return True

    async def watch(self, health: Health, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Restart the server whenever it dies, until cancelled. A start that fails is tried again ever more rarely."""
        pause = WATCH_SECONDS
        while True:
            await sleep(pause)
            try:
                if await asyncio.to_thread(self.ensure_running):
                    log.error("the embedded PostgreSQL server had died and was started again; see %s", self.folder.log)
                health.works(PART)
                pause = WATCH_SECONDS
            except Exception as error:
                pause = min(2 * pause, LONGEST_WATCH_SECONDS)
                log.error("%s", for_operator(error), exc_info=None if isinstance(error, ConfigError) else error)
                health.failed(PART, str(error) or type(error).__name__)

    def crash(self) -> None:
        """Stop the server as a crash would, without a checkpoint. For tests."""
        stop_cluster(self.folder.cluster, signal.SIGQUIT)

    def release(self) -> None:
        """Stop using the server. The last process that uses it stops it."""
        if self._membership is None:
            return
        membership, self._membership = self._membership, None
        with self.folder.starting_or_stopping():
            if self.folder.leave(membership) and not self.keep:
                stop_cluster(self.folder.cluster, signal.SIGINT)

    def stop(self) -> None:
        """Stop the server even if other processes use it."""
        with self.folder.starting_or_stopping():
            stop_cluster(self.folder.cluster, signal.SIGINT)


def start(data_dir: Path, *, options: Mapping[str, str] | None = None, keep: bool = False) -> EmbeddedServer:
    """Start the server of ``data_dir``, or join the running one. Blocks for about a second.

    ``options`` are PostgreSQL settings for a server that is started. Raises ConfigError.
    """
    folder, given = DataFolder.open(data_dir), options or {}
    with folder.starting_or_stopping():
        membership = folder.join()
        try:
            _create_cluster(folder)
            if running(folder.cluster) is None:
                _launch(folder, given)
            access = roles.prepare(folder, _socket(folder))
        except BaseException:
            if folder.leave(membership):
                stop_cluster(folder.cluster, signal.SIGINT)
            raise
    return EmbeddedServer(folder, access.url, access.admin_url, given, keep, membership)


def running(cluster: Path) -> int | None:
    """Return the process id of the server that runs on this very folder, or None.

    A number in ``postmaster.pid`` counts only if that process is a postmaster whose working directory is this folder:
    numbers are reused, and a copied folder has a copy of the file.
    """
    try:
        lines = (cluster / "postmaster.pid").read_text().split("\n")
        process = psutil.Process(int(lines[0]))
        _reap(process.pid)
        here = process.name() == "postgres" and Path(process.cwd()).samefile(cluster)
        return process.pid if here and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def _reap(pid: int) -> None:
    """Collect the exit status of a server that this process started and that has ended."""
    child = _CHILDREN.get(pid)
    if child is not None and child.poll() is not None:
        del _CHILDREN[pid]


def stop_cluster(cluster: Path, number: signal.Signals) -> None:
    """Send the signal to the server and wait until it is gone; after a timeout, stop it without a checkpoint."""
    pid = running(cluster)
    if pid is None:
        return
    os.kill(pid, number)
    until = time.monotonic() + STOP_SECONDS
    while running(cluster) == pid:
        if time.monotonic() > until and number != signal.SIGQUIT:
            os.kill(pid, signal.SIGQUIT)
            number, until = signal.SIGQUIT, time.monotonic() + STOP_SECONDS
        time.sleep(POLL_SECONDS)
    if (child := _CHILDREN.pop(pid, None)) is not None:
        child.wait()


def _socket(folder: DataFolder) -> Path:
    account = Account.of(folder.cluster)
    return folder.socket_directory(account.uid, account.gid)


def _create_cluster(folder: DataFolder) -> None:
    """Create the cluster in a neighboring folder and rename it, so that an interrupted start leaves no incomplete
    cluster.
    """
    cluster, fresh = folder.cluster, folder.home / "postgres.new"
    if (cluster / "PG_VERSION").exists():
        version = (cluster / "PG_VERSION").read_text().strip()
        if version != str(binaries.VERSION):
            raise ConfigError(
                f"{cluster} was created by PostgreSQL {version}, but the bundled version is {binaries.VERSION}. Dump "
                "it with the older version of Parley and restore it here, or set PARLEY_DATA_DIR to another folder."
            )
        return
    if cluster.exists() and any(cluster.iterdir()):
        raise ConfigError(
            f"{cluster} holds files but no PostgreSQL data. Move it away, or set PARLEY_DATA_DIR to another folder."
        )
    shutil.rmtree(fresh, ignore_errors=True)
    account = Account.of(cluster)
    fresh.mkdir(mode=0o700)
    if account.switch:
        os.chown(fresh, account.uid, account.gid)
    programs = account.programs()
    arguments = ("--auth=reject", "--encoding=UTF8", "--username=postgres", "--no-locale", "--no-instructions")
    locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    made = account.popen(
        [programs / "initdb", *arguments, *locale, "-D", fresh],
        reaches=(fresh, programs),
        cwd=fresh,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = made.communicate()
    if made.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise ConfigError(_failure(folder, output.decode(errors="replace")))
    (fresh / "pg_hba.conf").write_text(roles.OPEN_TO_OWNER)
    if cluster.exists():
        cluster.rmdir()
    fresh.rename(cluster)


def _launch(folder: DataFolder, options: Mapping[str, str]) -> None:
    """Start the server on a folder that no server runs on, and wait until it is ready. Raises ConfigError."""
    cluster = folder.cluster
    (cluster / "postmaster.pid").unlink(missing_ok=True)  # The file is stale: left by a crash, copied, or empty.
    account = Account.of(cluster)
    programs = account.programs()
    sockets = folder.socket_directory(account.uid, account.gid)
    settings = {"listen_addresses": "", "unix_socket_directories": str(sockets), "unix_socket_permissions": "0700"}
    given = [word for name, value in {**settings, **options}.items() for word in ("-c", f"{name}={value}")]
    before = folder.log.stat().st_size if folder.log.exists() else 0
    with binaries.log_file(folder.log) as output:
        process = account.popen(
            [programs / "postgres", "-D", cluster, *given],
            reaches=(cluster, programs, sockets),
            cwd=cluster,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _CHILDREN[process.pid] = process
    until = time.monotonic() + START_SECONDS
    while not _is_ready(cluster, process.pid):
        if process.poll() is not None:
            raise ConfigError(_failure(folder, _written_since(folder.log, before)))
        if time.monotonic() > until:
            process.send_signal(signal.SIGQUIT)
            raise ConfigError(_failure(folder, f"it was not ready within {START_SECONDS:.0f} s"))
        time.sleep(POLL_SECONDS)


def _is_ready(cluster: Path, pid: int) -> bool:
    try:
        lines = (cluster / "postmaster.pid").read_text().split("\n")
    except OSError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _written_since(path: Path, position: int) -> str:
    with path.open("rb") as file:
        file.seek(position)
        return file.read().decode(errors="replace")


def _failure(folder: DataFolder, output: str) -> str:
    """Return one line with the reason that PostgreSQL gave, and what to do."""
    marks = ("PANIC:", "FATAL:", "initdb: error:", "ERROR:", "error:")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    found = next((line.partition(mark)[2].strip() for mark in marks for line in lines if mark in line), "")
    reason = found or (lines[-1] if lines else "no reason given")
    cure = "Free some disk space" if "No space left" in output else f"See {folder.log}"
    return (
        f"The embedded PostgreSQL server does not start in {folder.cluster} ({reason}). {cure}, set PARLEY_DATA_DIR to "
        "another folder, or set DATABASE_URL to a PostgreSQL server of your own."
    )
