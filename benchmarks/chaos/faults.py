"""Injects faults: kills and pauses processes, stops Postgres as in a crash, breaks the network to it, cuts off
platforms and providers."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.chaos.postgres import Postgres
from benchmarks.chaos.process_pool import ProcessPool
from tests.doubles.faulty_network import FaultyNetwork

LONG_AWAY = 0.1
"""Share of the killed processes that stay away for longer than a lease lasts, so that the others go on alone."""
LONG_PAUSE = 50.0


async def _cut(network: FaultyNetwork, rng: random.Random) -> None:
    await network.cut()


async def _silence(network: FaultyNetwork, rng: random.Random) -> None:
    network.silent = True


async def _silence_open_connections(network: FaultyNetwork, rng: random.Random) -> None:
    network.silence_open_connections()


async def _slow(network: FaultyNetwork, rng: random.Random) -> None:
    network.delay = rng.uniform(0.01, 0.1)


async def _close(network: FaultyNetwork, rng: random.Random) -> None:
    network.close_open_connections()


async def _reset(network: FaultyNetwork, rng: random.Random) -> None:
    network.reset_after(rng.randrange(2000))


async def _end_one_side(network: FaultyNetwork, rng: random.Random) -> None:
    network.end_one_side(rng.choice(("client", "server")))


BREAKS = (_cut, _silence, _silence_open_connections, _slow, _close, _reset, _end_one_side)
"""The ways in which the network to Postgres breaks."""


@dataclass
class Faults:
    """Injects faults at random times. The pairs are the minimum and maximum seconds between two faults of a kind."""

    pool: ProcessPool
    postgres: Postgres
    rng: random.Random
    kill_every: tuple[float, float] = (2.0, 10.0)
    least_serving: int = 0
    """Minimum number of serving processes for one to be killed. On a busy machine, a process needs many seconds to
    start. If it is killed before that, none ever answers, and nothing is tested."""
    crash_every: tuple[float, float] = (20.0, 40.0)
    freeze_every: tuple[float, float] | None = None
    freeze_seconds: tuple[float, float] = (35.0, 60.0)
    """Longer than a lease lasts, so that another process takes over the turns."""
    links: Mapping[str, FaultyNetwork] = field(default_factory=dict)
    """The links to the platforms and the providers, by name."""
    outage_every: tuple[float, float] | None = None
    outage_seconds: tuple[float, float] = (10.0, 45.0)
    network: FaultyNetwork | None = None
    """The network between the processes and Postgres."""
    network_every: tuple[float, float] | None = None
    network_seconds: tuple[float, float] = (0.5, 8.0)
    """How long the network stays slow, silent or cut. Broken connections stay broken."""
    kills: int = 0
    crashes: int = 0
    freezes: int = 0
    network_faults: int = 0
    outages: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """The start and the end of each outage, monotonic, by the name of its link."""

    async def run(self) -> None:
        """Inject faults until canceled; Postgres and the links are restored first if they are down."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._kill())
            group.create_task(self._crash())
            if self.freeze_every is not None:
                group.create_task(self._freeze(self.freeze_every))
            group.create_task(self.cut_off())
            if self.network is not None and self.network_every is not None:
                group.create_task(self._break_network(self.network, self.network_every))

    async def cut_off(self) -> None:
        """Cut off the platforms and providers until canceled; the links are restored first if they are down."""
        async with asyncio.TaskGroup() as group:
            if self.outage_every is not None:
                for name, link in self.links.items():
                    group.create_task(self._cut(name, link, self.outage_every))

    async def _cut(self, name: str, link: FaultyNetwork, every: tuple[float, float]) -> None:
        while True:
            await asyncio.sleep(self.rng.uniform(*every))
            seconds = self.rng.uniform(*self.outage_seconds)
            began = time.monotonic()
            await link.cut()
            try:
                await asyncio.sleep(seconds)
            finally:
                await link.mend()
                self.outages.setdefault(name, []).append((began, time.monotonic()))

    async def _break_network(self, network: FaultyNetwork, every: tuple[float, float]) -> None:
        """Break the network to Postgres in a way chosen at random; lasting faults end before the next."""
        while True:
            await asyncio.sleep(self.rng.uniform(*every))
            self.network_faults += 1
            kind = self.rng.choice(BREAKS)
            try:
                await kind(network, self.rng)
                await asyncio.sleep(self.rng.uniform(*self.network_seconds))
            finally:
                await network.mend()

    async def _kill(self) -> None:
        while True:
            await asyncio.sleep(self.rng.uniform(*self.kill_every))
            while len(self.pool.ready) < self.least_serving:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            slot = self.rng.choice(self.pool.slots)
            if slot.process is None or slot.process.gone.is_set():
                continue
            away = sum(slot.process is None or slot.process.gone.is_set() for slot in self.pool.slots)
            if self.rng.random() < LONG_AWAY and away == 0:
                slot.pause = LONG_PAUSE
            slot.process.signal(signal.SIGKILL)
            self.kills += 1

    async def _freeze(self, every: tuple[float, float]) -> None:
        while True:
            await asyncio.sleep(self.rng.uniform(*every))
            slot = self.rng.choice(self.pool.slots)
            if slot.process is None or slot.process.gone.is_set():
                continue
            self.freezes += 1
            process = slot.process
            process.signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(self.rng.uniform(*self.freeze_seconds))
            finally:
                process.signal(signal.SIGCONT)

    async def _crash(self) -> None:
        while True:
            await asyncio.sleep(self.rng.uniform(*self.crash_every))
            self.crashes += 1
            stopping = asyncio.ensure_future(self.postgres.crash(self.rng.uniform(0.2, 3.0)))
            try:
                await asyncio.shield(stopping)
            except asyncio.CancelledError:
                await stopping
                raise
