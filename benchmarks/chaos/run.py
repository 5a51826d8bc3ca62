"""Runs one chaos test: sets up the environment, injects faults while users ask, waits until all is settled, and
reports."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import OperationalError

from benchmarks.chaos.checks import Verdict, is_unfinished
from benchmarks.chaos.database_state import count_open, read_database
from benchmarks.chaos.faults import Faults
from benchmarks.chaos.process_pool import ProcessPool
from benchmarks.chaos.simulated_users import DUPLICATE_SHARE
from benchmarks.chaos.test_bed import Environment, open_environment
from bot.evals.metrics import percentile

PLATFORMS = ("Slack", "Discord")
AWAY_SECONDS = 2.0
"""Seconds until a reply counts as late in a run with outages, so that short outages make late replies too."""
SETTLE_TIMEOUT = 150.0
"""Seconds after the last fault, or the last question that settled, in which everything must settle; Slack's last
redelivery is within them."""
MOST_WAITING = 40
"""Maximum number of waiting questions. On a busy machine, processes that die soon answer fewer questions than users
ask. Without a maximum, the end of a run would show how long the machine needs for the rest, not what kills do."""


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of a run."""

    seed: int
    seconds: float
    events: int
    duplicates: int
    kills: int
    restarts: int
    crashes: int
    freezes: int
    network_faults: int
    outages: Mapping[str, Sequence[tuple[float, float]]]
    violations: Counter[str]
    load: float
    verdict: Verdict
    taken_from_living: int
    """Turns that a process took over although their process lived, which may have been paused or cut off."""

    def rows(self) -> dict[str, object]:
        """Return the printed names and figures."""
        seen = self.verdict
        return {
            "seed": self.seed,
            "seconds": self.seconds,
            "events": self.events,
            "questions": seen.questions,
            "duplicated deliveries": self.duplicates,
            "kills": self.kills,
            "restarts": self.restarts,
            "Postgres crashes": self.crashes,
            "processes paused": self.freezes,
            "network faults before Postgres": self.network_faults,
            **{f"{name} away, s": _lengths(outages) for name, outages in self.outages.items()},
            "answered": seen.answered,
            "refused with a reason": seen.refused,
            "deleted by their askers": seen.deleted,
            "messages and changes that Slack gave up delivering": seen.undelivered,
            **seen.failures,
            "billed calls whose process died": seen.without_exact_row,
            "turns taken over": len(seen.takeover_seconds),
            "taken over after, s (p50, p95, max)": _percentiles(seen.takeover_seconds),
            "  without outages of the database, s": _percentiles(seen.reachable_takeover_seconds),
            "turns taken from a living process": self.taken_from_living,
            "replies shown late": seen.shown_late,
            "answered after, s (p50, p95, max)": _percentiles(seen.answer_seconds),
            "repeated notices to wait": seen.repeated_notices,
            "platform rules broken": self.violations.total(),
            "machine load (1 min)": self.load,
        }


def _lengths(outages: Sequence[tuple[float, float]]) -> str:
    return ", ".join(f"{end - start:.0f}" for start, end in outages)


def _percentiles(values: list[float]) -> str:
    return ", ".join(f"{percentile(values, share):.1f}" for share in (0.5, 0.95, 1.0))


