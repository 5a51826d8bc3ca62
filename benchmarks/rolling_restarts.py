"""Restarts all processes one by one under load and checks that nothing is lost.

    python -m benchmarks.rolling_restarts --restarts 50 --events-per-second 8 --seed 1

Each time, the next process is ready before the old one gets SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.chaos.__main__ import print_result
from benchmarks.chaos.process_pool import ProcessPool
from benchmarks.chaos.run import SETTLE_TIMEOUT, Result, report, wait_until_settled
from benchmarks.chaos.test_bed import open_environment
from benchmarks.shared.harness import run


async def roll(
    seed: int,
    *,
    restarts: int,
    rate: float,
    processes: int = 4,
    logs: Path | None = None,
    settle_timeout: float = SETTLE_TIMEOUT,
    note: Callable[[str], None] = lambda line: None,
) -> Result:
    """Restart one process after the other while users send ``rate`` events a second."""
    began = time.monotonic()
    async with open_environment(seed, folder=logs) as environment:
        pool = environment.pool(processes)
        await pool.start()
        asking = asyncio.create_task(environment.users.ask(10**6, 10**6 / rate))
        await _restart(pool, restarts, note)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await environment.users.wait_until_delivered()
        await wait_until_settled(environment, pool, settle_timeout)
        await pool.close()
        return await report(environment, [pool], seed, time.monotonic() - began, kills=0)


async def _restart(pool: ProcessPool, restarts: int, note: Callable[[str], None]) -> None:
    for number in range(restarts):
        old = await pool.replace(pool.slots[number % len(pool.slots)])
        note(f"restart {number + 1}: {old.spec.name} left with status {old.status}")
        await asyncio.sleep(0.5)


def main() -> None:
    """Run the benchmark and print the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--restarts", type=int, default=50)
    options.add_argument("--events-per-second", type=float, default=8.0)
    options.add_argument("--processes", type=int, default=4)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--logs", type=Path, help="folder for the logs of the processes")
    given = options.parse_args()
    result = run(
        roll(
            given.seed,
            restarts=given.restarts,
            rate=given.events_per_second,
            processes=given.processes,
            logs=given.logs,
            note=lambda line: print(line, file=sys.stderr, flush=True),
        )
    )
    print_result(result)
    sys.exit(any(result.verdict.failures.values()))


if __name__ == "__main__":
    main()
