"""Tests a process that is paused in the middle of an answer: another one takes over, and the first resumes late."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

import pytest

from benchmarks.chaos.checks import is_unfinished
from benchmarks.chaos.database_state import read_database
from benchmarks.chaos.process_pool import Process, ProcessPool
from benchmarks.chaos.simulated_users import Question, sentence_count
from benchmarks.chaos.test_bed import Environment, open_environment

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

LEASE = 5.0
AFTER_WAKING = 3.0
"""Seconds in which a resumed process would write what it still has to write."""


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, "it never came about"
        await asyncio.sleep(0.1)


async def running_process(pool: ProcessPool) -> Process | None:
    """Return the process that runs a turn."""
    return next((process for process in pool.ready if process.running), None)


async def asked(environment: Environment) -> Question:
    """Ask a question with a long answer, and announce it."""
    tag = next(tag for number in range(1, 1000) if sentence_count(tag := f"Q{number:06}") == 70)
    question = environment.users.people["slack"].open(tag)
    environment.users.questions.append(question)
    await environment.users.people["slack"].announce(question)
    return question


def versions(environment: Environment) -> list[tuple[str, int]]:
    return [(message.ts, len(message.versions)) for message in environment.slack.world.messages if message.bot_id]


@pytest.mark.parametrize("phase", ["streaming", "posting"])
async def test_a_process_that_resumes_after_a_takeover_writes_nothing(phase: str) -> None:
    async with open_environment(7) as environment:
        pool = environment.pool(2, mixes=(("slack",),), lease=LEASE)
        await pool.start()
        question = await asked(environment)

        async def is_shown() -> bool:
            return any(question.tag in message.shown for message in environment.slack.world.messages if message.bot_id)

        async def is_running() -> object:
            return await running_process(pool)

        async def is_over() -> bool:
            """Whether the answer is complete and shown. It is stored as complete before its last edit."""
            database = await asyncio.to_thread(read_database, environment.postgres.admin_url)
            return bool(database.turns) and not any(is_unfinished(row) for row in database.turns)

        await until(is_shown if phase == "streaming" else is_running)
        frozen = await running_process(pool)
        assert frozen is not None
        frozen.signal(signal.SIGSTOP)
        try:
            await until(is_over)
            before = versions(environment)
        finally:
            frozen.signal(signal.SIGCONT)
        await asyncio.sleep(AFTER_WAKING)
        after = versions(environment)
        await pool.close()
        seen = await environment.verdict([pool])
        found = {name: count for name, count in seen.failures.items() if count and not name.startswith("orphaned")}
        assert found == {}
        assert seen.answered == 1
        if phase == "streaming":
            assert after == before, "the one that woke wrote over the answer"
