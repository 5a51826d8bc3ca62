"""Kills processes exactly at each edge between two states of a turn, many times."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.chaos.crash_points import EDGES, LATE_EDGES
from benchmarks.chaos.faults import Faults
from benchmarks.chaos.process_pool import ProcessPool
from benchmarks.chaos.run import (
    AWAY_SECONDS,
    MOST_WAITING,
    PLATFORMS,
    SETTLE_TIMEOUT,
    Result,
    limit_waiting,
    report,
    wait_until_settled,
)
from benchmarks.chaos.simulated_users import PlatformName
from benchmarks.chaos.test_bed import MIXES, Environment, open_environment
from benchmarks.chaos.worker import Spec

PROMPT_TOKENS = 2000
"""Tokens of a prompt. Threads soon exceed it, so that summaries are made and their edges are passed too."""
OUTAGE_EVERY, OUTAGE_SECONDS = (4.0, 8.0), (3.0, 5.0)
"""How often and for how long each platform is cut off while processes die at the edges of late replies."""
CONVERSATIONS, MAX_QUESTIONS, FOLLOW_UP_SHARE = 12, 40, 0.95
"""Concurrent conversations, questions in each, and the share of follow-ups: threads must be long for summaries."""


async def kill_at_edges(
    seed: int,
    times: int,
    *,
    processes: int = 4,
    edges: Sequence[str] = (*EDGES, *LATE_EDGES),
    rate: float = 6.0,
    logs: Path | None = None,
    settle_timeout: float = SETTLE_TIMEOUT,
    max_seconds: float = 60.0,
    all_at_once: bool = False,
    note: Callable[[str], None] = print,
) -> Result:
    """Kill ``times`` processes at each edge. ``rate`` is events a second; an edge takes at most ``max_seconds``.

    With ``all_at_once``, all edges run at once, and each process dies at the next of them. At the edges of late
    replies, the platforms are cut off now and then.
    """
    began, kills = time.monotonic(), 0
    outages: dict[str, list[tuple[float, float]]] = {}
    pools: list[ProcessPool] = []
    async with open_environment(seed, folder=logs, prompt_tokens=PROMPT_TOKENS) as environment:
        environment.users.conversations, environment.users.max_questions, environment.users.follow_up_share = (
            CONVERSATIONS,
            MAX_QUESTIONS,
            FOLLOW_UP_SHARE,
        )
        for together in [list(edges)] if all_at_once else [[edge] for edge in edges]:
            pool = armed_pool(environment, processes, together, away=AWAY_SECONDS if _late(together) else 0.0)
            pools.append(pool)
            killing = _kill_at_edge(environment, pool, times * len(together), rate, max_seconds)
            found = await (_with_outages(environment, pool, outages, killing) if _late(together) else killing)
            kills += found
            note(f"{', '.join(together)}: {found} kills, {time.monotonic() - began:.0f} s")
        unarmed = environment.pool(processes)
        pools.append(unarmed)
        await unarmed.start()
        armed_until = time.monotonic()
        await wait_until_settled(environment, unarmed, settle_timeout)
        await unarmed.close()
        spent = time.monotonic() - began
        return await report(environment, pools, seed, spent, kills=kills, armed_until=armed_until, outages=outages)


def _late(edges: Sequence[str]) -> bool:
    return bool(set(edges) & set(LATE_EDGES))


async def _with_outages(
    environment: Environment,
    pool: ProcessPool,
    outages: dict[str, list[tuple[float, float]]],
    killing: Coroutine[Any, Any, int],
) -> int:
    """Cut off the platforms now and then until the kills are done; add their outages."""
    faults = Faults(
        pool,
        environment.postgres,
        environment.rng,
        links={name: environment.links[name] for name in PLATFORMS},
        outage_every=OUTAGE_EVERY,
        outage_seconds=OUTAGE_SECONDS,
        outages=outages,
    )
    cutting = asyncio.create_task(faults.cut_off())
    try:
        return await killing
    finally:
        cutting.cancel()
        await asyncio.gather(cutting, return_exceptions=True)


def armed_pool(
    environment: Environment,
    processes: int,
    edges: Sequence[str],
    mixes: Sequence[tuple[PlatformName, ...]] = MIXES,
    away: float = 0.0,
) -> ProcessPool:
    """Return a pool of processes that die at one of the edges each, at its first passage or one soon after."""

    def arm(make: Callable[[], Spec]) -> Callable[[], Spec]:
        return lambda: replace(make(), point=next(points), at=next(passages))

    points, passages = itertools.cycle(edges), itertools.cycle([1, 2, 1, 4, 1, 3])
    return ProcessPool(
        environment.fork_server, [arm(make) for make in environment.specs(processes, mixes=mixes, away=away)]
    )


async def _kill_at_edge(
    environment: Environment, pool: ProcessPool, times: int, rate: float, max_seconds: float
) -> int:
    """Ask until enough processes have died at the edge; return how many did."""
    asking = asyncio.create_task(environment.users.ask(10**6, 10**6 / rate))
    watching = asyncio.create_task(limit_waiting(environment, MOST_WAITING))
    starting = asyncio.create_task(pool.start())
    until, deaths = time.monotonic() + max_seconds, 0
    while deaths < times and time.monotonic() < until:
        await asyncio.sleep(0.1)
        deaths = sum(bool(process.died_at) for process in pool.history)
    for task in (asking, watching, starting):
        task.cancel()
    await asyncio.gather(asking, watching, starting, return_exceptions=True)
    environment.users.patient = False
    await environment.users.wait_until_delivered()
    await pool.close()
    return deaths
