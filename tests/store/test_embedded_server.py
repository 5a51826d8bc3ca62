"""The embedded server: who may connect, which processes it signals, how it handles crashes, copies and odd paths."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy.engine import make_url

from bot.errors import ConfigError
from bot.health import Health
from bot.store.database import migrate
from bot.store.embedded import roles, server
from bot.store.embedded.folder import DataFolder
from bot.store.embedded.server import EmbeddedServer
from bot.store.embedded.temporary import temporary_server

QUICK = {"fsync": "off", "shared_buffers": "1MB", "max_connections": "20"}
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a folder to somebody else")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    yield folder
    for cluster in tmp_path.rglob("postmaster.pid"):
        if (pid := server.running(cluster.parent)) is not None:
            os.kill(pid, signal.SIGQUIT)


def start(home: Path, **more: object) -> EmbeddedServer:
    return server.start(home, options=QUICK, **more)  # type: ignore[arg-type]


def ask(url: str, statement: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()
    return row[0] if row else None


def modes(path: Path) -> list[tuple[Path, int, int]]:
    return [(one, stat.S_IMODE(one.stat().st_mode), one.stat().st_uid) for one in path.parents]


def test_the_application_is_no_superuser_and_owns_what_it_creates(home: Path) -> None:
    running = start(home)
    migrate.upgrade(running.url)
    assert ask(running.url, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user") is False
    assert ask(running.url, "SELECT tableowner FROM pg_tables WHERE tablename = 'turns'") == roles.APPLICATION
    with psycopg.connect(running.url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("COPY (SELECT 1) TO PROGRAM 'true'")
    running.release()
    assert running.pid() is None


def test_nobody_connects_without_the_password(home: Path) -> None:
    running = start(home)
    for url in (running.url, running.admin_url):
        for password in ("", "wrong"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(make_url(url).set(password=password).render_as_string(hide_password=False))
    assert stat.S_IMODE((home / "postgres-passwords.json").stat().st_mode) == 0o600
    logged = running.folder.log.read_text()
    running.release()
    assert not any(one in logged for one in json.loads((home / "postgres-passwords.json").read_text()).values())


def test_folders_above_the_data_folder_stay_as_they_are(home: Path) -> None:
    home.parent.chmod(0o700)
    before = modes(home)
    running = start(home)
    assert ask(running.url, "SELECT 1") == 1
    running.release()
    assert modes(home) == before


@AS_ROOT
def test_a_folder_of_another_user_is_refused_with_the_cure(home: Path) -> None:
    home.mkdir()
    os.chown(home, 1, -1)
    with pytest.raises(ConfigError, match=r"belongs to .*Run it as"):
        start(home)
    assert home.stat().st_uid == 1
    assert list(home.iterdir()) == []


def test_the_last_user_stops_the_server_even_after_a_kill(home: Path) -> None:
    code = f"from bot.store.embedded import server; from pathlib import Path; import sys, time\n\
server.start(Path({str(home)!r}), options={QUICK!r}); print('ready', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"ready\n"
    running = start(home)
    pid = running.pid()
    other.kill()
    other.wait()
    assert ask(running.url, "SELECT 1") == 1, "the server outlives the process that started it"
    again = start(home)
    running.release()
    assert again.pid() == pid, "somebody still uses it"
    again.release()
    assert again.pid() is None
    other.stdout.close()


def test_a_temporary_server_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    code = f"from bot.store.embedded.temporary import temporary_server; import time\n\
with temporary_server({str(tmp_path / 'killed-')!r}, options={QUICK!r}) as server:\n\
    print(server.pid(), flush=True); time.sleep(600)"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert other.stdout is not None
    pid = int(other.stdout.readline())
    [folder] = tmp_path.glob("killed-*")
    assert server.running(folder / "postgres") == pid
    other.kill()
    other.wait()
    other.stdout.close()
    until = time.monotonic() + 60
    while folder.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not folder.exists()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_temporary_server_leaves_nothing(tmp_path: Path) -> None:
    with temporary_server(str(tmp_path / "left-"), options=QUICK) as running:
        pid = running.pid()
        assert ask(running.url, "SELECT 1") == 1
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert list(tmp_path.iterdir()) == []


def test_a_reused_process_number_kills_no_stranger(home: Path) -> None:
    start(home).release()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        pid_file = home / "postgres" / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{home / 'postgres'}\n")
        running = start(home)
        assert running.pid() not in (None, stranger.pid)
        running.release()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_copy_of_a_running_folder_is_a_server_of_its_own(home: Path, tmp_path: Path) -> None:
    running, copied = start(home), tmp_path / "copy"
    shutil.copytree(home, copied, ignore=shutil.ignore_patterns(".s.PGSQL*"))
    if os.geteuid() == 0:
        owner = (home / "postgres").stat()
        for one in [copied / "postgres", *(copied / "postgres").rglob("*")]:
            os.chown(one, owner.st_uid, owner.st_gid)
    copy = start(copied)
    assert copy.pid() != running.pid()
    copy.release()
    assert running.pid() is not None
    assert ask(running.url, "SELECT 1") == 1
    running.release()


@pytest.mark.parametrize("content", ["", "x\n", "999999999\n"])
def test_a_broken_pid_file_is_no_obstacle(home: Path, content: str) -> None:
    start(home).release()
    (home / "postgres" / "postmaster.pid").write_text(content)
    running = start(home)
    assert ask(running.url, "SELECT 1") == 1
    running.release()


def test_a_first_start_that_was_killed_leaves_nothing_that_hinders_the_next(home: Path) -> None:
    (home / "postgres.new" / "base").mkdir(parents=True)
    (home / "postgres").mkdir()
    running = start(home)
    assert not (home / "postgres.new").exists()
    running.release()


@pytest.mark.parametrize(
    "name", ["with space", 'it\'s 100% ;odd?, "quoted" & #1', "ü" * 40, "long" * 30, "a\u2028b\x85\x0cc"]
)
def test_odd_and_long_paths(tmp_path: Path, home: Path, name: str) -> None:
    running = start(tmp_path / name)
    migrate.upgrade(running.url)
    socket = Path(str(make_url(running.url).query["host"]))
    assert stat.S_IMODE(socket.stat().st_mode) & 0o077 == 0, "nobody else reaches the socket"
    running.release()


def test_a_server_that_died_is_started_again_at_the_same_address(home: Path) -> None:
    running = start(home)
    assert not running.ensure_running()
    pid = running.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 30
    while running.pid() is not None and time.monotonic() < until:
        running.ensure_running()
        time.sleep(0.02)
    running.ensure_running()
    assert running.pid() not in (None, pid)
    assert ask(running.url, "SELECT 1") == 1
    running.release()


async def test_a_server_that_does_not_start_again_is_reported(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running, health, pauses = start(home), Health(), list[float]()
    monkeypatch.setattr(EmbeddedServer, "ensure_running", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    enough = asyncio.Event()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 9:
            enough.set()
        await asyncio.sleep(0)

    watching = asyncio.create_task(running.watch(health, sleep=sleep))
    async with asyncio.timeout(30):
        await enough.wait()
    assert health.faults == {"embedded database": "disk full"}
    assert pauses[:9] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    monkeypatch.undo()
    async with asyncio.timeout(30):
        while health.faults:
            await asyncio.sleep(0)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    running.release()


async def test_the_watch_starts_it_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "WATCH_SECONDS", 0.02)
    running, health = start(home), Health()
    watching = asyncio.create_task(running.watch(health))
    pid = running.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        while running.pid() in (None, pid):
            await asyncio.sleep(0.02)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    running.release()


def test_data_of_an_earlier_version_without_passwords_is_taken_over(home: Path) -> None:
    running = start(home)
    with psycopg.connect(running.admin_url, autocommit=True) as admin:
        admin.execute("CREATE TABLE kept (n int PRIMARY KEY)")
        admin.execute("CREATE SEQUENCE counted")
        admin.execute("CREATE TYPE mood AS ENUM ('good')")
        admin.execute("CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        admin.execute("ALTER DATABASE parley OWNER TO postgres")
    running.release()
    (home / "postgres-passwords.json").unlink()
    hba = home / "postgres" / "pg_hba.conf"
    hba.write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n")
    again = start(home)
    owners = "SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname = 'public'"
    assert ask(again.url, owners) == roles.APPLICATION
    with psycopg.connect(again.url) as connection:
        connection.execute("DROP TABLE kept")
        connection.execute("DROP SEQUENCE counted")
        connection.execute("DROP TYPE mood")
        connection.execute("DROP FUNCTION one()")
    again.release()
    assert "trust" not in hba.read_text()


def test_another_major_version_is_named_with_the_cure(home: Path) -> None:
    start(home).release()
    (home / "postgres" / "PG_VERSION").write_text("15\n")
    with pytest.raises(ConfigError, match="created by PostgreSQL 15"):
        start(home)


def test_a_bad_locale_of_the_environment_is_no_obstacle(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "xx_XX.nonsense")
    running = start(home)
    assert ask(running.url, "SELECT lower('ÄÖÜ')") == "äöü"
    running.release()


def test_the_reason_of_a_failed_start_is_one_line(home: Path) -> None:
    start(home).release()
    with pytest.raises(ConfigError) as caught:
        server.start(home, options={"shared_buffers": "nonsense"})
    told = str(caught.value)
    assert "shared_buffers" in told
    assert "\n" not in told
    assert "-c" not in told


def test_a_full_disk_is_named_with_the_cure(home: Path) -> None:
    output = 'LOG:  starting\nFATAL:  could not write to file "base/4/1255_fsm": No space left on device\nHINT:  x\n'
    told = server._failure(DataFolder.open(home), output)
    assert "1255_fsm" in told
    assert "Free some disk space" in told
    assert "HINT" not in told


def test_a_zombie_is_not_running(home: Path) -> None:
    running = start(home, keep=True)
    pid = running.pid()
    assert pid is not None
    running.release()
    assert running.pid() == pid, "kept"
    os.kill(pid, signal.SIGKILL)
    with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        psutil.Process(pid).wait(10)
    assert server.running(home / "postgres") is None
