"""Kills processes and PostgreSQL at random while people ask; nothing may be lost, answered twice or out of order.

    python -m benchmarks.chaos --events 20000 --seed 1 --minutes 20
    python -m benchmarks.chaos --edges 50 --seed 1

Several processes of the bot, any mix of Slack and Discord, run the real composition with the real SDKs on one Postgres
against the project's doubles of the platforms and the providers, which outlive every kill and are the witness. Their
search alone is replaced. The exit status is 1 if anything is not as it must be.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.benchmark_database import run, table
from benchmarks.chaos.run import Result, storm
from benchmarks.chaos.state_edges import storm_edges


def main() -> None:
    """Run it and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=2000)
    options.add_argument("--minutes", type=float, default=2.0)
    options.add_argument("--seed", type=int, default=int(time.time()))
    options.add_argument("--processes", type=int, default=4)
    options.add_argument("--kill-every", type=float, nargs=2, default=(2.0, 10.0), metavar="SECONDS")
    options.add_argument("--crash-every", type=float, nargs=2, default=(20.0, 40.0), metavar="SECONDS")
    options.add_argument(
        "--freeze-every",
        type=float,
        nargs=2,
        metavar="SECONDS",
        help="also stop a process by SIGSTOP, and let it go on when its leases have lapsed",
    )
    options.add_argument("--edges", type=int, nargs="?", const=50, default=0, metavar="TIMES")
    options.add_argument("--logs", type=Path, help="a folder that keeps the logs of the processes")
    given = options.parse_args()
    if given.edges:
        result = run(storm_edges(given.seed, given.edges, processes=given.processes, logs=given.logs))
    else:
        result = run(
            storm(
                given.seed,
                events=given.events,
                seconds=60 * given.minutes,
                processes=given.processes,
                kill_every=tuple(given.kill_every),
                crash_every=tuple(given.crash_every),
                freeze_every=tuple(given.freeze_every) if given.freeze_every else None,
                logs=given.logs,
                note=lambda line: print(line, file=sys.stderr, flush=True),
            )
        )
    print_result(result)
    sys.exit(any(result.verdict.failures.values()))


def print_result(result: Result) -> None:
    """Print the figures, and a few examples of each fault."""
    print(table(result.rows()))
    verdict = result.verdict
    for name, found in (
        ("lost", verdict.lost),
        ("twice", verdict.twice),
        ("torn", verdict.torn),
        ("out of order", verdict.disordered),
        ("drafts", verdict.drafts),
        ("strays", verdict.strays),
        ("outdated", verdict.outdated),
    ):
        if found:
            print(f"{name}: " + "; ".join(" ".join(one.split()) for one in found[:8]))
    for broken, times in result.violations.most_common(8):
        print(f"rule broken {times} times: {broken[:200]}")


if __name__ == "__main__":
    main()
