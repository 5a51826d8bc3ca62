"""One process under load: how soon it acknowledges and starts, how late its event loop is, whether its memory grows.

    python -m benchmarks.load --minutes 10 --events 50 --streams 200

People write ``events`` messages a second as the platforms deliver them; some are questions, a Slack mention being two
events, the rest is talk that the bot hears and leaves alone. Each answer streams long enough that ``streams`` of them
are under way at any time. The platforms, the providers and the people are in this process; the bot is in another one,
and Postgres in its own: what each of the three takes of the machine is told apart.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from sqlalchemy import create_engine, text

from benchmarks.benchmark_database import run, table
from benchmarks.chaos.checks import percentile
from benchmarks.chaos.environment import Environment, staged
from benchmarks.chaos.postgres import Postgres
from benchmarks.chaos.process_pool import Process
from benchmarks.chaos.simulated_users import TAG, PlatformName
from bot.store.session import driver_url
from tests.doubles.models import Reply, Seen
from tests.doubles.slack_world import Message

ANSWER_CHARS = 1600
WARM_UP = 15.0
"""Seconds in which streams begin and nothing is measured yet."""

_BOOKS = text(
    "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS wal, pg_database_size(current_database())::float8"
    " AS size, (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database())::float8 AS commits"
)
_STARTS = text(
    "SELECT extract(epoch FROM started_at - created_at) AS wait FROM turns"
    " WHERE started_at IS NOT NULL AND created_at >= to_timestamp(:since)"
)


@dataclass(frozen=True, slots=True)
class Database:
    """What Postgres has written and done so far."""

    wal: float
    size: float
    commits: float
    cpu: float

    @classmethod
    def of(cls, postgres: Postgres) -> Database:
        """Read it now; ``cpu`` are the seconds of the server's processes that still run."""
        engine = create_engine(driver_url(postgres.url))
        with engine.connect() as connection:
            row = connection.execute(_BOOKS).one()
        engine.dispose()
        server = psutil.Process(postgres.server.pid() or 0)
        spent = sum(map(_cpu, (server, *server.children(recursive=True))))
        return cls(row.wal, row.size, row.commits, spent)

    def since(self, before: Database) -> Database:
        """The difference."""
        return Database(
            self.wal - before.wal, self.size - before.size, self.commits - before.commits, self.cpu - before.cpu
        )


