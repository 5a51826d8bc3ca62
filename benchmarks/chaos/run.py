"""One chaos run: sets up the environment, lets users ask while faults occur, waits until all is settled, and checks."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.checks import OPEN, Verdict, percentile, read_books
from benchmarks.chaos.environment import Environment, staged
from benchmarks.chaos.faults import Faults
from benchmarks.chaos.process_pool import ProcessPool

PATIENCE = 150.0
"""Seconds that everything may take to settle once nothing breaks any more; Slack's last redelivery lies in it."""


@dataclass(frozen=True, slots=True)
class Result:
    """A run's figures."""

    seed: int
    seconds: float
    events: int
    duplicates: int
    kills: int
    restarts: int
    crashes: int
    freezes: int
    violations: Counter[str]
    load: float
    verdict: Verdict

    def rows(self) -> dict[str, object]:
        """Return names and figures as they are printed."""
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
            "answered": seen.answered,
            "refused with a reason": seen.refused,
            "taken back by those who asked": seen.withdrawn,
            **seen.failures,
            "billed calls whose process died": seen.unbilled,
            "turns taken over": len(seen.waits),
            "taken over after, s (p50, p95, most)": _three(seen.waits),
            "answered after, s (p50, p95, most)": _three(seen.delays),
            "told once more to wait": seen.told_again,
            "rules of the platforms broken": self.violations.total(),
            "load of the machine (1 min)": self.load,
        }


def _three(values: list[float]) -> str:
    return ", ".join(f"{percentile(values, share):.1f}" for share in (0.5, 0.95, 1.0))


async def storm(
    seed: int,
    *,
    events: int,
    seconds: float,
    processes: int = 4,
    kill_every: tuple[float, float] = (2.0, 10.0),
    crash_every: tuple[float, float] = (20.0, 40.0),
    freeze_every: tuple[float, float] | None = None,
    logs: Path | None = None,
    patience: float = PATIENCE,
    note: Callable[[str], None] = lambda line: None,
) -> Result:
    """Ask questions that amount to ``events`` events within ``seconds`` while faults occur."""
    began = time.monotonic()
    async with staged(seed, folder=logs) as stage:
        fleet = stage.fleet(processes)
        await fleet.start()
        note(f"seed {seed}; logs in {stage.folder}; {processes} processes up after {time.monotonic() - began:.1f} s")
        await stage.greeted()
        wreck = Faults(fleet, stage.postgres, stage.chance, kill_every, crash_every, freeze_every)
        breaking = asyncio.create_task(wreck.run())
        telling = asyncio.create_task(_tell(stage, wreck, note))
        await stage.crowd.ask(events, seconds)
        breaking.cancel()
        await asyncio.gather(breaking, return_exceptions=True)
        note(f"the people are quiet after {time.monotonic() - began:.0f} s; {wreck.kills} kills")
        await settled(stage, fleet, patience)
        telling.cancel()
        await fleet.close()
        return await report(
            stage,
            [fleet],
            seed,
            time.monotonic() - began,
            kills=wreck.kills,
            crashes=wreck.crashes,
            freezes=wreck.freezes,
        )


async def report(
    stage: Environment,
    fleets: list[ProcessPool],
    seed: int,
    seconds: float,
    *,
    kills: int,
    crashes: int = 0,
    freezes: int = 0,
    armed_until: float = 0.0,
) -> Result:
    """Return the figures of the final state."""
    return Result(
        seed=seed,
        seconds=seconds,
        events=stage.crowd.events,
        duplicates=stage.crowd.duplicates,
        kills=kills,
        restarts=sum(len(fleet.history) - len(fleet.slots) for fleet in fleets),
        crashes=crashes,
        freezes=freezes,
        violations=Counter([*stage.slack.violations, *stage.discord.violations]),
        load=os.getloadavg()[0],
        verdict=await stage.verdict(fleets, armed_until=armed_until),
    )


async def settled(stage: Environment, fleet: ProcessPool, patience: float) -> None:
    """Wait until every question has ended, or until the timeout."""
    until, before = time.monotonic() + patience, -1
    while time.monotonic() < until:
        await asyncio.sleep(2.0)
        waiting = [one for one in stage.slack.socket.deliveries if not one.acked.is_set()]
        books = await asyncio.to_thread(read_books, stage.postgres.url)
        open_turns = sum(row.state in OPEN for row in books.turns)
        if not waiting and not open_turns and before == len(books.ledger):
            return
        before = len(books.ledger)


async def _tell(stage: Environment, wreck: Faults, note: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(15)
        crowd = stage.crowd
        note(
            f"{len(crowd.questions)} questions, {crowd.events} events, {wreck.kills} kills, {wreck.crashes} crashes, "
            f"{len(wreck.fleet.ready)} serving, load {os.getloadavg()[0]:.1f}"
        )
