"""Determines which processes are alive. Each holds an advisory lock while it is connected, and updates a heartbeat row.

A process is dead if its lock is free and it is known to have ended, which the kernel tells about processes on this
machine (``local_processes``). One that runs on this machine keeps its turns while it reconnects, until
its heartbeat has been missing for as long as a lease lasts.

Nothing is known about processes elsewhere. They are dead if the lock is free and the heartbeat has stopped. The lock
reveals a killed process at once; the heartbeat protects a live process while it reconnects. Right after a start of the
server no process has taken its lock again, so none counts as dead: the longer this process needed to reconnect, the
more time the others get. The same holds after this process has lost its own connection: what broke it may have broken
theirs. A process that is paused or hangs keeps its lock. It counts as dead once its heartbeat has been missing for as
long as a lease lasts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

LOCKS = 0x7061726C
"""First key of the processes' advisory locks. The second is the process's number."""

NO_BEAT = 1.5
"""Seconds after which a heartbeat counts as stopped. It is updated every second; reconnecting takes far less."""

SILENT = 30.0
"""Seconds without a heartbeat after which a process counts as dead although it holds its lock: a lease's length."""

SETTLING, SHORTEST_SETTLING, LONGEST_SETTLING = 5.0, 2.0, 15.0
"""Seconds after the start of the server within which no process elsewhere counts as dead: before this process has
reconnected, and the least and the most after that."""
SETTLING_FACTOR = 4.0
"""How much longer than this process another one may need to reconnect."""

KEPT = "1 day"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What this process knows about the others, by their numbers.

    ``settling`` is the number of seconds after the start of the server within which no process elsewhere counts as
    dead. ``reconnecting``: the others may be reconnecting now, as this process did a moment ago. ``gone`` and ``alive``
    are processes of this machine that have ended, and that run.
    """

    settling: float = SETTLING
    reconnecting: bool = False
    gone: frozenset[int] = frozenset()
    alive: frozenset[int] = frozenset()

    def parameters(self) -> dict[str, object]:
        """Return the parameters of ``dead``."""
        return {
            "settling": self.settling,
            "reconnecting": self.reconnecting,
            "gone": list(self.gone),
            "alive": list(self.alive),
        }


def dead(process: str) -> str:
    """Return SQL that is true if the process whose number is in the expression ``process`` is dead.

    For a transaction of ``Database.queue``. Its parameters are those of ``Evidence``.
    """
    return f"""(
        NOT EXISTS (
            SELECT 1 FROM pg_locks held
            WHERE held.locktype = 'advisory' AND held.classid = {LOCKS} AND held.objid = CAST({process} AS oid)
              AND held.objsubid = 2 AND held.granted
              AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
        AND ({process} = ANY (CAST(:gone AS integer[]))
             OR {process} <> ALL (CAST(:alive AS integer[])) AND NOT CAST(:reconnecting AS boolean)
             AND pg_postmaster_start_time() < now() - make_interval(secs => :settling)
             AND NOT EXISTS (
                SELECT 1 FROM processes beating
                WHERE beating.tenant_id = '*' AND beating.process_id = {process}
                  AND beating.beat_at > now() - interval '{NO_BEAT} seconds'))
        OR pg_postmaster_start_time() < now() - make_interval(secs => :settling)
        AND EXISTS (
            SELECT 1 FROM processes silent
            WHERE silent.tenant_id = '*' AND silent.process_id = {process}
              AND silent.beat_at <= now() - interval '{SILENT} seconds'))"""  # noqa: S608


BEAT = """
    INSERT INTO processes (tenant_id, process_id, host, pid, faults, pid_namespace, pid_started)
    VALUES ('*', %(id)s, %(host)s, %(pid)s, %(faults)s, %(namespace)s, %(started)s)
    ON CONFLICT (tenant_id, process_id) DO UPDATE SET beat_at = excluded.beat_at, faults = excluded.faults
"""
"""Updates the process's heartbeat, and what it reports about its parts."""


ON_THIS_MACHINE = f"""
    SELECT process_id, pid, pid_started FROM processes
    WHERE tenant_id = '*' AND pid_namespace = %(namespace)s AND pid_namespace <> '' AND pid <> %(pid)s
      AND beat_at > now() - interval '{2 * SILENT} seconds'
"""  # noqa: S608
"""The other processes in this one's PID namespace, without those whose heartbeat has been missing for so long that it
shows their end."""


LOCK = f"""
    SELECT pg_try_advisory_lock({LOCKS}, %(id)s),
           CAST(extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) AS float8)
"""  # noqa: S608
"""Takes the lock of a process. Also returns how long the server has been running, in seconds."""


def settling_after(seconds: float) -> float:
    """Return how long after the server's start no process counts as dead, for one that reconnected after ``seconds``.

    A machine that is busy makes all of them slow, so a fixed time is too short for some and too long for others.
    """
    return min(max(SHORTEST_SETTLING, SETTLING_FACTOR * seconds), LONGEST_SETTLING)


_DEAD = re.sub(r":(\w+)", r"%(\1)s", dead("others.holder"))

LEFT = f"""
    SELECT EXISTS (
        SELECT 1 FROM (
            SELECT DISTINCT holder FROM queued_turns() WHERE holder <> 0 AND holder <> %(id)s) others
        WHERE {_DEAD})
      OR EXISTS (SELECT 1 FROM queued_turns() WHERE state = 'running' AND lease_until < now())
"""  # noqa: S608
"""SQL: turns of a dead process exist, or turns whose lease has expired."""


FORGET = f"DELETE FROM processes WHERE tenant_id = '*' AND beat_at < now() - interval '{KEPT}'"  # noqa: S608


class ProcessState(NamedTuple):
    """What a live process reports: its host and process ID, and the reason for each part that does not work.

    ``platforms`` are those that it serves, or served before one of them failed.
    """

    host: str
    pid: int
    faults: Mapping[str, str]
    platforms: Sequence[str] = ()


async def live(session: AsyncSession) -> list[ProcessState]:
    """Return the processes whose heartbeat is at most ``SILENT`` seconds old. For a transaction of ``queue``."""
    rows = await session.execute(
        text(
            "SELECT host, pid, faults, platforms FROM processes "
            "WHERE tenant_id = '*' AND beat_at > now() - make_interval(secs => :silent) ORDER BY host, pid"
        ),
        {"silent": SILENT},
    )
    return [ProcessState(row.host, row.pid, row.faults, row.platforms.split()) for row in rows]


async def mark_serving(session: AsyncSession, *, process_id: int, platform: str) -> None:
    """Record that the process serves the platform."""
    await session.execute(
        text(
            "UPDATE processes SET platforms = trim(platforms || ' ' || :platform) "
            "WHERE tenant_id = '*' AND process_id = :id AND NOT :platform = ANY (string_to_array(platforms, ' '))"
        ),
        {"id": process_id, "platform": platform},
    )


async def last_served(session: AsyncSession, *, process_id: int, platform: str) -> datetime | None:
    """Return when another process last served the platform, or None if none did within a day."""
    found: datetime | None = await session.scalar(
        text(
            "SELECT max(beat_at) FROM processes "
            "WHERE tenant_id = '*' AND process_id <> :id AND :platform = ANY (string_to_array(platforms, ' '))"
        ),
        {"id": process_id, "platform": platform},
    )
    return found