def _cpu(process: psutil.Process) -> float:
    """Seconds that it used; 0 for a backend that has just gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0


@dataclass
class Watched:
    """What was measured from the end of the warm-up on."""

    streams: list[int] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    around: float = 0.0
    """Seconds of CPU that the platforms, the providers and the people took."""


@dataclass(frozen=True, slots=True)
class Result:
    """The figures. Milliseconds, megabytes."""

    seconds: float
    questions: int
    events: int
    talk: int
    edits: int
    acks: Sequence[float]
    starts: Sequence[float]
    late: Sequence[float]
    rss: Sequence[float]
    cpu_share: float
    around: float
    streams: Sequence[int]
    loads: Sequence[float]
    database: Database

    def rows(self) -> dict[str, object]:
        """Names and figures as they are printed."""
        middle = len(self.rss) // 2
        memory = ", ".join(f"{self.rss[at]:.0f}" for at in (0, middle, -1)) if self.rss else "none"
        return {
            "seconds measured": self.seconds,
            "events a second": self.events / self.seconds,
            "  of them questions": self.questions / self.seconds,
            "  of them the same once more": (self.events - self.questions - self.talk) / self.seconds,
            "  of them talk": self.talk / self.seconds,
            "edits and posts a second": self.edits / self.seconds,
            "live streams (p50)": percentile([float(one) for one in self.streams], 0.5),
            "ack, ms (p50, p99)": _pair(self.acks, 0.99),
            "accept to start, ms (p50, p95)": _pair(self.starts, 0.95),
            "event loop late, ms (p50, p99)": _pair(self.late, 0.99),
            "memory, MB (start, middle, end)": memory,
            "cores that the process used": self.cpu_share,
            "cores that platforms, providers and people used": self.around / self.seconds,
            "cores that Postgres used": self.database.cpu / self.seconds,
            "of a question: core-seconds of the process": self.cpu_share * self.seconds / max(1, self.questions),
            "of a question: core-seconds of Postgres": self.database.cpu / max(1, self.questions),
            "of a question: transactions": self.database.commits / max(1, self.questions),
            "of a question: KB written ahead": self.database.wal / 1024 / max(1, self.questions),
            "of a question: KB stored": self.database.size / 1024 / max(1, self.questions),
            "load of the machine (p50, most)": _pair(self.loads, 1.0),
            "cores of the machine": os.cpu_count() or 0,
        }


def _pair(values: Sequence[float], share: float) -> str:
    return f"{percentile(values, 0.5):.1f}, {percentile(values, share):.1f}"


def streaming(seconds: float, pace: float, chance: random.Random) -> Callable[[Seen], Reply]:
    """A model that writes about ``seconds`` long, ``pace`` pieces a second."""

    def script(seen: Seen) -> Reply:
        tag = (TAG.findall(seen.messages[-1][1]) or ["Q000000"])[-1]
        count = ANSWER_CHARS // 80
        words = "".join(
            f"{tag}, {n}: everybody has **30 days** of leave a year, {n} may be taken later.\n\n" for n in range(count)
        )
        lasts = seconds * chance.uniform(0.7, 1.3)
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
) -> Result:
    """Load one process for ``seconds``."""
    more = {"total_timeout": 600.0, "max_turns": max(64, 2 * streams)}
    async with staged(seed, database={}, folder=logs, **more) as stage:
        stage.models.script = streaming(streams / questions, pace, stage.chance)
        fleet = stage.fleet(1, mixes=[platforms], gauged=True)
        await fleet.start()
        (process,) = fleet.ready
        talk: list[float] = []
        talking = asyncio.create_task(_talk(stage, events, questions, talk))
        await asyncio.sleep(max(warm_up, min(seconds, streams / questions)))
        before, since, sent = time.monotonic(), time.time(), _sent(stage)
        books = await asyncio.to_thread(Database.of, stage.postgres)
        asked, said = len(stage.crowd.questions), stage.crowd.events
        watched = await _watch(stage, seconds)
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        spent = time.monotonic() - before
        result = _result(
            stage,
            process,
            watched,
            spent,
            before,
            since,
            questions=len(stage.crowd.questions) - asked,
            events=stage.crowd.events - said,
            talk=sum(at >= before for at in talk),
            edits=_sent(stage) - sent,
            database=(await asyncio.to_thread(Database.of, stage.postgres)).since(books),
        )
        await fleet.close(9)
        return result


async def _talk(stage: Environment, events: float, questions: float, talk: list[float]) -> None:
    """Questions at their rate, evenly by platform, and talk until the events are as many as asked for.

    ``talk`` takes the moments at which somebody just talked.
    """
    start, crowd, chance = time.monotonic(), stage.crowd, stage.chance
    asked = 0
    while True:
        passed = time.monotonic() - start
        if asked < questions * passed:
            asked += 1
            people = crowd.people[chance.choice(list(crowd.people))]
            question = people.open(f"Q{len(crowd.questions) + 1:06}")
            crowd.questions.append(question)
            crowd.events += await people.announce(question)
        elif crowd.events < events * passed:
            _chatter(stage)
            talk.append(time.monotonic())
            crowd.events += 1
        else:
            await asyncio.sleep(0.005)


def _chatter(stage: Environment) -> None:
    """One user writes to another in a Slack channel."""
    world = stage.slack.world
    user = stage.chance.choice([name for name in world.users if name.startswith("U0CROWD")])
    said = world.version("shall we have lunch at noon?")
    stage.slack.announce(Message(f"C0CHAOS{stage.chance.randrange(8)}", world.next_ts(), user, [said]))


async def _watch(stage: Environment, seconds: float) -> Watched:
    seen, until, spent = Watched(), time.monotonic() + seconds, time.process_time()
    while time.monotonic() < until:
        await asyncio.sleep(min(1.0, seconds / 3))
        seen.streams.append(sum(one.pieces_sent > 0 for one in stage.models.requests) - len(stage.models.bill))
        seen.loads.append(os.getloadavg()[0])
    seen.around = time.process_time() - spent
    return seen


def _sent(stage: Environment) -> int:
    """Messages and edits that the bot has sent."""
    slack = sum(len(message.versions) for message in stage.slack.world.messages if message.bot_id)
    channels = stage.discord.world.channels.values()
    bot = stage.discord.bot
    return slack + sum(
        len(one.versions) for channel in channels for one in channel.messages.values() if one.author is bot
    )


def _result(
    stage: Environment,
    process: Process,
    seen: Watched,
    seconds: float,
    began: float,
    since: float,
    *,
    questions: int,
    events: int,
    talk: int,
    edits: int,
    database: Database,
) -> Result:
    deliveries = [one for one in stage.slack.socket.deliveries if one.sent_at >= began and one.acked_at]
    gauges = [gauge for gauge in process.gauges if gauge["at"] >= began]
    engine = create_engine(driver_url(stage.postgres.url))
    with engine.connect() as connection:
        starts = [1000 * float(row.wait) for row in connection.execute(_STARTS, {"since": since})]
    engine.dispose()
    cpu = (gauges[-1]["cpu"] - gauges[0]["cpu"]) / (gauges[-1]["at"] - gauges[0]["at"]) if len(gauges) > 1 else 0.0
    return Result(
        seconds=seconds,
        questions=questions,
        events=events,
        talk=talk,
        edits=edits,
        acks=[1000 * (one.acked_at - one.sent_at) for one in deliveries],
        starts=starts,
        late=[late for gauge in gauges for late in gauge["late_ms"]],
        rss=[gauge["rss_mb"] for gauge in gauges],
        cpu_share=cpu,
        around=seen.around,
        streams=seen.streams,
        loads=seen.loads,
        database=database,
    )


def main() -> None:
    """Run it and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--events", type=float, default=50.0, help="a second")
    options.add_argument("--questions", type=float, default=8.0, help="a second, among the events")
    options.add_argument("--streams", type=int, default=200, help="under way at any time")
    options.add_argument("--pieces", type=float, default=10.0, help="a second, of each stream")
    options.add_argument("--platforms", nargs="+", choices=("slack", "discord"), default=("slack", "discord"))
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--logs", type=Path, help="a folder that keeps the log of the process")
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
