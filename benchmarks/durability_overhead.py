"""Measures the latency that durability adds: until the first message, and until the model call.

    python -m benchmarks.durability_overhead [--turns 300] [--at-once 1 8]

Runs the same dispatcher and engine twice: over Postgres with its notifications, and over a store in memory. The surface
and the model respond at once, so the difference is the time that the store takes. All times are milliseconds from the
acceptance of a message.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from benchmarks.shared.harness import FixedSearch, fresh_postgres, table
from bot.app import expected_tokens
from bot.config import Settings
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.engine.engine import Engine
from bot.engine.ports.llm import Ended, Event, Meter, Prompt, RecordingMeter, TextDelta
from bot.engine.ports.stores import Stores
from bot.store.database.notifications import Notifications
from bot.store.database.session import Database
from bot.store.stores import open_stores
from bot.types.audience import MEMBERS
from bot.types.conversation import Author, Incoming, ThreadKey
from bot.types.display import Limits, Part
from bot.types.turns import Turn
from bot.types.usage import Call, Tier, Usage
from tests.engine.fakes import FakeStores

PEOPLE = 20
WARM_UP_TURNS = 20
"""Turns that are not measured: they open connections and prepare statements."""


@dataclass
class Timestamps:
    """Times in seconds at which a question was accepted, its first message was shown, and the model was called."""

    accepted: dict[str, float] = field(default_factory=dict)
    shown: dict[str, float] = field(default_factory=dict)
    called: dict[str, float] = field(default_factory=dict)

    def until(self, moment: dict[str, float]) -> list[float]:
        """Return the milliseconds from acceptance to each moment, without the warm-up turns."""
        return [1000 * (moment[name] - at) for name, at in self.accepted.items()][WARM_UP_TURNS:]


@dataclass
class InstantSurface:
    """A surface that responds at once."""

    timestamps: Timestamps
    name: str
    limits: Limits = field(default_factory=lambda: Limits(4000, 3600.0))

    async def post(self, part: Part) -> str:
        self.timestamps.shown.setdefault(self.name, time.perf_counter())
        return "ref"

    async def edit(self, ref: str, part: Part) -> None:
        return None

    async def delete(self, ref: str) -> None:
        return None

    async def find(self, nonce: str) -> str | None:
        return None


@dataclass
class InstantModel:
    """A model that answers one word at once."""

    timestamps: Timestamps

    def model(self, tier: Tier) -> str:
        return "m"

    async def ready(self) -> None:
        return None

    async def count(self, prompt: Prompt) -> int | None:
        return None

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncIterator[Event]:
        name = uuid.uuid4().hex
        if isinstance(meter, RecordingMeter):
            await meter.opens(Call("answer", "p", "m", "cheap", Usage(10), None, "none", "open", 0.0, id=name))
        self.timestamps.called.setdefault(prompt.question, time.perf_counter())
        yield TextDelta("Yes.")
        meter(Call("answer", "p", "m", "cheap", Usage(10, completion_tokens=1), None, "none", "ok", 1.0, id=name))
        yield Ended("complete", "m", "p")

    async def aclose(self) -> None:
        return None


class MemoryStores(FakeStores):
    """Stores in memory, without durability."""

    async def accept(self, incoming: Incoming) -> Turn | None:
        fields = (incoming.thread, incoming.message_id, incoming.author, incoming.text)
        return Turn(uuid.uuid4().hex, *fields, None, False, incoming.sent_at)


def _dispatcher(stores: Stores, timestamps: Timestamps) -> Dispatcher:
    settings = Settings(_env_file=None, answer_cache_hours=0, daily_tokens=0)
    engine = Engine(
        stores=stores, search=FixedSearch(), llm=InstantModel(timestamps), settings=settings, count_tokens=len
    )
    return Dispatcher(engine=engine, stores=stores, max_question_chars=10_000)


@asynccontextmanager
async def durable(url: str, timestamps: Timestamps) -> AsyncIterator[Dispatcher]:
    """Yield a dispatcher over Postgres, wired as in the application."""
    database, notifications = Database(url), Notifications(url)
    settings = Settings(_env_file=None, answer_cache_hours=0, daily_tokens=0)
    stores = open_stores(
        database,
        settings,
        count_tokens=len,
        clock=lambda: datetime.now(UTC),
        holder=lambda: notifications.holder,
        expected=expected_tokens(settings, len),
    )
    dispatcher = _dispatcher(stores, timestamps)
    listening = asyncio.create_task(notifications.serve(dispatcher.notice))
    try:
        await notifications.connected()
        yield dispatcher
    finally:
        await dispatcher.close()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await database.aclose()


@asynccontextmanager
async def in_memory(timestamps: Timestamps) -> AsyncIterator[Dispatcher]:
    """Yield a dispatcher over stores in memory."""
    dispatcher = _dispatcher(MemoryStores(limit=10**12).stores, timestamps)
    yield dispatcher
    await dispatcher.close()


async def ask(dispatcher: Dispatcher, timestamps: Timestamps, *, turns: int, at_once: int) -> None:
    """Ask the questions, each in a thread of its own."""
    free = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with free:
            name = f"question {number}?"
            thread = ThreadKey("benchmark", "web", f"C{number % PEOPLE}", f"T{number}-{at_once}")
            author = Author(f"U{number % PEOPLE}", "Ann")
            incoming = Incoming(thread, uuid.uuid4().hex, author, name, "mention", datetime.now(UTC), audience=MEMBERS)
            timestamps.accepted[name] = time.perf_counter()
            turn = await dispatcher.accept(incoming)
            assert turn is not None
            await dispatcher.start(turn, InstantSurface(timestamps, name))

    await asyncio.gather(*(one(number) for number in range(turns + WARM_UP_TURNS)))
    await dispatcher.settled()


async def measure(url: str, *, turns: int, at_once: int) -> dict[str, float]:
    """Return medians and 95th percentiles with and without durability, and the difference of the medians."""
    durable_times, in_memory_times = Timestamps(), Timestamps()
    async with durable(url, durable_times) as dispatcher:
        await ask(dispatcher, durable_times, turns=turns, at_once=at_once)
    async with in_memory(in_memory_times) as dispatcher:
        await ask(dispatcher, in_memory_times, turns=turns, at_once=at_once)
    found: dict[str, float] = {}
    for label, moment in (("first message", "shown"), ("model called", "called")):
        durable_ms, in_memory_ms = (
            timestamps.until(getattr(timestamps, moment)) for timestamps in (durable_times, in_memory_times)
        )
        found[f"{label}, durable, p50"] = statistics.median(durable_ms)
        found[f"{label}, durable, p95"] = statistics.quantiles(durable_ms, n=20)[-1]
        found[f"{label}, in memory, p50"] = statistics.median(in_memory_ms)
        found[f"{label}, cost of durability, p50"] = statistics.median(durable_ms) - statistics.median(in_memory_ms)
    return found


def main() -> None:
    """Run the benchmark and print the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--turns", type=int, default=300)
    options.add_argument("--at-once", type=int, nargs="+", default=[1, 8])
    given = options.parse_args()
    with fresh_postgres() as url:
        for at_once in given.at_once:
            print(f"{given.turns} turns, {at_once} at once (ms)")
            print(table(asyncio.run(measure(url, turns=given.turns, at_once=at_once))), end="\n\n")


if __name__ == "__main__":
    main()
