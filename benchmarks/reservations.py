"""Makes many concurrent reservations from several processes on one budget; checks the limit and what stays reserved.

    python -m benchmarks.reservations [--requests 2000] [--processes 4]

All requests reserve tokens of the same user, channel and tenant. A granted reservation ends in one of three ways: it is
settled with the tokens used, it is canceled half-way, or its process dies and it is released when the turn is leased
again. Meanwhile, the benchmark reads the database all the time to find tokens over the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from typing import Any

from sqlalchemy import text

from benchmarks.shared.harness import fresh_postgres, table
from bot.config import Settings
from bot.engine.ports.stores import Stores
from bot.errors import OverBudget
from bot.store.database.session import Database
from bot.store.stores import open_stores
from bot.types.audience import MEMBERS
from bot.types.conversation import Author, Incoming, ThreadKey
from bot.types.turns import Turn
from bot.types.usage import Call, Usage

TENANT = "benchmark"
ASKER = Author("U1", "Ann")
LIMIT = 100_000
CONNECTIONS = 15
"""Connections of one process. All its requests wait at once; this many of them use the database."""
TIMEOUT = 240.0
"""Seconds after which the run fails."""

_DAYS = text("SELECT subject, used, reserved FROM budget_days")
_EXPIRE = text("UPDATE turns SET lease_until = now() - interval '1 second' WHERE state = 'running' RETURNING turn_id")


@dataclass(frozen=True, slots=True)
class Result:
    """Results of one run. ``over`` is the most that used and reserved tokens ever exceeded the limit."""

    ended: Counter[str]
    settled_tokens: int
    over: int
    samples: int
    days: dict[str, tuple[int, int]]
    seconds: float


def _store(database: Database) -> Stores:
    settings = Settings(
        _env_file=None, daily_tokens=LIMIT, channel_daily_tokens=LIMIT + 500, tenant_daily_tokens=LIMIT + 1000
    )
    return open_stores(database, settings, count_tokens=len, clock=lambda: datetime.now(UTC))


def _incoming(number: str) -> Incoming:
    thread = ThreadKey(TENANT, "web", "general", number)
    return Incoming(thread, number, ASKER, "?", "mention", datetime.now(UTC), audience=MEMBERS)


def _call(tokens: int, *, cancelled: bool) -> Call:
    status = "cancelled" if cancelled else "ok"
    usage = Usage(input_tokens=tokens)
    return Call("answer", "double", "double", "cheap", usage, None, "", status, 1.0, estimated=cancelled)  # type: ignore[arg-type]


async def _request(stores: Stores, rng: random.Random) -> tuple[str, int]:
    """Run one request; return how it ended and the tokens it used."""
    tokens, process_dies, cancelled = rng.randint(200, 600), rng.random() < 0.05, rng.random() < 0.2
    turn = Turn(str(uuid.uuid4()), _incoming("x").thread, "x", ASKER, "?", None, False, datetime.now(UTC))
    if process_dies:
        accepted = await stores.inbox.accept(_incoming(uuid.uuid4().hex))
        assert accepted is not None
        assert await stores.leases.lease(accepted) is not None
        turn = accepted
    try:
        reservation = await stores.budgets.reserve(turn, tokens)
    except OverBudget:
        return "refused", 0
    await asyncio.sleep(rng.random() * 0.05)
    if process_dies:
        return "left by a dead process", 0
    used = int(tokens * rng.uniform(0.1, 0.5 if cancelled else 1.0))
    await stores.budgets.bill(turn, [_call(used, cancelled=cancelled)], reservation)
    if rng.random() < 0.1:
        await stores.budgets.bill(turn, [], reservation)
    return ("cancelled" if cancelled else "settled"), used


async def _requests(url: str, seed: int, number: int, barrier: Barrier | None) -> tuple[Counter[str], int]:
    database, rng = Database(url), random.Random(seed)
    try:
        async with database.tenant(TENANT) as session:
            await session.execute(text("SELECT 1"))
        if barrier:
            await asyncio.to_thread(barrier.wait, TIMEOUT)
        connections = asyncio.Semaphore(CONNECTIONS)

        async def request() -> tuple[str, int]:
            async with connections:
                return await _request(_store(database), rng)

        ends = await asyncio.gather(*(request() for _ in range(number)))
    finally:
        await database.aclose()
    return Counter(end for end, _ in ends), sum(used for _, used in ends)


def _process(url: str, seed: int, number: int, barrier: Barrier, results: Any) -> None:
    try:
        results.put(asyncio.run(_requests(url, seed, number, barrier)))
    except Exception as error:
        results.put(error)


async def _watch_limit(database: Database, done: asyncio.Event) -> tuple[int, int]:
    """Return the most that any budget exceeded its limit, and the number of readings."""
    over, samples = -LIMIT, 0
    limits = {"user": LIMIT, "channel": LIMIT + 500, "tenant": LIMIT + 1000}
    while not done.is_set():
        async with database.tenant(TENANT) as session:
            for subject, used, reserved in await session.execute(_DAYS):
                over = max(over, used + reserved - limits[subject.partition(":")[0]])
        samples += 1
        await asyncio.sleep(0.01)
    return over, samples


async def _take_over(database: Database) -> None:
    """Lease the turns of a dead process, as another process does."""
    stores = _store(database)
    async with database.tenant(TENANT) as session:
        left = [str(turn_id) for turn_id in await session.scalars(_EXPIRE)]
    for turn_id in left:
        turn = await stores.inbox.turn(TENANT, turn_id)
        assert turn is not None
        await stores.leases.lease(turn)


async def measure(url: str, *, requests: int, processes: int) -> Result:
    """Run the requests on a migrated database."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes), context.Queue()
    workers = [
        context.Process(target=_process, args=(url, seed, requests // processes, barrier, results), daemon=True)
        for seed in range(processes)
    ]
    database, over = Database(url), asyncio.Event()
    watcher = asyncio.create_task(_watch_limit(database, over))
    start = time.monotonic()
    for worker in workers:
        worker.start()
    ended: list[tuple[Counter[str], int]] = []
    for _ in workers:
        result = await asyncio.to_thread(results.get, True, TIMEOUT)
        if isinstance(result, Exception):
            raise result
        ended.append(result)
    seconds = time.monotonic() - start
    over.set()
    most, samples = await watcher
    await _take_over(database)
    async with database.tenant(TENANT) as session:
        days = {subject: (used, reserved) for subject, used, reserved in await session.execute(_DAYS)}
    await database.aclose()
    ends: Counter[str] = sum((counts for counts, _ in ended), Counter())
    return Result(ends, sum(used for _, used in ended), max(most, 0), samples, days, seconds)


def main() -> None:
    """Run the benchmark and print the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=2000)
    options.add_argument("--processes", type=int, default=4)
    given = options.parse_args()
    with fresh_postgres() as url:
        result = asyncio.run(measure(url, requests=given.requests, processes=given.processes))
    rows: dict[str, object] = {"requests": sum(result.ended.values()), "processes": given.processes, "limit": LIMIT}
    rows |= dict(sorted(result.ended.items()))
    rows |= {
        "readings of the budget": result.samples,
        "most tokens over the limit": result.over,
        "tokens settled by the requests": result.settled_tokens,
        "tokens used in the budget": result.days[f"user:{ASKER.id}"][0],
        "tokens still reserved": sum(reserved for _, reserved in result.days.values()),
        "seconds": result.seconds,
    }
    print(table(rows))


if __name__ == "__main__":
    main()
