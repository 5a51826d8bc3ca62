"""Compares the ledger with the providers' bill after a thousand turns under random faults, stops, shutdowns and
fallbacks.

    python -m benchmarks.ledger_under_faults [--turns 1000]

Every turn runs the full path: dispatcher, engine, real SDKs over sockets to the provider double, Postgres. Each ledger
row that is not marked as estimated must equal a line of the bill, token for token and dollar for dollar. Each line of
the bill must have its row. Afterwards no tokens may stay reserved, and every budget must equal the sum of its rows.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import re
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from benchmarks.shared.double_adapters import provider
from benchmarks.shared.harness import FixedSearch, SimulatedClock, fresh_postgres, rule_passage, table
from bot.commands.ask import NullSurface
from bot.config import Settings
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.engine.engine import Engine
from bot.errors import LeaseLost
from bot.llm.providers.provider_call import Timeouts
from bot.llm.resilient import ResilientLLM
from bot.llm.search_planning import ModelSearchPlanner
from bot.llm.tokens import TokenCounter
from bot.store.budgets import budget_counters
from bot.store.database.session import Database
from bot.store.stores import open_stores
from bot.store.threads import thread_uid
from bot.types.audience import MEMBERS
from bot.types.conversation import Author, Incoming, ThreadKey
from bot.types.turns import Outcome, Turn
from tests.doubles.models import Billed, ModelDouble, Reply, Seen
from tests.doubles.models_replies import Fault

TENANT = "benchmark"
TURNS_PER_THREAD = 6
THREADS_AT_ONCE = 16
PEOPLE, CHANNELS = 5, 3
RULE = "Everybody has 30 days of leave a year. Five of them may be taken into the next year. "
FAULTS: list[Fault] = [
    "error_event", "reset", "hang_up", "broken_json", "broken_utf8", "no_usage", "absurd_usage", "unknown_events",
    "html", "status",
]  # fmt: skip

_THREAD = re.compile(r"of (T\d+)\b")
_ROWS = text("SELECT * FROM ledger")
_DAYS = text("SELECT subject, used, reserved FROM budget_days")

Numbers = tuple[str, str, int, int, int, int, int, Decimal | None]


@dataclass
class RandomEvents:
    """Random events: provider faults, and stops and shutdowns meanwhile."""

    rng: random.Random

    def script(self, _: Seen) -> Reply:
        roll, answer = self.rng.random(), RULE + "[1]\n" * self.rng.randint(1, 3)
        if roll < 0.55:
            return Reply(answer * self.rng.randint(1, 6), piece=24, pause=0.002 if roll < 0.3 else 0.0)
        if roll < 0.60:
            return Reply(answer, fault="stall", after=self.rng.randint(0, 4))
        status = self.rng.choice([429, 500, 529, 401, 404])
        return Reply(answer, fault=self.rng.choice(FAULTS), after=self.rng.randint(0, 6), status=status)

    def interruption(self) -> str:
        roll = self.rng.random()
        return "stop" if roll < 0.12 else "shutdown" if roll < 0.15 else ""


@dataclass(frozen=True, slots=True)
class Result:
    """Results of one storm. Token counts include prompt and answer."""

    ends: Counter[str]
    calls: Counter[str]
    exact: int
    exact_equal: int
    exact_tokens: int
    exact_usd: Decimal
    billed_usd: Decimal
    """What the providers billed for the calls with exact rows."""
    estimated: int
    estimated_tokens: int
    estimated_billed_tokens: int
    """Tokens that the providers billed for the calls with estimated rows."""
    missing: int
    """Lines of the bill without a row."""
    reserved: int
    miscounted: Sequence[str]
    """Budgets whose count is not the sum of their rows."""
    seconds: float = field(compare=False)


async def measure(url: str, *, turns: int, seed: int = 1) -> Result:
    """Run the storm on a migrated database."""
    start, random_events, clock = time.monotonic(), RandomEvents(random.Random(seed)), SimulatedClock()
    database = Database(url)
    async with ModelDouble() as double:
        double.script = random_events.script
        llm, counter = _models(double, random_events, clock)
        dispatcher = _dispatcher(database, llm, counter)
        await _limit_one_user(database)
        ends: Counter[str] = Counter()
        slots = asyncio.Semaphore(THREADS_AT_ONCE)

        async def thread(number: int) -> None:
            async with slots:
                for at in range(TURNS_PER_THREAD):
                    if number * TURNS_PER_THREAD + at < turns:
                        clock.now += 60
                        ends[await _turn(dispatcher, f"T{number}", at, random_events)] += 1

        await asyncio.gather(*(thread(number) for number in range(-(-turns // TURNS_PER_THREAD))))
        await dispatcher.settled()
        await _wait_until_billed(double)
        await dispatcher.close()
        await llm.aclose()
        result = await _compare(database, double, ends, time.monotonic() - start)
    await database.aclose()
    return result


def _models(
    double: ModelDouble, random_events: RandomEvents, clock: SimulatedClock
) -> tuple[ResilientLLM, TokenCounter]:
    """Return an LLM with both providers, each first for one tier, with short timeouts and a simulated clock."""
    counter = TokenCounter()
    both = [provider("anthropic", double, counter), provider("openai", double, counter)]
    llm = ResilientLLM(
        {"cheap": both, "strong": both[::-1]},
        Timeouts(first_token=1.0, idle=0.4, total=36_000),
        clock=clock,
        sleep=clock.sleep,
        rand=random_events.rng.random,
    )
    return llm, counter


def _dispatcher(database: Database, llm: ResilientLLM, counter: TokenCounter) -> Dispatcher:
    settings = Settings(_env_file=None, daily_tokens=0, answer_cache_hours=0, prompt_tokens=3000)
    stores = open_stores(database, settings, count_tokens=counter.count, clock=lambda: datetime.now(UTC))
    engine = Engine(
        stores=stores,
        search=FixedSearch((rule_passage(RULE),)),
        llm=llm,
        settings=settings,
        count_tokens=counter.count,
        planner=ModelSearchPlanner(llm),
    )
    return Dispatcher(engine=engine, stores=stores, max_question_chars=10_000)


async def _limit_one_user(database: Database) -> None:
    """Give one user a low limit, so that answers are shortened and refused."""
    async with database.tenant(TENANT) as session:
        await budget_counters.set_limit(
            session, tenant_id=TENANT, subject=budget_counters.of_user("U0"), daily_tokens=60_000, set_by="storm"
        )


def _key(thread: str) -> ThreadKey:
    return ThreadKey(TENANT, "web", f"C{int(thread[1:]) % CHANNELS}", thread)


async def _turn(dispatcher: Dispatcher, thread: str, at: int, random_events: RandomEvents) -> str:
    """Run one question to its end, which can be a user's stop, or a shutdown and a restart."""
    author = Author(f"U{int(thread[1:]) % PEOPLE}", "Ann")
    question = f"Why, and how many days of leave are there, question {at} of {thread}?"
    wish = random_events.rng.choice([None, None, "strong"])
    asked = Incoming(_key(thread), uuid.uuid4().hex, author, question, "mention", datetime.now(UTC), audience=MEMBERS)
    turn = await dispatcher.accept(replace(asked, wish=wish))  # type: ignore[arg-type]
    assert turn is not None
    task, event = dispatcher.start(turn, NullSurface()), random_events.interruption()
    if event:
        await asyncio.wait({task}, timeout=random_events.rng.random() * 0.2)
    if event == "stop" and not task.done():
        await dispatcher.stop(turn.id, author)
    if event == "shutdown" and not task.done():
        return await _after_shutdown(dispatcher, turn, task)
    return (await task).state


