"""Kills processes and Postgres, and cuts off platforms and providers, at random while users ask.

No answer may be lost, repeated or out of order.

    python -m benchmarks.chaos --events 20000 --seed 1 --minutes 20
    python -m benchmarks.chaos --events 2000 --seed 1 --minutes 5 --outage-every 20 60 --outage-seconds 10 60
    python -m benchmarks.chaos --edges 50 --seed 1

Several processes of the bot, with any mix of Slack and Discord, run the real application with the real SDKs on one
Postgres. The doubles of the platforms and the providers outlive every kill and provide the evidence. Only the search is
replaced. The exit status is 1 if any check fails.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

from benchmarks.chaos.run import MOST_WAITING, Result, run_chaos
from benchmarks.chaos.simulated_users import DUPLICATE_SHARE
from benchmarks.chaos.state_edge_kills import kill_at_edges
from benchmarks.shared.harness import run, table


def main() -> None:
    """Run the benchmark and print the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=2000)
    options.add_argument("--minutes", type=float, default=2.0)
    options.add_argument("--seed", type=int, default=int(time.time()))
    options.add_argument("--processes", type=int, default=4)
    options.add_argument("--kill-every", type=float, nargs=2, default=(2.0, 10.0), metavar="SECONDS")
    options.add_argument(
        "--least-serving", type=int, default=2, metavar="N", help="kill only while at least N processes serve"
    )
    options.add_argument("--crash-every", type=float, nargs=2, default=(20.0, 40.0), metavar="SECONDS")
    options.add_argument(
        "--freeze-every",
        type=float,
        nargs=2,
        metavar="SECONDS",
        help="also pause processes by SIGSTOP until their leases have expired",
    )
    options.add_argument(
        "--outage-every",
        type=float,
        nargs=2,
        metavar="SECONDS",
        help="also cut off each platform and each model provider, for --outage-seconds",
    )
    options.add_argument("--outage-seconds", type=float, nargs=2, default=(10.0, 45.0), metavar="SECONDS")
    options.add_argument(
        "--network-every",
        type=float,
        nargs=2,
        metavar="SECONDS",
        help="also break the network to Postgres: slow, silent, cut, reset, half closed",
    )
    options.add_argument(
        "--most-waiting", type=int, default=MOST_WAITING, metavar="N", help="ask nothing new while N questions wait"
    )
    options.add_argument(
        "--most-minutes", type=float, default=math.inf, metavar="MINUTES", help="stop sending events after this time"
    )
    options.add_argument("--duplicates", type=float, default=DUPLICATE_SHARE, metavar="SHARE")
    options.add_argument("--edges", type=int, nargs="?", const=50, default=0, metavar="TIMES")
    options.add_argument("--logs", type=Path, help="folder for the logs of the processes")
    given = options.parse_args()
    if given.edges:
        result = run(kill_at_edges(given.seed, given.edges, processes=given.processes, logs=given.logs))
    else:
        result = run(
            run_chaos(
                given.seed,
                events=given.events,
                seconds=60 * given.minutes,
                processes=given.processes,
                kill_every=tuple(given.kill_every),
                least_serving=given.least_serving,
                crash_every=tuple(given.crash_every),
                freeze_every=tuple(given.freeze_every) if given.freeze_every else None,
                outage_every=tuple(given.outage_every) if given.outage_every else None,
                outage_seconds=tuple(given.outage_seconds),
                network_every=tuple(given.network_every) if given.network_every else None,
                duplicates=given.duplicates,
                most_waiting=given.most_waiting,
                most_seconds=60 * given.most_minutes,
                logs=given.logs,
                note=lambda line: print(line, file=sys.stderr, flush=True),
            )
        )
    print_result(result)
    sys.exit(any(result.verdict.failures.values()))


def print_result(result: Result) -> None:
    """Print the figures, and a few examples of each failure."""
    print(table(result.rows()))
    verdict = result.verdict
    for name, found in (
        ("lost", verdict.lost),
        ("answered twice", verdict.answered_twice),
        ("incomplete answers", verdict.incomplete),
        ("out of order", verdict.out_of_order),
        ("unfinished drafts", verdict.drafts),
        ("stray messages", verdict.stray_messages),
        ("messages posted twice", verdict.posted_twice),
        ("answers to edited or deleted questions", verdict.outdated_answers),
    ):
        if found:
            print(f"{name}: " + "; ".join(" ".join(one.split()) for one in found[:8]))
    for broken, times in result.violations.most_common(8):
        print(f"platform rule broken {times} times: {broken[:200]}")


if __name__ == "__main__":
    main()
