"""Keeps a process's connection for LISTEN/NOTIFY.

It receives notices of other processes, and shows them that this process is alive.

The connection is separate from the pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from bot.health import Health
from bot.store.database import connections, local_processes, poolers, process_liveness
from bot.store.database.local_processes import LocalProcess, LocalProcesses
from bot.store.database.pipelined_transactions import APP_ROLE, Statement
from bot.store.database.process_liveness import Evidence
from bot.store.database.retry import first_line
from bot.store.database.session import NO_TENANT
from bot.types.display import Pacing
from bot.types.turns import Notice, NoticeKind

log = logging.getLogger(__name__)

CHANNEL = "parley_turns"
BEAT_SECONDS = 1.0
ROUND_TRIP_SECONDS = 5.0
"""Seconds without an answer after which the connection counts as broken. Its statements are tiny."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5
NO_SESSION_PAUSE = 5.0
PART = "notifications"
"""The name under which the connection reports its health."""
_TELL = "SELECT pg_notify(%(channel)s, payload) FROM unnest(%(payloads)s::text[]) AS told (payload)"
PACING = "pace"
"""The first word of a report about edit pacing. Earlier versions, which do not know it, ignore it."""
_KINDS: dict[str, NoticeKind] = {"ready": "ready", "stop": "stop", "moved": "moved"}


def _unheard(_: Pacing) -> None:
    """Ignore pacing reports: the default for a process that edits nothing."""


_BIND = """
    SELECT set_config('parley.tenant_id', %(tenant)s, false),
           (SELECT set_config('role', rolname, false) FROM pg_roles
            WHERE rolname = %(role)s AND pg_has_role(current_user, oid, 'MEMBER'))
"""
"""Binds the connection's session to no tenant and to the role without rights to bypass row-level security."""


class NoSession(Exception):
    """The connection keeps no session, so that it can neither listen nor hold a lock."""


