"""Runs a primary and a hot standby of it, with the bundled PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy.engine import make_url

from bot.store import search_standby
from bot.store.database import migrate
from bot.store.embedded import binaries
from bot.store.embedded.binaries import Account
from bot.store.embedded.folder import SOCKET_NAME, DataFolder
from bot.store.embedded.roles import PASSWORDS_ONLY
from bot.store.embedded.server import EmbeddedServer
from bot.store.embedded.temporary import temporary_server
from tests.conftest import FAST_SETTINGS

WAIT_SECONDS = 120.0


@dataclass(slots=True)
class Replicas:
    """A primary, and the folder of its standby. The URLs of the standby are for the application and the superuser."""

    primary: EmbeddedServer
    folder: DataFolder
    sockets: Path
    account: Account
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    """The running server; none after a crash."""

    @property
    def url(self) -> str:
        return self._at_standby(self.primary.url)

    @property
    def admin_url(self) -> str:
        return self._at_standby(self.primary.admin_url)

    @property
    def is_running(self) -> bool:
        return bool(self._processes)

    @property
    def _log(self) -> Path:
        return self.folder.home / "log"

    def _at_standby(self, url: str) -> str:
        return make_url(url).update_query_dict({"host": str(self.sockets)}).render_as_string(hide_password=False)

    def copy_primary(self) -> None:
        """Take a base backup of the primary, which is set up to follow it."""
        hba = self.primary.folder.cluster / "pg_hba.conf"
        hba.write_text(f"{PASSWORDS_ONLY}local replication all scram-sha-256\n")
        with psycopg.connect(self.primary.admin_url, autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
        source = make_url(self.primary.admin_url).render_as_string(hide_password=False)
        programs, cluster = binaries.directory(), self.folder.cluster
        words: list[str | Path] = ["-D", cluster, "-d", source, "-R", "-c", "fast", "-X", "stream", "--no-sync"]
        copying = self.account.popen(
            [programs / "pg_basebackup", *words],
            reaches=(cluster, programs, self.primary.folder.cluster),
            cwd=self.folder.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = copying.communicate()
        assert copying.returncode == 0, output.decode()
        (cluster / SOCKET_NAME).unlink(missing_ok=True)  # The primary's socket is in its data folder.

    def start(self) -> None:
        """Start the standby, and wait until it has replayed what the primary has written so far."""
        programs, cluster = binaries.directory(), self.folder.cluster
        settings = {**FAST_SETTINGS, "listen_addresses": "", "unix_socket_directories": str(self.sockets)}
        given = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        (cluster / "postmaster.pid").unlink(missing_ok=True)
        with binaries.log_file(self._log) as output:
            self._processes = [
                self.account.popen(
                    [programs / "postgres", "-D", cluster, *given],
                    reaches=(cluster, programs, self.sockets),
                    cwd=cluster,
                    stdout=output,
                    stderr=output,
                )
            ]
        self.wait_for_replay()

    def crash(self) -> None:
        """End the standby at once, without a checkpoint."""
        for process in self._processes:
            process.send_signal(signal.SIGQUIT)
            process.wait()
        self._processes = []

    def hang(self) -> None:
        """Stop every process of the standby: it still accepts connections, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let the standby go on after ``hang``."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for server in self._processes:
            postmaster = psutil.Process(server.pid)
            for one in (postmaster, *postmaster.children()):
                one.send_signal(number)

    def pause(self) -> None:
        """Pause the replay, and wait until nothing more is replayed."""
        self._ask_standby("SELECT pg_wal_replay_pause()")
        self._wait_until("SELECT pg_get_wal_replay_pause_state() = 'paused'")

    def resume(self) -> None:
        """Continue the replay, and wait until everything is replayed."""
        self._ask_standby("SELECT pg_wal_replay_resume()")
        self.wait_for_replay()

    def wait_for_replay(self) -> None:
        """Wait until the standby has replayed what the primary has written."""
        with psycopg.connect(self.primary.admin_url, autocommit=True) as connection:
            connection.execute("SELECT pg_switch_wal()")
            (written,) = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone() or ("",)
        self._wait_until(f"SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn")

    def _ask_standby(self, statement: str) -> object:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
        return row and row[0]

    def _wait_until(self, statement: str) -> None:
        """Wait until the standby answers a statement with true. Raises AssertionError after ``WAIT_SECONDS``."""
        until, said = time.monotonic() + WAIT_SECONDS, ""
        while time.monotonic() < until:
            try:
                if self._ask_standby(statement):
                    return
            except psycopg.OperationalError as error:
                said = str(error)
                ended = [process for process in self._processes if process.poll() is not None]
                assert not ended, self._log.read_text()
            time.sleep(0.02)
        raise AssertionError(f"{statement} is not true after {WAIT_SECONDS} s. {said}")


@pytest.fixture(scope="session")
def running_replicas() -> Iterator[Replicas]:
    """Yield a migrated primary and its standby, for all tests of this folder."""
    with temporary_server(f"{tempfile.gettempdir()}/parley-primary-", options=FAST_SETTINGS) as primary:
        migrate.upgrade(primary.url)
        home = Path(tempfile.mkdtemp(prefix="parley-standby-"))
        folder, account = DataFolder.open(home), Account.of(primary.folder.cluster)
        folder.cluster.mkdir(mode=0o700)
        if account.switch:
            os.chown(folder.cluster, account.uid, account.gid)
        replicas = Replicas(primary, folder, folder.socket_directory(account.uid, account.gid), account)
        try:
            replicas.copy_primary()
            replicas.start()
            yield replicas
        finally:
            replicas.crash()
            shutil.rmtree(home)


@pytest.fixture
def replicas(running_replicas: Replicas, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replicas]:
    """Yield the primary and the standby, which has everything. Afterwards it runs and replays again.

    A standby that answers is never given up, however slow the machine is.
    """
    monkeypatch.setattr(search_standby, "ANSWER_SECONDS", WAIT_SECONDS)
    yield running_replicas
    running_replicas.wake()
    if not running_replicas.is_running:
        running_replicas.start()
    running_replicas.resume()
