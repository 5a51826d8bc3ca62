"""Rolling restarts under load: the next process is ready before the old one gets SIGTERM; nothing may be lost.

python -m benchmarks.rolling --restarts 50 --events-per-second 8 --seed 1
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.benchmark_database import run
from benchmarks.chaos.__main__ import print_result
from benchmarks.chaos.environment import staged
from benchmarks.chaos.process_pool import ProcessPool
from benchmarks.chaos.run import PATIENCE, Result, report, settled


async def roll(
    seed: int,
    *,
    restarts: int,
    rate: float,
    processes: int = 4,
    logs: Path | None = None,
    patience: float = PATIENCE,
    note: Callable[[str], None] = lambda line: None,
) -> Result:
    """Restart one process after the other while people ask ``rate`` events a second."""
    began = time.monotonic()
    async with staged(seed, folder=logs) as stage:
        fleet = stage.fleet(processes)
        await fleet.start()
        asking = asyncio.create_task(stage.crowd.ask(10**6, 10**6 / rate))
        await _restart(fleet, restarts, note)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await stage.crowd.quiet()
        await settled(stage, fleet, patience)
        await fleet.close()
        return await report(stage, [fleet], seed, time.monotonic() - began, kills=0)


async def _restart(fleet: ProcessPool, restarts: int, note: Callable[[str], None]) -> None:
    for number in range(restarts):
        old = await fleet.replace(fleet.slots[number % len(fleet.slots)])
        note(f"restart {number + 1}: {old.spec.name} left with status {old.status}")
        await asyncio.sleep(0.5)


def main() -> None:
    """Run it and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--restarts", type=int, default=50)
    options.add_argument("--events-per-second", type=float, default=8.0)
    options.add_argument("--processes", type=int, default=4)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--logs", type=Path, help="a folder that keeps the logs of the processes")
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
