"""Measures how long the questions of quiet tenants wait while one tenant asks 50 times as much as each of them.

    python -m benchmarks.noisy_neighbours --seconds 60 --turns 16

One process answers everybody, with room for ``--turns`` at once. The wait is from the acceptance of a question to the
start of its turn. The exit status is 1 if the quiet tenants' p95 is more than 1.5 times what it is without the noisy
one, and more than 100 ms longer.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from benchmarks.shared.harness import fresh_postgres, run, table
from bot.app import App, open_app
from bot.commands.ask import NullSurface
from bot.config import Settings
from bot.errors import ParleyError
from bot.evals.metrics import percentile
from bot.types.audience import MEMBERS
from bot.types.conversation import Author, Incoming, ThreadKey
from tests.doubles.models import ModelDouble, Reply, Seen

QUIET, NOISY_FACTOR = 4, 50
MOST_RATIO, LEAST_DIFFERENCE = 1.5, 100.0
"""The allowed ratio of the p95, and the milliseconds below which a difference is noise of the machine."""
ANSWER_SECONDS = 0.5
NOISY = "slack:TNOISY"


@dataclass(frozen=True, slots=True)
class Waits:
    """Milliseconds from acceptance to start of the quiet tenants' questions, and how many questions others asked."""

    quiet: Sequence[float]
    noisy: int

    @property
    def p95(self) -> float:
        """The 95th percentile in milliseconds."""
        return percentile(list(self.quiet), 0.95)


def script(_: Seen) -> Reply:
    """Return an answer that takes ``ANSWER_SECONDS``."""
    return Reply("Dogs are welcome on Fridays. " * 3, piece=20, pause=ANSWER_SECONDS / 5)


async def measure(seconds: float, rate: float, *, turns: int, noisy: bool, seed: int) -> Waits:
    """Let each quiet tenant ask ``rate`` questions a second, and the noisy one ``NOISY_FACTOR`` times as many."""
    rng = random.Random(seed)
    with fresh_postgres() as url, tempfile.TemporaryDirectory() as folder:
        async with ModelDouble() as models:
            models.script = script
            settings = Settings(
                _env_file=None,
                database_url=SecretStr(url),
                data_dir=Path(folder),
                anthropic_api_key=SecretStr(models.anthropic_key),
                anthropic_base_url=models.anthropic_url,
                reranker="none",
                daily_tokens=0,
                max_turns=turns,
            )
            waits: list[float] = []
            async with open_app(settings, warm=True) as app, asyncio.TaskGroup() as group:
                for number in range(QUIET):
                    group.create_task(_ask(app, f"slack:T{number}", rate, seconds, rng, waits))
                shouts: list[float] = []
                if noisy:
                    group.create_task(_ask(app, NOISY, NOISY_FACTOR * rate, seconds, rng, shouts))
            return Waits(waits, len(shouts))


async def _ask(app: App, tenant_id: str, rate: float, seconds: float, rng: random.Random, waits: list[float]) -> None:
    """Ask at random times, whatever still waits, and add each wait in milliseconds."""
    until, asking = time.monotonic() + seconds, set[asyncio.Task[None]]()
    while time.monotonic() < until:
        await asyncio.sleep(rng.expovariate(rate))
        task = asyncio.create_task(_ask_once(app, tenant_id, waits))
        asking.add(task)
        task.add_done_callback(asking.discard)
    for task in list(asking) if tenant_id == NOISY else ():
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def _ask_once(app: App, tenant_id: str, waits: list[float]) -> None:
    name = uuid.uuid4().hex
    key = ThreadKey(tenant_id, "slack", f"C{name[:2]}", name)
    asked = Incoming(
        key, name, Author(f"U{name[0]}", "Ann"), f"May dog {name} come?", "mention", datetime.now(UTC), audience=MEMBERS
    )
    try:
        turn = await app.dispatcher.accept(asked)
        assert turn is not None
        outcome = await app.dispatcher.start(turn, NullSurface())
    except ParleyError:
        waits.append(float("inf"))
        return
    waits.append(outcome.timings_ms.get("queue", 0.0))


def main() -> None:
    """Run the benchmark and print the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--rate", type=float, default=0.5, help="questions a second of each quiet tenant")
    options.add_argument("--turns", type=int, default=16, help="turns that run at once")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    alone, among = (
        run(measure(given.seconds, given.rate, turns=given.turns, noisy=noisy, seed=given.seed))
        for noisy in (False, True)
    )
    ratio = among.p95 / max(alone.p95, 0.001)
    print(
        table(
            {
                "quiet tenants": QUIET,
                "their questions, alone / beside a noisy one": f"{len(alone.quiet)} / {len(among.quiet)}",
                "questions of the noisy tenant": among.noisy,
                "wait of the quiet, alone, ms (p50, p95)": _percentiles(alone.quiet),
                "wait of the quiet beside a noisy one, ms (p50, p95)": _percentiles(among.quiet),
                "ratio of the p95": ratio,
                "machine load (1 min)": os.getloadavg()[0],
            }
        )
    )
    sys.exit(ratio > MOST_RATIO and among.p95 - alone.p95 > LEAST_DIFFERENCE)


def _percentiles(values: Sequence[float]) -> str:
    return f"{percentile(list(values), 0.5):.1f}, {percentile(list(values), 0.95):.1f}"


if __name__ == "__main__":
    main()
