"""Loads one process and measures its response times, event loop delay, memory growth and resource use.

    python -m benchmarks.load_test --minutes 10 --events 50 --streams 200

Simulated users send ``events`` messages a second as the platforms deliver them. Some are questions (a Slack mention is
two events), the others are messages between users that the bot ignores. Each answer streams long enough that
``streams`` of them run at any time. The platforms, the providers and the users are in this process, the bot is in
another one, and Postgres has its own. The CPU use of the three is reported separately.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from sqlalchemy import create_engine, text

from benchmarks.chaos.heap_log import HeapLog
from benchmarks.chaos.postgres import Postgres
from benchmarks.chaos.process_pool import Process
from benchmarks.chaos.simulated_users import TAG, PlatformName
from benchmarks.chaos.test_bed import Environment, open_environment
from benchmarks.shared.harness import run, table
from bot.evals.metrics import percentile
from bot.store.database.connections import driver_url
from tests.doubles.models import Reply, Seen
from tests.doubles.slack_world import Message

ANSWER_CHARS = 1600
WARM_UP = 15.0
"""Seconds in which streams start and nothing is measured."""

_COUNTERS = text(
    "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS wal, pg_database_size(current_database())::float8"
    " AS size, (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database())::float8 AS commits"
)
_STARTS = text(
    "SELECT extract(epoch FROM started_at - created_at) AS wait FROM turns"
    " WHERE started_at IS NOT NULL AND created_at >= to_timestamp(:since)"
)


@dataclass(frozen=True, slots=True)
class PostgresCounters:
    """What Postgres has written and done so far."""

    wal: float
    size: float
    commits: float
    cpu: float

    @classmethod
    def of(cls, postgres: Postgres) -> PostgresCounters:
        """Read the current counters. ``cpu`` is the seconds used by the server processes that still run."""
        engine = create_engine(driver_url(postgres.admin_url))
        with engine.connect() as connection:
            row = connection.execute(_COUNTERS).one()
        engine.dispose()
        server = psutil.Process(postgres.server.pid() or 0)
        spent = sum(map(_cpu, (server, *server.children(recursive=True))))
        return cls(row.wal, row.size, row.commits, spent)

    def since(self, before: PostgresCounters) -> PostgresCounters:
        """Return the difference between two readings."""
        return PostgresCounters(
            self.wal - before.wal, self.size - before.size, self.commits - before.commits, self.cpu - before.cpu
        )


def _cpu(process: psutil.Process) -> float:
    """Return the CPU seconds of a process; 0 for a backend that has just ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0


@dataclass
class Measurements:
    """Measurements since the end of the warm-up."""

    streams: list[int] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    double_cpu: float = 0.0
    """CPU seconds of the platforms, the providers and the users."""


@dataclass(frozen=True, slots=True)
class Result:
    """The figures, in milliseconds and megabytes."""

    seconds: float
    questions: int
    events: int
    other_messages: int
    edits: int
    acks: Sequence[float]
    starts: Sequence[float]
    late: Sequence[float]
    rss: Sequence[float]
    cpu_share: float
    double_cpu: float
    streams: Sequence[int]
    loads: Sequence[float]
    database: PostgresCounters

    def rows(self) -> dict[str, object]:
        """Return the printed names and figures."""
        middle = len(self.rss) // 2
        memory = ", ".join(f"{self.rss[at]:.0f}" for at in (0, middle, -1)) if self.rss else "none"
        return {
            "seconds measured": self.seconds,
            "events per second": self.events / self.seconds,
            "  questions": self.questions / self.seconds,
            "  duplicates": (self.events - self.questions - self.other_messages) / self.seconds,
            "  other messages": self.other_messages / self.seconds,
            "edits and posts per second": self.edits / self.seconds,
            "live streams (p50)": percentile([float(one) for one in self.streams], 0.5),
            "ack, ms (p50, p99)": _percentiles(self.acks, 0.99),
            "accept to start, ms (p50, p95)": _percentiles(self.starts, 0.95),
            "event loop delay, ms (p50, p99)": _percentiles(self.late, 0.99),
            "memory, MB (start, middle, end)": memory,
            "cores used by the process": self.cpu_share,
            "cores used by platforms, providers and users": self.double_cpu / self.seconds,
            "cores used by Postgres": self.database.cpu / self.seconds,
            "per question: core-seconds of the process": self.cpu_share * self.seconds / max(1, self.questions),
            "per question: core-seconds of Postgres": self.database.cpu / max(1, self.questions),
            "per question: transactions": self.database.commits / max(1, self.questions),
            "per question: KB of WAL": self.database.wal / 1024 / max(1, self.questions),
            "per question: KB stored": self.database.size / 1024 / max(1, self.questions),
            "machine load (p50, max)": _percentiles(self.loads, 1.0),
            "cores of the machine": os.cpu_count() or 0,
        }