async def run_chaos(
    seed: int,
    *,
    events: int,
    seconds: float,
    processes: int = 4,
    kill_every: tuple[float, float] = (2.0, 10.0),
    least_serving: int = 0,
    crash_every: tuple[float, float] = (20.0, 40.0),
    freeze_every: tuple[float, float] | None = None,
    outage_every: tuple[float, float] | None = None,
    outage_seconds: tuple[float, float] = (10.0, 45.0),
    network_every: tuple[float, float] | None = None,
    duplicates: float = DUPLICATE_SHARE,
    most_waiting: int = MOST_WAITING,
    most_seconds: float = math.inf,
    logs: Path | None = None,
    settle_timeout: float = SETTLE_TIMEOUT,
    note: Callable[[str], None] = lambda line: None,
) -> Result:
    """Send ``events`` events within ``seconds`` while faults are injected.

    While ``most_waiting`` questions wait, users ask nothing new, so it takes longer. After ``most_seconds``, users send
    nothing more, however many events there were.
    """
    began = time.monotonic()
    async with open_environment(seed, folder=logs) as environment:
        environment.users.duplicate_share = duplicates
        pool = environment.pool(processes, away=AWAY_SECONDS if outage_every else 0.0)
        await pool.start()
        note(
            f"seed {seed}; logs in {environment.folder}; "
            f"{processes} processes ready after {time.monotonic() - began:.1f} s"
        )
        await environment.greet_users()
        faults = Faults(
            pool,
            environment.postgres,
            environment.rng,
            kill_every=kill_every,
            least_serving=least_serving,
            crash_every=crash_every,
            freeze_every=freeze_every,
            links=environment.links,
            outage_every=outage_every,
            outage_seconds=outage_seconds,
            network=environment.network,
            network_every=network_every,
        )
        injecting = asyncio.create_task(faults.run())
        reporting = asyncio.create_task(_report_progress(environment, faults, note))
        limiting = asyncio.create_task(limit_waiting(environment, most_waiting))
        with suppress(TimeoutError):
            async with asyncio.timeout(None if most_seconds == math.inf else most_seconds):
                await environment.users.ask(events, seconds)
        await environment.users.wait_until_delivered()
        for task in (injecting, limiting):
            task.cancel()
        await asyncio.gather(injecting, limiting, return_exceptions=True)
        note(f"the people are quiet after {time.monotonic() - began:.0f} s; {faults.kills} kills")
        await wait_until_settled(environment, pool, settle_timeout)
        note(f"settled after {time.monotonic() - began:.0f} s")
        reporting.cancel()
        await pool.close()
        return await report(
            environment,
            [pool],
            seed,
            time.monotonic() - began,
            kills=faults.kills,
            crashes=faults.crashes,
            freezes=faults.freezes,
            network_faults=faults.network_faults,
            outages=faults.outages,
        )


async def report(
    environment: Environment,
    pools: list[ProcessPool],
    seed: int,
    seconds: float,
    *,
    kills: int,
    crashes: int = 0,
    freezes: int = 0,
    network_faults: int = 0,
    outages: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    armed_until: float = 0.0,
) -> Result:
    """Return the figures of the final state."""
    return Result(
        seed=seed,
        seconds=seconds,
        events=environment.users.events,
        duplicates=environment.users.duplicates,
        kills=kills,
        restarts=sum(len(pool.history) - len(pool.slots) for pool in pools),
        crashes=crashes,
        freezes=freezes,
        outages=outages or {},
        violations=Counter([*environment.slack.violations, *environment.discord.violations]),
        load=os.getloadavg()[0],
        taken_from_living=environment.fork_server.taken_from_living,
        network_faults=network_faults,
        verdict=await environment.verdict(
            pools, armed_until=armed_until, outages=[one for name in PLATFORMS for one in (outages or {}).get(name, ())]
        ),
    )


async def wait_until_settled(environment: Environment, pool: ProcessPool, settle_timeout: float) -> None:
    """Wait until every question is settled, or until none was for as long as the timeout."""
    until, before, fewest = time.monotonic() + settle_timeout, -1, math.inf
    while time.monotonic() < until:
        await asyncio.sleep(2.0)
        waiting = [one for one in environment.slack.socket.deliveries if not one.acked.is_set()]
        database = await asyncio.to_thread(read_database, environment.postgres.admin_url)
        open_turns = sum(is_unfinished(row) for row in database.turns)
        if not waiting and not open_turns and before == len(database.ledger):
            return
        before = len(database.ledger)
        if open_turns < fewest:
            until, fewest = time.monotonic() + settle_timeout, open_turns


async def limit_waiting(environment: Environment, most: int) -> None:
    """Let the users wait while too many of their questions are open."""
    while True:
        with suppress(OperationalError):
            waiting = await asyncio.to_thread(count_open, environment.postgres.admin_url)
            environment.users.patient = waiting >= most
        await asyncio.sleep(0.5)


async def _report_progress(environment: Environment, faults: Faults, note: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(15)
        users = environment.users
        note(
            f"{len(users.questions)} questions, {users.events} events, {faults.kills} kills, {faults.crashes} crashes, "
            f"{len(faults.pool.ready)} serving, {await _open_questions(environment)} questions open, "
            f"load {os.getloadavg()[0]:.1f}"
        )


async def _open_questions(environment: Environment) -> str:
    try:
        return str(await asyncio.to_thread(count_open, environment.postgres.admin_url))
    except OperationalError:
        return "unknown"
