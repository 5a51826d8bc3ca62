"""A process is paused in the middle of an answer: another process continues, and the paused one resumes later."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

import pytest

from benchmarks.chaos.checks import OPEN, read_books
from benchmarks.chaos.environment import Environment, staged
from benchmarks.chaos.process_pool import Process, ProcessPool
from benchmarks.chaos.simulated_users import Question, sentences

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

LEASE = 5.0
AWAKE = 3.0
"""Seconds in which a resumed process would send its pending writes."""


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, "it never came about"
        await asyncio.sleep(0.1)


async def held(fleet: ProcessPool) -> Process | None:
    """Return the process that runs a turn."""
    return next((process for process in fleet.ready if process.holds), None)


async def asked(stage: Environment) -> Question:
    """Announce a question with a long answer."""
    tag = next(tag for number in range(1, 1000) if sentences(tag := f"Q{number:06}") == 70)
    question = stage.crowd.people["slack"].open(tag)
    stage.crowd.questions.append(question)
    await stage.crowd.people["slack"].announce(question)
    return question


def versions(stage: Environment) -> list[tuple[str, int]]:
    return [(message.ts, len(message.versions)) for message in stage.slack.world.messages if message.bot_id]


@pytest.mark.parametrize("deep", ["streaming", "posting"])
async def test_who_wakes_after_a_peer_has_answered_writes_nothing_and_leaves_one_answer(deep: str) -> None:
    async with staged(7) as stage:
        fleet = stage.fleet(2, mixes=(("slack",),), lease=LEASE)
        await fleet.start()
        question = await asked(stage)

        async def is_shown() -> bool:
            return any(question.tag in message.shown for message in stage.slack.world.messages if message.bot_id)

        async def is_held() -> object:
            return await held(fleet)

        async def is_over() -> bool:
            books = await asyncio.to_thread(read_books, stage.postgres.url)
            return bool(books.turns) and not any(row.state in OPEN for row in books.turns)

        await until(is_shown if deep == "streaming" else is_held)
        frozen = await held(fleet)
        assert frozen is not None
        frozen.signal(signal.SIGSTOP)
        try:
            await until(is_over)
            before = versions(stage)
        finally:
            frozen.signal(signal.SIGCONT)
        await asyncio.sleep(AWAKE)
        after = versions(stage)
        await fleet.close()
        seen = await stage.verdict([fleet])
        found = {name: count for name, count in seen.failures.items() if count and not name.startswith("orphans")}
        assert found == {}
        assert seen.answered == 1
        if deep == "streaming":
            assert after == before, "the one that woke wrote over the answer"
