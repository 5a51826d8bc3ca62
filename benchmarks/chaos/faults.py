"""Injects faults: kills processes with SIGKILL, pauses them, and stops PostgreSQL as a crash would."""

from __future__ import annotations

import asyncio
import random
import signal
from dataclasses import dataclass

from benchmarks.chaos.postgres import Postgres
from benchmarks.chaos.process_pool import ProcessPool

LONG_AWAY = 0.1
"""Share of the killed processes that are restarted only after a lease has expired, so that others must take over."""
LONG_PAUSE = 50.0


@dataclass
class Faults:
    """Random kills and stops. The pairs are the least and the most seconds between two faults of a kind."""

    fleet: ProcessPool
    postgres: Postgres
    chance: random.Random
    kill_every: tuple[float, float] = (2.0, 10.0)
    crash_every: tuple[float, float] = (20.0, 40.0)
    freeze_every: tuple[float, float] | None = None
    frozen_for: tuple[float, float] = (35.0, 60.0)
    """Longer than a lease, so that another process takes over what the process held."""
    kills: int = 0
    crashes: int = 0
    freezes: int = 0

    async def run(self) -> None:
        """Inject faults until cancelled. An outage that has begun is completed."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._kill())
            group.create_task(self._crash())
            if self.freeze_every is not None:
                group.create_task(self._freeze(self.freeze_every))

    async def _kill(self) -> None:
        while True:
            await asyncio.sleep(self.chance.uniform(*self.kill_every))
            slot = self.chance.choice(self.fleet.slots)
            if slot.process is None or slot.process.gone.is_set():
                continue
            away = sum(slot.process is None or slot.process.gone.is_set() for slot in self.fleet.slots)
            if self.chance.random() < LONG_AWAY and away == 0:
                slot.pause = LONG_PAUSE
            slot.process.signal(signal.SIGKILL)
            self.kills += 1

    async def _freeze(self, every: tuple[float, float]) -> None:
        while True:
            await asyncio.sleep(self.chance.uniform(*every))
            slot = self.chance.choice(self.fleet.slots)
            if slot.process is None or slot.process.gone.is_set():
                continue
            self.freezes += 1
            process = slot.process
            process.signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(self.chance.uniform(*self.frozen_for))
            finally:
                process.signal(signal.SIGCONT)

    async def _crash(self) -> None:
        while True:
            await asyncio.sleep(self.chance.uniform(*self.crash_every))
            self.crashes += 1
            stopping = asyncio.ensure_future(self.postgres.crash(self.chance.uniform(0.2, 3.0)))
            try:
                await asyncio.shield(stopping)
            except asyncio.CancelledError:
                await stopping
                raise
