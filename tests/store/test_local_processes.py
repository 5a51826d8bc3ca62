"""Processes on one machine learn from the kernel which of them has ended, and which one only lost its connection."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from bot.config import Settings
from bot.engine.ports.stores import Stores
from bot.store.database import connections, local_processes
from bot.store.database.local_processes import LocalProcess, LocalProcesses, started_at
from bot.store.database.notifications import Notifications
from bot.store.database.session import Database
from bot.store.stores import open_stores
from bot.types.turns import Notice
from tests.doubles.faulty_network import FaultyNetwork
from tests.store.test_death_after_restart import PATIENCE, listening, next_of
from tests.store.test_turn_queue import asked, store_of, until
from tests.store.test_turns import NOON

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux names processes and PID namespaces like this"
)

HERE, OTHER = 11, 12
NEVER_SETTLED = 1e6
"""Seconds after the start of the server within which nothing but the kernel tells the death of a process."""


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits until it is killed. Nothing waits for its end meanwhile, so that it stays as a zombie."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def as_process(process: subprocess.Popen[bytes], number: int = OTHER) -> LocalProcess:
    return LocalProcess(number, process.pid, started_at(process.pid))


def known(watched: LocalProcesses) -> tuple[set[int], set[int]]:
    """Return the numbers of the processes that run, and of those that have ended."""
    return set(watched.alive), set(watched.gone)


async def test_the_end_of_a_process_is_told_at_once_and_again_while_its_lock_is_released(
    other: subprocess.Popen[bytes],
) -> None:
    told = asyncio.Queue[None]()
    watched = LocalProcesses(lambda: told.put_nowait(None))
    watched.watch([as_process(other)])
    assert known(watched) == ({OTHER}, set())
    other.kill()
    for _ in local_processes.LOCK_RELEASE_SECONDS:
        await asyncio.wait_for(told.get(), PATIENCE)
    assert known(watched) == (set(), {OTHER})
    watched.watch([])
    assert watched.gone == set(), "the dead are not kept for ever"
    watched.close()


async def test_a_process_that_ended_before_it_was_watched_is_gone_also_if_its_pid_is_in_use_again(
    other: subprocess.Popen[bytes],
) -> None:
    watched = LocalProcesses(lambda: None)
    before, ended = as_process(other)._replace(process_id=1), as_process(other)._replace(started=1)
    watched.watch([before, ended])
    assert known(watched) == ({1}, {OTHER})
    other.kill()
    other.wait()
    watched.close()
    watched.watch([before])
    assert watched.gone == {1}
    watched.close()


async def test_nothing_is_known_about_a_process_where_the_system_does_not_tell(
    other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(pid: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    watched, process = LocalProcesses(lambda: None), as_process(other)
    watched.watch([process._replace(started=0)])
    assert known(watched) == (set(), set())
    monkeypatch.setattr(os, "pidfd_open", forbidden)
    watched.watch([process])
    assert known(watched) == (set(), set())
    watched.close()


def observed_by(notifications: Notifications, database: Database) -> Stores:
    """Return the stores of a process that judges the others by what its connection for notifications knows."""
    return open_stores(
        database,
        Settings(_env_file=None),
        count_tokens=len,
        clock=lambda: NOON,
        holder=lambda: notifications.holder,
        evidence=lambda: notifications.evidence,
    )


@asynccontextmanager
async def observer(url: str, *, settling: float) -> AsyncIterator[tuple[Notifications, asyncio.Queue[Notice]]]:
    """A process that watches the others, and the notices that it receives."""
    heard: asyncio.Queue[Notice] = asyncio.Queue()
    notifications = Notifications(url, process_id=HERE, beat=0.05, settling=settling)
    async with listening(notifications, heard):
        await asyncio.wait_for(notifications.connected(), PATIENCE)
        yield notifications, heard


async def register(database: Database, process: subprocess.Popen[bytes], *, beat: str) -> None:
    """Write the heartbeat of a process of Parley. It holds no lock, as right after a restart of the server."""
    row = {"id": OTHER, "namespace": local_processes.pid_namespace(), **as_process(process)._asdict(), "beat": beat}
    async with database.queue() as session:
        await session.execute(
            text(
                "INSERT INTO processes (tenant_id, process_id, host, pid, pid_namespace, pid_started, beat_at) "
                "VALUES ('*', :id, '', :pid, :namespace, :started, now() + CAST(:beat AS interval))"
            ),
            row,
        )


async def test_a_killed_process_is_dead_at_once_although_its_heartbeat_is_fresh_and_the_server_has_just_started(
    database: Database, database_url: str, other: subprocess.Popen[bytes]
) -> None:
    await register(database, other, beat="1 minute")
    turn = await asked(store_of(database, OTHER), "1")
    async with observer(database_url, settling=NEVER_SETTLED) as (notifications, heard):
        stores = observed_by(notifications, database)
        assert await stores.queue.ready_turns("slack") == []
        other.kill()
        await next_of(heard, "dead")
        assert [found.id for found in await stores.queue.ready_turns("slack")] == [turn.id]


async def test_a_process_that_runs_keeps_its_turns_however_long_it_needs_to_reconnect(
    database: Database, database_url: str, other: subprocess.Popen[bytes]
) -> None:
    await register(database, other, beat="-20 seconds")
    await asked(store_of(database, OTHER), "1")
    async with observer(database_url, settling=0.0) as (notifications, _):
        stores = observed_by(notifications, database)
        assert await stores.queue.ready_turns("slack") == []
        other.send_signal(signal.SIGSTOP)
        assert await stores.queue.ready_turns("slack") == [], "a paused process has not ended"
        async with database.queue() as session:
            await session.execute(text("UPDATE processes SET beat_at = now() - interval '31 seconds'"))
        assert len(await stores.queue.ready_turns("slack")) == 1, "one that hangs loses them when its leases end"


async def test_processes_elsewhere_have_time_to_reconnect_after_a_fault_of_the_network(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, other: subprocess.Popen[bytes]
) -> None:
    await register(database, other, beat="-20 seconds")
    turn = await asked(store_of(database, OTHER), "1")
    monkeypatch.setattr(local_processes, "pid_namespace", lambda: "")
    async with FaultyNetwork(database_url) as network, observer(network.url, settling=0.0) as (notifications, heard):
        notifications._fixed_settling = NEVER_SETTLED
        await network.cut()
        await network.mend()
        await next_of(heard, "connected")
        await next_of(heard, "connected")
        stores = observed_by(notifications, database)
        assert await stores.queue.ready_turns("slack") == [], "what cut this process off may have cut it off as well"
        notifications._fixed_settling = 0.0
        await network.cut()
        await network.mend()
        await next_of(heard, "connected")

        async def taken() -> bool:
            return turn.id in [found.id for found in await stores.queue.ready_turns("slack")]

        await until(taken)


async def test_an_answer_that_arrived_while_the_process_was_paused_counts(database: Database) -> None:
    """A connection that was given up for that would give up the lock with which its process shows that it is alive."""
    connection = await connections.connect(database.session_url)
    connection.round_trip_seconds = 0.3
    asking = asyncio.ensure_future(connection.execute("SELECT 1"))
    await asyncio.sleep(0)
    _pause(1.5)
    assert await (await asking).fetchone() == (1,)
    connection.round_trip_seconds = PATIENCE
    assert await (await connection.execute("SELECT 2")).fetchone() == (2,)
    await connection.close()


def _pause(seconds: float) -> None:
    """Run nothing else meanwhile, as a process without processor time."""
    subprocess.run(["sleep", str(seconds)], check=True)
