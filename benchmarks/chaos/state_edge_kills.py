"""Kills processes exactly at each edge between two states of a turn, many times."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.chaos.crash_points import EDGES
from benchmarks.chaos.process_pool import ProcessPool
from benchmarks.chaos.run import SETTLE_TIMEOUT, Result, report, wait_until_settled
from benchmarks.chaos.simulated_users import PlatformName
from benchmarks.chaos.test_bed import MIXES, Environment, open_environment
from benchmarks.chaos.worker import Spec

PROMPT_TOKENS = 2000
"""Tokens of a prompt. Threads soon exceed it, so that summaries are made and their edges are passed too."""
CONVERSATIONS, MAX_QUESTIONS, FOLLOW_UP_SHARE = 12, 40, 0.95
"""Concurrent conversations, questions in each, and the share of follow-ups: threads must be long for summaries."""


async def kill_at_edges(
    seed: int,
    times: int,
    *,
    processes: int = 4,
    edges: Sequence[str] = EDGES,
    rate: float = 6.0,
    logs: Path | None = None,
    settle_timeout: float = SETTLE_TIMEOUT,
    max_seconds: float = 60.0,
    all_at_once: bool = False,
    note: Callable[[str], None] = print,
) -> Result:
    """Kill ``times`` processes at each edge. ``rate`` is events a second; an edge takes at most ``max_seconds``.

    With ``all_at_once``, all edges run at once, and each process dies at the next of them.
    """
    began, kills = time.monotonic(), 0
    pools: list[ProcessPool] = []
    async with open_environment(seed, folder=logs, prompt_tokens=PROMPT_TOKENS) as environment:
        environment.users.conversations, environment.users.max_questions, environment.users.follow_up_share = (
            CONVERSATIONS,
            MAX_QUESTIONS,
            FOLLOW_UP_SHARE,
        )
        for together in [list(edges)] if all_at_once else [[edge] for edge in edges]:
            pool = armed_pool(environment, processes, together)
            pools.append(pool)
            found = await _kill_at_edge(environment, pool, times * len(together), rate, max_seconds)
            kills += found
            note(f"{', '.join(together)}: {found} kills, {time.monotonic() - began:.0f} s")
        unarmed = environment.pool(processes)
        pools.append(unarmed)
        await unarmed.start()
        armed_until = time.monotonic()
        await wait_until_settled(environment, unarmed, settle_timeout)
        await unarmed.close()
        spent = time.monotonic() - began
        return await report(environment, pools, seed, spent, kills=kills, armed_until=armed_until)


def armed_pool(
    environment: Environment, processes: int, edges: Sequence[str], mixes: Sequence[tuple[PlatformName, ...]] = MIXES
) -> ProcessPool:
    """Return a pool of processes that die at one of the edges each, at its first passage or one soon after."""

    def arm(make: Callable[[], Spec]) -> Callable[[], Spec]:
        return lambda: replace(make(), point=next(points), at=next(passages))

    points, passages = itertools.cycle(edges), itertools.cycle([1, 2, 1, 4, 1, 3])
    return ProcessPool(environment.fork_server, [arm(make) for make in environment.specs(processes, mixes=mixes)])


async def _kill_at_edge(
    environment: Environment, pool: ProcessPool, times: int, rate: float, max_seconds: float
) -> int:
    """Ask until enough processes have died at the edge; return how many did."""
    asking = asyncio.create_task(environment.users.ask(10**6, 10**6 / rate))
    starting = asyncio.create_task(pool.start())
    until, deaths = time.monotonic() + max_seconds, 0
    while deaths < times and time.monotonic() < until:
        await asyncio.sleep(0.1)
        deaths = sum(bool(process.died_at) for process in pool.history)
    asking.cancel()
    starting.cancel()
    await asyncio.gather(asking, starting, return_exceptions=True)
    await environment.users.wait_until_delivered()
    await pool.close()
    return deaths