async def _after_shutdown(dispatcher: Dispatcher, turn: Turn, task: asyncio.Task[Outcome]) -> str:
    task.cancel()
    (ended,) = await asyncio.gather(task, return_exceptions=True)
    if not isinstance(ended, asyncio.CancelledError):
        return task.result().state
    await asyncio.sleep(0)
    try:
        return f"{(await dispatcher.start(turn, NullSurface())).state} after a shutdown"
    except LeaseLost:
        return "over before the shutdown"


async def _wait_until_billed(double: ModelDouble) -> None:
    """Wait until the double has billed every stream that it started."""
    for _ in range(500):
        billed = {line.request for line in double.bill}
        if all(seen.number in billed or seen.closed.is_set() for seen in double.requests if seen.pieces_sent):
            return
        await asyncio.sleep(0.02)


# --- comparison of ledger and bill


async def _compare(database: Database, double: ModelDouble, ends: Counter[str], seconds: float) -> Result:
    async with database.tenant(TENANT) as session:
        rows = list(await session.execute(_ROWS))
        days = {row.subject: (row.used, row.reserved) for row in await session.execute(_DAYS)}
    uid_of = {str(thread_uid(_key(name))): name for name in map(_thread_of, double.requests)}
    lines: dict[str, list[Billed]] = defaultdict(list)
    for line in double.bill:
        lines[_thread_of(double.requests[line.request])].append(line)
    exact = [row for row in rows if not row.estimated and _tokens(row)]
    matched = [_take_matching_line(lines[uid_of[str(row.thread_uid)]], row) for row in exact]
    estimated = [row for row in rows if row.estimated]
    unmatched = {name: len(left) for name, left in lines.items()}
    for row in estimated:
        unmatched[uid_of.get(str(row.thread_uid), "")] = unmatched.get(uid_of.get(str(row.thread_uid), ""), 0) - 1
    return Result(
        ends=ends,
        calls=Counter(f"{row.provider} {row.purpose} {row.status}" for row in rows),
        exact=len(exact),
        exact_equal=sum(line is not None for line in matched),
        exact_tokens=sum(map(_tokens, exact)),
        exact_usd=sum((row.cost_usd for row in exact), Decimal(0)),
        billed_usd=sum((line.usd or Decimal(0) for line in matched if line), Decimal(0)),
        estimated=len(estimated),
        estimated_tokens=sum(map(_tokens, estimated)),
        estimated_billed_tokens=sum(line.prompt.total + line.output for left in lines.values() for line in left),
        missing=sum(max(0, left) for left in unmatched.values()),
        reserved=sum(reserved for _, reserved in days.values()),
        miscounted=_miscounted(rows, {subject: used for subject, (used, _) in days.items()}),
        seconds=seconds,
    )