def _percentiles(values: Sequence[float], share: float) -> str:
    return f"{percentile(values, 0.5):.1f}, {percentile(values, share):.1f}"


def streaming(seconds: float, pace: float, rng: random.Random) -> Callable[[Seen], Reply]:
    """Return a model that writes for about ``seconds``, ``pace`` pieces a second."""

    def script(seen: Seen) -> Reply:
        tag = (TAG.findall(seen.messages[-1][1]) or ["Q000000"])[-1]
        count = ANSWER_CHARS // 80
        words = "".join(
            f"{tag}, {n}: everybody has **30 days** of leave a year, {n} may be taken later.\n\n" for n in range(count)
        )
        lasts = seconds * rng.uniform(0.7, 1.3)
        pieces = max(1, int(lasts * pace))
        return Reply(words + "[1]", piece=max(1, len(words) // pieces), pause=lasts / pieces)

    return script


async def measure(
    *,
    seconds: float,
    events: float,
    streams: int,
    questions: float,
    pace: float = 10.0,
    seed: int = 1,
    platforms: tuple[PlatformName, ...] = ("slack", "discord"),
    logs: Path | None = None,
    warm_up: float = WARM_UP,
    heap_log: HeapLog | None = None,
) -> Result:
    """Load one process for ``seconds``."""
    extra_settings = {"total_timeout": 600.0, "max_turns": max(64, 2 * streams)}
    async with open_environment(seed, database={}, folder=logs, **extra_settings) as environment:
        environment.models.script = streaming(streams / questions, pace, environment.rng)
        pool = environment.pool(1, mixes=[platforms], sample_load=True, heap_log=heap_log and asdict(heap_log))
        await pool.start()
        (process,) = pool.ready
        other_messages: list[float] = []
        sending = asyncio.create_task(_send_events(environment, events, questions, other_messages))
        await asyncio.sleep(max(warm_up, min(seconds, streams / questions)))
        before, since, sent = time.monotonic(), time.time(), _sent(environment)
        counters = await asyncio.to_thread(PostgresCounters.of, environment.postgres)
        questions_before, events_before = len(environment.users.questions), environment.users.events
        measurements = await _measure(environment, seconds)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        spent = time.monotonic() - before
        result = _result(
            environment,
            process,
            measurements,
            spent,
            before,
            since,
            questions=len(environment.users.questions) - questions_before,
            events=environment.users.events - events_before,
            other_messages=sum(at >= before for at in other_messages),
            edits=_sent(environment) - sent,
            database=(await asyncio.to_thread(PostgresCounters.of, environment.postgres)).since(counters),
        )
        await pool.close(9)
        return result


async def _send_events(environment: Environment, events: float, questions: float, other_messages: list[float]) -> None:
    """Ask questions at their rate, evenly by platform, and send other messages until the total number of events is
    reached.

    ``other_messages`` receives the times at which such messages were sent.
    """
    start, users, rng = time.monotonic(), environment.users, environment.rng
    asked = 0
    while True:
        passed = time.monotonic() - start
        if asked < questions * passed:
            asked += 1
            people = users.people[rng.choice(list(users.people))]
            question = people.open(f"Q{len(users.questions) + 1:06}")
            users.questions.append(question)
            users.events += await people.announce(question)
        elif users.events < events * passed:
            _send_other_message(environment)
            other_messages.append(time.monotonic())
            users.events += 1
        else:
            await asyncio.sleep(0.005)


def _send_other_message(environment: Environment) -> None:
    """Send a message from one user to another in a Slack channel."""
    world = environment.slack.world
    user = environment.rng.choice([name for name in world.users if name.startswith("U0CROWD")])
    text = world.version("shall we have lunch at noon?")
    environment.slack.announce(Message(f"C0CHAOS{environment.rng.randrange(8)}", world.next_ts(), user, [text]))


async def _measure(environment: Environment, seconds: float) -> Measurements:
    seen, until, spent = Measurements(), time.monotonic() + seconds, time.process_time()
    while time.monotonic() < until:
        await asyncio.sleep(min(1.0, seconds / 3))
        seen.streams.append(
            sum(one.pieces_sent > 0 for one in environment.models.requests) - len(environment.models.bill)
        )
        seen.loads.append(os.getloadavg()[0])
    seen.double_cpu = time.process_time() - spent
    return seen


def _sent(environment: Environment) -> int:
    """Return the number of messages and edits that the bot has sent."""
    slack = sum(len(message.versions) for message in environment.slack.world.messages if message.bot_id)
    channels = environment.discord.world.channels.values()
    bot = environment.discord.bot
    return slack + sum(
        len(one.versions) for channel in channels for one in channel.messages.values() if one.author is bot
    )


def _result(
    environment: Environment,
    process: Process,
    seen: Measurements,
    seconds: float,
    began: float,
    since: float,
    *,
    questions: int,
    events: int,
    other_messages: int,
    edits: int,
    database: PostgresCounters,
) -> Result:
    deliveries = [one for one in environment.slack.socket.deliveries if one.sent_at >= began and one.acked_at]
    load_samples = [gauge for gauge in process.load_samples if gauge["at"] >= began]
    engine = create_engine(driver_url(environment.postgres.admin_url))
    with engine.connect() as connection:
        starts = [1000 * float(row.wait) for row in connection.execute(_STARTS, {"since": since})]
    engine.dispose()
    cpu = (
        (load_samples[-1]["cpu"] - load_samples[0]["cpu"]) / (load_samples[-1]["at"] - load_samples[0]["at"])
        if len(load_samples) > 1
        else 0.0
    )
    return Result(
        seconds=seconds,
        questions=questions,
        events=events,
        other_messages=other_messages,
        edits=edits,
        acks=[1000 * (one.acked_at - one.sent_at) for one in deliveries],
        starts=starts,
        late=[late for gauge in load_samples for late in gauge["late_ms"]],
        rss=[gauge["rss_mb"] for gauge in load_samples],
        cpu_share=cpu,
        double_cpu=seen.double_cpu,
        streams=seen.streams,
        loads=seen.loads,
        database=database,
    )


def main() -> None:
    """Run the benchmark and print the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--events", type=float, default=50.0, help="per second")
    options.add_argument("--questions", type=float, default=8.0, help="per second, included in the events")
    options.add_argument("--streams", type=int, default=200, help="concurrent streams")
    options.add_argument("--pieces", type=float, default=10.0, help="per second and stream")
    options.add_argument("--platforms", nargs="+", choices=("slack", "discord"), default=("slack", "discord"))
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--logs", type=Path, help="folder for the log of the process")
    given = options.parse_args()
    result = run(
        measure(
            seconds=60 * given.minutes,
            events=given.events,
            streams=given.streams,
            questions=given.questions,
            pace=given.pieces,
            seed=given.seed,
            platforms=tuple(given.platforms),
            logs=given.logs,
        )
    )
    print(table(result.rows()))


if __name__ == "__main__":
    main()