class Notifications:
    """Reconnects automatically. ``heard`` is called with every notice, on the event loop, and must not block."""

    def __init__(
        self,
        url: str,
        *,
        process_id: int | None = None,
        beat: float = BEAT_SECONDS,
        settling: float | None = None,
        health: Health | None = None,
    ) -> None:
        self._url = url
        self._beat = beat
        self.process_id = process_id or random.SystemRandom().randrange(1, 2**31)
        """The number of this process."""
        pid = os.getpid()
        self._who: dict[str, object] = {
            "id": self.process_id,
            "host": socket.gethostname(),
            "pid": pid,
            "namespace": local_processes.pid_namespace(),
            "started": local_processes.started_at(pid),
        }
        self._fixed_settling = settling
        self._settling = process_liveness.SETTLING if settling is None else settling
        self._settled_at = 0.0
        """When the other processes have had time to reconnect after a fault, in seconds of the event loop's clock."""
        self._others: LocalProcesses | None = None
        self._connected = asyncio.Event()
        self._health = health or Health()

    @property
    def holder(self) -> int | None:
        """The number under which this process may hold turns; None while it has no lock that shows that it is alive."""
        return self.process_id if self._connected.is_set() else None

    @property
    def evidence(self) -> Evidence:
        """What this process knows about the others."""
        if self._others is None:
            return Evidence(self._settling)
        reconnecting = asyncio.get_running_loop().time() < self._settled_at
        return Evidence(self._settling, reconnecting, self._others.gone, self._others.alive)

    async def connected(self) -> None:
        """Wait for the connection."""
        await self._connected.wait()

    async def serve(self, heard: Callable[[Notice], None], paced: Callable[[Pacing], None] = _unheard) -> None:
        """Listen until cancelled. ``paced`` is called with other processes' pacing reports and must not block."""
        self._others = LocalProcesses(lambda: heard(Notice("dead")))
        try:
            await self._serve(heard, paced)
        finally:
            self._others.close()

    async def _serve(self, heard: Callable[[Notice], None], paced: Callable[[Pacing], None]) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._once(heard, paced)
            except NoSession as error:
                if self._health.faults.get(PART) != str(error):
                    log.error("%s", error)
                self._health.failed(PART, str(error))
                pause = NO_SESSION_PAUSE
            except (psycopg.Error, OSError) as error:
                if self._connected.is_set():
                    log.warning("the connection for notifications is broken (%s); reconnecting", first_line(error))
                    pause = FIRST_PAUSE
                self._health.failed(PART, f"the connection is broken ({first_line(error)}); reconnecting")
                self._settled_at = math.inf
            finally:
                self._connected.clear()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _once(self, heard: Callable[[Notice], None], paced: Callable[[Pacing], None]) -> None:
        began = asyncio.get_running_loop().time()
        connection = await connections.connect(self._url)
        connection.round_trip_seconds = ROUND_TRIP_SECONDS
        try:
            if not await poolers.keeps_session(connection, self._url):
                raise NoSession(poolers.NEEDS_SESSION)
            await connection.execute(_BIND, {"tenant": NO_TENANT, "role": APP_ROLE})
            await connection.execute(f"LISTEN {CHANNEL}")
            await connection.execute(process_liveness.BEAT, self._beating())
            await connection.execute(process_liveness.FORGET)
            locked = await self._lock(connection)
            await self._watch_others(connection)
            self._let_others_reconnect(asyncio.get_running_loop().time() - began)
            self._connected.set()
            self._health.works(PART)
            heard(Notice("connected"))
            while True:
                async for notification in connection.notifies(timeout=self._beat):
                    notice = parsed(notification.payload)
                    if isinstance(notice, Notice):
                        heard(notice)
                    elif notice is not None:
                        paced(notice)
                locked = locked or await self._lock(connection)
                await connection.execute(process_liveness.BEAT, self._beating())
                await self._watch_others(connection)
                asked = {**self._who, **self.evidence.parameters()}
                left = await (await connection.execute(process_liveness.LEFT, asked)).fetchone()
                if left is not None and left[0]:
                    heard(Notice("dead"))
        finally:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()

    def _beating(self) -> dict[str, object]:
        return {**self._who, "faults": Jsonb(self._health.faults)}

    async def _lock(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> bool:
        """Take the advisory lock that shows that this process is alive. An earlier connection may still hold it."""
        row = await (await connection.execute(process_liveness.LOCK, self._who)).fetchone()
        if row is None or not row[0]:
            return False
        if self._fixed_settling is None:
            self._settling = process_liveness.settling_after(float(str(row[1])))
        return True

    def _let_others_reconnect(self, seconds: float) -> None:
        """After a fault, give the others time to reconnect as well. This process needed ``seconds``."""
        if self._settled_at == math.inf:
            settling = (
                process_liveness.settling_after(seconds) if self._fixed_settling is None else self._fixed_settling
            )
            self._settled_at = asyncio.get_running_loop().time() + settling

    async def _watch_others(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        """Watch the processes that run on this machine now."""
        assert self._others is not None
        rows = await (await connection.execute(process_liveness.ON_THIS_MACHINE, self._who)).fetchall()
        self._others.watch(LocalProcess(*row) for row in rows)


def payload(notice: Notice) -> str:
    """Return the notice as a NOTIFY payload."""
    return f"{notice.kind} {notice.platform or '-'} {notice.turn_id or '-'} {notice.holder}"


def telling(pacings: Sequence[Pacing]) -> Statement:
    """Return the statement that sends this process's pacing to every process, for a transaction of its own."""
    return Statement(_TELL, {"channel": CHANNEL, "payloads": [_written(pacing) for pacing in pacings]})


def parsed(text: str) -> Notice | Pacing | None:
    """Parse a payload. Return None for one of another version."""
    if text.startswith(f"{PACING} "):
        return _read(text)
    said = text.split()
    if len(said) != 4 or said[0] not in _KINDS or not said[3].isdecimal():
        return None
    kind, platform, turn_id, holder = said
    return Notice(_KINDS[kind], "" if turn_id == "-" else turn_id, "" if platform == "-" else platform, int(holder))


def _written(pacing: Pacing) -> str:
    return f"{PACING} {json.dumps(asdict(pacing), separators=(',', ':'))}"


def _read(text: str) -> Pacing | None:
    try:
        return Pacing(**json.loads(text.partition(" ")[2]))
    except (ValueError, TypeError):
        return None
