"""Which processes live. Each holds an advisory lock for as long as its connection stands, and leaves a beat in a row.

A process is dead when nobody holds its lock and its beat has stopped: the lock tells a killed process within a moment,
the beat covers the moment in which a live one connects anew. Right after a start of the server nobody holds a lock,
so nobody is taken for dead. A process that is only slow or paused keeps its lock; its leases lapse.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

LOCKS = 0x7061726C
"""First half of the advisory locks of processes; the other half is the process's number."""

NO_BEAT = 4.0
"""Seconds after which a beat has stopped."""

SETTLING = 5.0
"""Seconds after the start of the server within which live processes take their locks again."""

KEPT = "1 day"


def dead(process: str) -> str:
    """SQL that says of the process number in the expression ``process`` that it is dead.

    For a transaction of ``Database.queue``; its parameter ``settling`` are the seconds after the start of the server
    within which nobody is taken for dead.
    """
    return f"""(
        pg_postmaster_start_time() < now() - make_interval(secs => :settling)
        AND NOT EXISTS (
            SELECT 1 FROM pg_locks held
            WHERE held.locktype = 'advisory' AND held.classid = {LOCKS} AND held.objid = {process}::oid
              AND held.objsubid = 2 AND held.granted
              AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
        AND NOT EXISTS (
            SELECT 1 FROM processes beating
            WHERE beating.tenant_id = '*' AND beating.process_id = {process}
              AND beating.beat_at > now() - interval '{NO_BEAT} seconds'))"""  # noqa: S608


BEAT = """
    INSERT INTO processes (tenant_id, process_id, host, pid) VALUES ('*', %(id)s, %(host)s, %(pid)s)
    ON CONFLICT (tenant_id, process_id) DO UPDATE SET beat_at = now()
"""

LOCK = f"SELECT pg_try_advisory_lock({LOCKS}, %(id)s)"

_DEAD = dead("others.holder").replace(":settling", "%(settling)s")

LEFT = f"""
    SELECT EXISTS (
        SELECT 1 FROM (
            SELECT DISTINCT holder FROM turns
            WHERE state IN ('queued', 'running') AND holder <> 0 AND holder <> %(id)s) others
        WHERE {_DEAD})
"""  # noqa: S608
"""Whether a dead process holds turns."""

FORGET = f"DELETE FROM processes WHERE tenant_id = '*' AND beat_at < now() - interval '{KEPT}'"  # noqa: S608


async def serves(session: AsyncSession, *, process_id: int, platform: str) -> None:
    """Note that the process serves the platform."""
    await session.execute(
        text(
            "UPDATE processes SET platforms = trim(platforms || ' ' || :platform) "
            "WHERE tenant_id = '*' AND process_id = :id AND NOT :platform = ANY (string_to_array(platforms, ' '))"
        ),
        {"id": process_id, "platform": platform},
    )


async def last_served(session: AsyncSession, *, process_id: int, platform: str) -> datetime | None:
    """When another process last served the platform; None where none did within a day."""
    found: datetime | None = await session.scalar(
        text(
            "SELECT max(beat_at) FROM processes "
            "WHERE tenant_id = '*' AND process_id <> :id AND :platform = ANY (string_to_array(platforms, ' '))"
        ),
        {"id": process_id, "platform": platform},
    )
    return found
