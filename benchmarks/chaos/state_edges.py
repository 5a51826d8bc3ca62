"""Kills processes at every edge between two states of a turn, repeatedly."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.chaos.crash_points import EDGES
from benchmarks.chaos.environment import MIXES, Environment, staged
from benchmarks.chaos.process_pool import ProcessPool
from benchmarks.chaos.run import PATIENCE, Result, report, settled
from benchmarks.chaos.simulated_users import PlatformName
from benchmarks.chaos.worker import Spec

SHORT = 2000
"""Tokens of a prompt, which threads outgrow early: summaries are made, and their edges are passed too."""
FEW, LONG, OFTEN = 12, 40, 0.95
"""Conversations at once, questions of one at most, and how many of all go on with one: long threads, for that too."""


async def storm_edges(
    seed: int,
    times: int,
    *,
    processes: int = 4,
    edges: Sequence[str] = EDGES,
    rate: float = 6.0,
    logs: Path | None = None,
    patience: float = PATIENCE,
    most: float = 60.0,
    mixed: bool = False,
    note: Callable[[str], None] = print,
) -> Result:
    """Kill ``times`` processes at each edge; ``rate`` are events a second, ``most`` seconds an edge may take.

    ``mixed``: all edges at once, each process dying at the next of them.
    """
    began, kills = time.monotonic(), 0
    fleets: list[ProcessPool] = []
    async with staged(seed, folder=logs, prompt_tokens=SHORT) as stage:
        stage.crowd.conversations, stage.crowd.longest, stage.crowd.follows = FEW, LONG, OFTEN
        for together in [list(edges)] if mixed else [[edge] for edge in edges]:
            fleet = armed(stage, processes, together)
            fleets.append(fleet)
            found = await _at(stage, fleet, times * len(together), rate, most)
            kills += found
            note(f"{', '.join(together)}: {found} kills, {time.monotonic() - began:.0f} s")
        calm = stage.fleet(processes)
        fleets.append(calm)
        await calm.start()
        armed_until = time.monotonic()
        await settled(stage, calm, patience)
        await calm.close()
        spent = time.monotonic() - began
        return await report(stage, fleets, seed, spent, kills=kills, armed_until=armed_until)


def armed(
    stage: Environment, processes: int, edges: Sequence[str], mixes: Sequence[tuple[PlatformName, ...]] = MIXES
) -> ProcessPool:
    """Processes that die at one of the edges each, at its first passage or one soon after."""

    def arm(make: Callable[[], Spec]) -> Callable[[], Spec]:
        return lambda: replace(make(), point=next(points), at=next(passages))

    points, passages = itertools.cycle(edges), itertools.cycle([1, 2, 1, 4, 1, 3])
    return ProcessPool(stage.zygote, [arm(make) for make in stage.specs(processes, mixes=mixes)])


async def _at(stage: Environment, fleet: ProcessPool, times: int, rate: float, most: float) -> int:
    """Ask until enough processes have died there; the number that did."""
    asking = asyncio.create_task(stage.crowd.ask(10**6, 10**6 / rate))
    starting = asyncio.create_task(fleet.start())
    until, deaths = time.monotonic() + most, 0
    while deaths < times and time.monotonic() < until:
        await asyncio.sleep(0.1)
        deaths = sum(bool(process.died_at) for process in fleet.history)
    asking.cancel()
    starting.cancel()
    await asyncio.gather(asking, starting, return_exceptions=True)
    await stage.crowd.quiet()
    await fleet.close()
    return deaths
