"""What durability costs: from a message's acceptance to its sign of life and to the model's call, with and without.

    python -m benchmarks.durability [--turns 300] [--at-once 1 8]

The same desk and engine, once over Postgres, with its line for notices, and once over a store that only remembers; the
surface and the model answer at once, so that the difference is what the store takes. Milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from benchmarks.benchmark_database import fresh_postgres, table
from bot.app import expected_tokens
from bot.config import Settings
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.engine.engine import Engine
from bot.engine.ports.llm import Ended, Event, Meter, Prompt, RecordingMeter, TextDelta
from bot.engine.ports.stores import Stores
from bot.store.notifications import Notifications
from bot.store.session import Database
from bot.store.stores import open_stores
from bot.types.conversation import Author, Incoming, ThreadKey
from bot.types.display import Limits, Part
from bot.types.turns import Turn
from bot.types.usage import Call, Tier, Usage
from knowledge.types import Found, Scope
from tests.engine.fakes import FakeStores

PEOPLE = 20
WARM = 20
"""Turns before the first that counts: connections and statements are then known."""


@dataclass
class Marks:
    """The times in seconds at which a question was accepted, its first message was shown, and the model was called."""

    taken: dict[str, float] = field(default_factory=dict)
    shown: dict[str, float] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)

    def until(self, moment: dict[str, float]) -> list[float]:
        """Milliseconds from the acceptance until then, without the first ones."""
        return [1000 * (moment[name] - at) for name, at in self.taken.items()][WARM:]


@dataclass
class Place:
    """A surface that responds at once."""

    marks: Marks
    name: str
    limits: Limits = field(default_factory=lambda: Limits(4000, 3600.0))

    async def post(self, part: Part) -> str:
        self.marks.shown.setdefault(self.name, time.perf_counter())
        return "ref"

    async def edit(self, ref: str, part: Part) -> None:
        return None

    async def delete(self, ref: str) -> None:
        return None

    async def find(self, nonce: str) -> str | None:
        return None


@dataclass
class Model:
    """A model that answers with one word at once."""

    marks: Marks

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
        self.marks.asked.setdefault(prompt.question, time.perf_counter())
        yield TextDelta("Yes.")
        meter(Call("answer", "p", "m", "cheap", Usage(10, completion_tokens=1), None, "none", "ok", 1.0, id=name))
        yield Ended("complete", "m", "p")

    async def aclose(self) -> None:
        return None


class Library:
    """A search that finds nothing, at once."""

    async def version(self, tenant_id: str) -> int:
        return 1

    async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
        return Found((), {}, 0.9, 1)


class Forgetful(FakeStores):
    """A store without durability."""

    async def accept(self, incoming: Incoming) -> Turn | None:
        known = (incoming.thread, incoming.message_id, incoming.author, incoming.text)
        return Turn(uuid.uuid4().hex, *known, None, False, incoming.sent_at)


def _dispatcher(stores: Stores, marks: Marks) -> Dispatcher:
    made = Settings(_env_file=None, answer_cache_hours=0, daily_tokens=0)
    engine = Engine(stores=stores, search=Library(), llm=Model(marks), settings=made, count_tokens=len)
    return Dispatcher(engine=engine, stores=stores, max_question_chars=10_000)


@asynccontextmanager
async def durable(url: str, marks: Marks) -> AsyncIterator[Dispatcher]:
    """A desk over Postgres, as the application wires it."""
    database, notifications = Database(url), Notifications(url)
    made = Settings(_env_file=None, answer_cache_hours=0, daily_tokens=0)
    stores = open_stores(
        database,
        made,
        count_tokens=len,
        clock=lambda: datetime.now(UTC),
        holder=lambda: notifications.holder,
        expected=expected_tokens(made, len),
    )
    dispatcher = _dispatcher(stores, marks)
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
async def plain(marks: Marks) -> AsyncIterator[Dispatcher]:
    """The same over a store in memory."""
    dispatcher = _dispatcher(Forgetful(limit=10**12).stores, marks)
    yield dispatcher
    await dispatcher.close()


async def ask(dispatcher: Dispatcher, marks: Marks, *, turns: int, at_once: int) -> None:
    """Ask the questions, each in its own thread."""
    free = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with free:
            name = f"question {number}?"
            thread = ThreadKey("benchmark", "web", f"C{number % PEOPLE}", f"T{number}-{at_once}")
            author = Author(f"U{number % PEOPLE}", "Ann")
            asked = Incoming(thread, uuid.uuid4().hex, author, name, "mention", datetime.now(UTC))
            marks.taken[name] = time.perf_counter()
            turn = await dispatcher.accept(asked)
            assert turn is not None
            await dispatcher.start(turn, Place(marks, name))

    await asyncio.gather(*(one(number) for number in range(turns + WARM)))
    await dispatcher.settled()


async def measure(url: str, *, turns: int, at_once: int) -> dict[str, float]:
    """Medians and 95th percentiles with and without, and the difference of the medians."""
    kept, forgotten = Marks(), Marks()
    async with durable(url, kept) as dispatcher:
        await ask(dispatcher, kept, turns=turns, at_once=at_once)
    async with plain(forgotten) as dispatcher:
        await ask(dispatcher, forgotten, turns=turns, at_once=at_once)
    found: dict[str, float] = {}
    for what, moment in (("sign of life", "shown"), ("model asked", "asked")):
        durable_ms, plain_ms = (marks.until(getattr(marks, moment)) for marks in (kept, forgotten))
        found[f"{what}, durable, p50"] = statistics.median(durable_ms)
        found[f"{what}, durable, p95"] = statistics.quantiles(durable_ms, n=20)[-1]
        found[f"{what}, plain, p50"] = statistics.median(plain_ms)
        found[f"{what}, cost of durability, p50"] = statistics.median(durable_ms) - statistics.median(plain_ms)
    return found


def main() -> None:
    """Run it and print."""
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
