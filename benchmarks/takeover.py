"""Measures how long a turn waits for another process after its own was killed, and counts turns taken from living ones.

    python -m benchmarks.takeover --kills 50
    python -m benchmarks.takeover --kills 50 --apart
    python -m benchmarks.takeover --kills 0 --pauses 10 --busy 8

A process that answers is killed, and the next kill waits until its turns are taken over and it is back. With
``--apart``, each process treats the others as on other machines. ``--pauses`` stops a process by SIGSTOP, for less
time than a lease lasts; ``--busy`` starts so many loops that use all the processor time they get. A turn that another
process takes over meanwhile is taken from a living process.

The exit status is 1 if a turn was taken from a living process, or an answer was lost or repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.chaos.checks import orphaned_turns
from benchmarks.chaos.database_state import read_database
from benchmarks.chaos.process_pool import Process, ProcessPool
from benchmarks.chaos.run import MOST_WAITING, SETTLE_TIMEOUT, limit_waiting, wait_until_settled
from benchmarks.chaos.test_bed import Environment, open_environment
from benchmarks.shared.harness import run, table
from bot.evals.metrics import percentile

PAUSE_SECONDS = 15.0
"""A lease lasts 30 s and is renewed every 8 s, so that at least 22 s are left of it when a process is stopped."""
BUSY_SECONDS = 40.0
LONGEST_WAIT = 90.0
"""Seconds to wait for a takeover, and until every process serves, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Takeovers:
    """``seconds`` from each death to the takeover of each turn; ``from_living`` counts turns taken from others."""

    seconds: Sequence[float]
    kills: int
    pauses: int
    from_living: int
    failures: dict[str, int]

    def rows(self) -> dict[str, object]:
        """Return the printed names and figures."""
        shares = ((0.5, "p50"), (0.95, "p95"), (1.0, "highest"))
        found = {name: percentile(list(self.seconds), share) for share, name in shares} if self.seconds else {}
        return {
            "kills": self.kills,
            "turns taken over": len(self.seconds),
            **{f"time to take over, s, {name}": value for name, value in found.items()},
            "pauses": self.pauses,
            "turns taken from a living process": self.from_living,
            **{name: count for name, count in self.failures.items() if count},
            "machine load (1 min)": os.getloadavg()[0],
        }


async def measure(
    seed: int,
    *,
    kills: int = 0,
    pauses: int = 0,
    busy: int = 0,
    busy_seconds: float = BUSY_SECONDS,
    pause_seconds: float = PAUSE_SECONDS,
    processes: int = 3,
    rate: float = 4.0,
    apart: bool = False,
    most_seconds: float = math.inf,
    settle_timeout: float = SETTLE_TIMEOUT,
) -> Takeovers:
    """Kill and pause processes, and use up the processor, while users send ``rate`` events a second.

    No process is killed after ``most_seconds``.
    """
    async with open_environment(seed) as environment:
        users = environment.users
        users.edited_share = users.deleted_share = 0.0  # An edit takes the turn from its process, too.
        pool = environment.pool(processes, mixes=(("slack", "discord"),), apart=apart)
        await pool.start()
        await environment.greet_users()
        asking = asyncio.create_task(users.ask(10**6, 10**6 / rate))
        limiting = asyncio.create_task(limit_waiting(environment, MOST_WAITING))
        killed = await _kill(environment, pool, kills, most_seconds)
        await _pause(pool, pauses, pause_seconds)
        if busy:
            async with _busy_loops(busy):
                await asyncio.sleep(busy_seconds)
        for task in (asking, limiting):
            task.cancel()
        await asyncio.gather(asking, limiting, return_exceptions=True)
        await users.wait_until_delivered()
        await wait_until_settled(environment, pool, settle_timeout)
        await pool.close()
        return await _result(environment, pool, killed, pauses)


async def _result(environment: Environment, pool: ProcessPool, kills: int, pauses: int) -> Takeovers:
    failures = (await environment.verdict([pool])).failures
    orphaned = [one for one in environment.fork_server.orphaned if one.taken_at]
    return Takeovers(
        [one.taken_at - one.at for one in orphaned], kills, pauses, environment.fork_server.taken_from_living, failures
    )


async def _kill(environment: Environment, pool: ProcessPool, times: int, most_seconds: float) -> int:
    """Kill processes that run a turn, one after the other, each once the last one's turns are taken over.

    Return how many were killed.
    """
    end = time.monotonic() + most_seconds
    for number in range(times):
        if time.monotonic() > end:
            return number
        process = await _answering(pool)
        process.signal(signal.SIGKILL)
        await process.gone.wait()
        until = time.monotonic() + LONGEST_WAIT
        while time.monotonic() < until and await _waiting(environment):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return times


async def _waiting(environment: Environment) -> bool:
    """Return whether a turn of a dead process waits for another one."""
    orphaned = [one for one in environment.fork_server.orphaned if not one.taken_at]
    if not orphaned:
        return False
    turns = (await asyncio.to_thread(read_database, environment.postgres.admin_url)).turns
    return any(not one.taken_at for one in orphaned_turns(orphaned, turns))


async def _pause(pool: ProcessPool, times: int, seconds: float) -> None:
    for _ in range(times):
        process = await _answering(pool)
        process.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        process.signal(signal.SIGCONT)


async def _answering(pool: ProcessPool) -> Process:
    """Wait until every process serves, and return one that runs a turn."""
    until = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < until:
        serving = pool.ready
        if len(serving) == len(pool.slots) and (found := max(serving, key=lambda one: len(one.running))).running:
            return found
        await asyncio.sleep(0.02)
    raise RuntimeError(f"No process answered for {LONGEST_WAIT:.0f} s, or not all of them served")


@asynccontextmanager
async def _busy_loops(number: int) -> AsyncIterator[None]:
    loops = [await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass") for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            await loop.wait()


def main() -> None:
    """Run the benchmark and print the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--pauses", type=int, default=0)
    options.add_argument("--pause-seconds", type=float, default=PAUSE_SECONDS)
    options.add_argument("--busy", type=int, default=0, metavar="LOOPS")
    options.add_argument("--processes", type=int, default=3)
    options.add_argument("--apart", action="store_true")
    options.add_argument("--most-minutes", type=float, default=math.inf, help="stop killing after this time")
    options.add_argument("--rate", type=float, default=4.0, help="events a second")
    options.add_argument("--seed", type=int, default=int(time.time()))
    given = options.parse_args()
    found = run(
        measure(
            given.seed,
            kills=given.kills,
            pauses=given.pauses,
            pause_seconds=given.pause_seconds,
            busy=given.busy,
            processes=given.processes,
            apart=given.apart,
            most_seconds=60 * given.most_minutes,
            rate=given.rate,
        )
    )
    print(table({"seed": given.seed, **found.rows()}))
    lost = sum(count for name, count in found.failures.items() if not name.startswith("orphaned"))
    sys.exit(bool(found.from_living or lost))


if __name__ == "__main__":
    main()
