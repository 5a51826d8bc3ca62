"""Supervised parts: a failure costs its part only, and only a wrong configuration ends the process."""

from __future__ import annotations

import asyncio

import pytest

from bot.errors import ConfigError, StoreAway, Unreachable
from bot.health import Health
from bot.supervisor import LONGEST_PAUSE, STEADY_SECONDS, Part, fails_for_good, supervise


class Scripted:
    """A part that fails with each error in turn, and then works. Its clock and its pauses are simulated."""

    def __init__(self, *errors: BaseException, lasts: float = 0.0) -> None:
        self.errors, self.lasts = list(errors), lasts
        self.now, self.pauses, self.health = 0.0, list[float](), Health()
        self.seen: list[str] = []
        self.working = asyncio.Event()

    async def run(self, ready: asyncio.Event) -> None:
        self.seen.append(self.health.unready.get("slack", ""))
        self.now += self.lasts
        if self.errors:
            raise self.errors.pop(0)
        ready.set()
        self.working.set()
        await asyncio.Event().wait()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    def supervised(self) -> asyncio.Task[None]:
        part = Part("slack", self.run)
        return asyncio.create_task(supervise(part, self.health, monotonic=lambda: self.now, sleep=self.sleep))


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_part_that_fails_starts_again_ever_later(caplog: pytest.LogCaptureFixture) -> None:
    part = Scripted(RuntimeError("a defect"), Unreachable("Slack cannot be reached."), StoreAway("gone"), OSError())
    task = part.supervised()
    async with asyncio.timeout(10):
        await part.working.wait()
    assert part.pauses == [1.0, 2.0, 4.0, 8.0]
    assert part.seen == [
        "is starting",
        "RuntimeError: a defect",
        "Slack cannot be reached.",
        "gone",
        "OSError: OSError",
    ]
    assert part.health.unready == {}
    assert "slack failed and starts again in 1 s: RuntimeError: a defect" in caplog.text
    assert caplog.text.count("Traceback") == 2, "what the operator can mend has no traceback"
    await stopped(task)


async def test_the_pause_is_short_again_after_a_steady_run_and_never_longer_than_its_limit() -> None:
    part = Scripted(*(OSError() for _ in range(9)))
    task = part.supervised()
    async with asyncio.timeout(10):
        await part.working.wait()
    assert part.pauses[-1] == LONGEST_PAUSE
    await stopped(task)
    steady = Scripted(OSError(), OSError(), OSError(), lasts=STEADY_SECONDS)
    task = steady.supervised()
    async with asyncio.timeout(10):
        await steady.working.wait()
    assert steady.pauses == [1.0, 1.0, 1.0]
    await stopped(task)


async def test_a_wrong_configuration_fails_for_good(caplog: pytest.LogCaptureFixture) -> None:
    part = Scripted(ExceptionGroup("", [OSError(), ConfigError("Slack does not accept SLACK_BOT_TOKEN.")]))
    with pytest.raises(ExceptionGroup):
        await part.supervised()
    assert "slack cannot run" in caplog.text, "the cause is logged before anything else is stopped"
    assert part.pauses == []


async def test_a_cancellation_from_inside_and_an_exit_are_failures_too() -> None:
    part = Scripted(asyncio.CancelledError(), SystemExit(3))
    task = part.supervised()
    async with asyncio.timeout(10):
        await part.working.wait()
    assert part.pauses == [1.0, 2.0]
    await stopped(task)


async def test_a_part_that_ends_by_itself_has_failed_unless_it_runs_once() -> None:
    runs: list[str] = []

    async def ends(ready: asyncio.Event) -> None:
        runs.append("run")

    async def enough(seconds: float) -> None:
        raise KeyError("enough")

    health = Health()
    with pytest.raises(KeyError):
        await supervise(Part("worker", ends), health, sleep=enough)
    assert health.faults == {"worker": "it ended by itself"}
    await supervise(Part("models", ends, once=True), health, sleep=enough)
    assert "models" not in health.unready


def test_what_may_pass_is_told_from_what_cannot() -> None:
    assert fails_for_good(ConfigError("a setting"))
    assert not any(fails_for_good(one) for one in (Unreachable("x"), StoreAway("x"), ValueError("x")))