def _thread_of(seen: Seen) -> str:
    found = _THREAD.findall(seen.messages[-1][1])
    return str(found[-1])


def _tokens(row: Any) -> int:
    prompt = row.input_tokens + row.cached_tokens + row.cache_write_tokens + row.cache_write_long_tokens
    return int(prompt + row.completion_tokens)


def _take_matching_line(lines: list[Billed], row: Any) -> Billed | None:
    """Remove and return the line that equals the row token for token, or None."""
    wanted = (row.provider, row.model, row.input_tokens, row.cached_tokens, row.cache_write_tokens,
              row.cache_write_long_tokens, row.completion_tokens, row.cost_usd)  # fmt: skip
    for line in lines:
        if line.complete and _numbers(line) == wanted:
            lines.remove(line)
            return line
    return None


def _numbers(line: Billed) -> Numbers:
    prompt = line.prompt
    return (
        line.provider, line.model, prompt.plain, prompt.read, prompt.written, prompt.written_long, line.output, line.usd
    )  # fmt: skip


def _miscounted(rows: Sequence[Any], used: dict[str, int]) -> list[str]:
    sums: Counter[str] = Counter()
    for row in rows:
        for subject in budget_counters.subjects(row.user_id, row.channel_id):
            sums[subject] += _tokens(row)
    return sorted(subject for subject in set(sums) | set(used) if sums[subject] != used.get(subject, 0))


def main() -> None:
    """Run the benchmark and print the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--turns", type=int, default=1000)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    logging.getLogger("bot").setLevel(logging.CRITICAL)
    with fresh_postgres() as url:
        result = asyncio.run(measure(url, turns=given.turns, seed=given.seed))
    share = 100 * result.exact_equal / max(result.exact, 1)
    rows: dict[str, object] = {f"turns {end}": number for end, number in sorted(result.ends.items())}
    rows |= {f"calls {kind}": number for kind, number in sorted(result.calls.items())}
    rows |= {
        "exact rows": result.exact,
        "exact rows that match the bill": f"{result.exact_equal:,} ({share:.2f} %)",
        "tokens of exact rows": result.exact_tokens,
        "dollars of exact rows": f"{result.exact_usd:.6f}",
        "billed dollars of the same calls": f"{result.billed_usd:.6f}",
        "estimated rows": result.estimated,
        "tokens of estimated rows": result.estimated_tokens,
        "billed tokens of the same calls": result.estimated_billed_tokens,
        "bill lines without a row": result.missing,
        "tokens still reserved": result.reserved,
        "budgets with a wrong count": ", ".join(result.miscounted) or "none",
        "seconds": result.seconds,
    }
    print(table(rows))


if __name__ == "__main__":
    main()
