"""What the bot is doing is shown beside the answer, and no answer waits for it or fails because of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest

from bot.engine.display.activity_indicator import ActivityIndicator
from bot.errors import RateLimited, SurfaceError
from bot.types.display import Activity
from tests.engine.display_harness import Channel, Clock, Harness, turns

SEARCHING, WRITING = Activity("is searching"), Activity("is writing", writing=True)


@dataclass
class Indicating(Channel):
    """A channel that shows activities; it repeats them after ``activity_seconds``."""

    clock: Clock = field(default_factory=Clock)
    activity_seconds: float = 3600.0
    shown: list[Activity | None] = field(default_factory=list)
    refusals: list[Exception] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def show_activity(self, activity: Activity | None) -> None:
        if self.gate is not None:
            await self.gate.wait()
        self.shown.append(activity)
        if self.refusals:
            raise self.refusals.pop(0)


def is_last(surface: Indicating, activity: Activity) -> bool:
    return surface.shown[-1:] == [activity]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


async def test_each_activity_is_shown_once_and_removed_at_the_end() -> None:
    surface = Indicating()
    indicator = ActivityIndicator(surface)
    for activity in (SEARCHING, SEARCHING, WRITING):
        indicator.show(activity)
        await until(partial(is_last, surface, activity))
    await indicator.end()
    await indicator.end()
    assert surface.shown == [SEARCHING, WRITING, None]


async def test_an_activity_is_shown_again_before_the_platform_removes_it() -> None:
    surface = Indicating(activity_seconds=0.0)
    indicator = ActivityIndicator(surface)
    indicator.show(SEARCHING)
    await until(lambda: len(surface.shown) >= 3)
    await indicator.end()


async def test_after_a_refusal_nothing_more_is_shown() -> None:
    surface = Indicating(refusals=[SurfaceError("no status here")])
    indicator = ActivityIndicator(surface)
    indicator.show(SEARCHING)
    await until(lambda: surface.shown)
    indicator.show(WRITING)
    await indicator.end()
    assert surface.shown == [SEARCHING]


async def test_a_rate_limit_is_waited_out() -> None:
    surface = Indicating(refusals=[RateLimited("wait", retry_after=0.0)], activity_seconds=0.0)
    indicator = ActivityIndicator(surface)
    indicator.show(SEARCHING)
    await until(lambda: surface.shown == [SEARCHING, SEARCHING])
    await indicator.end()


@pytest.mark.parametrize("refusal", [SurfaceError("no"), RateLimited("wait", retry_after=3600), RuntimeError("a bug")])
async def test_no_answer_fails_because_of_it(refusal: Exception) -> None:
    harness = Harness(channel=Indicating)
    assert isinstance(harness.channel, Indicating)
    harness.channel.refusals = [refusal] * 9
    assert await answer(harness) == ["Thirty days."]
    assert harness.channel.shown


async def test_no_answer_waits_for_a_platform_that_hangs() -> None:
    harness = Harness(channel=Indicating)
    assert isinstance(harness.channel, Indicating)
    gate = harness.channel.gate = asyncio.Event()
    assert await answer(harness, before_the_end=gate.set) == ["Thirty days."]


async def answer(harness: Harness, before_the_end: Callable[[], None] = lambda: None) -> list[str]:
    async with harness.display as display:
        await display.open("Searching")
        display.show("Thirty days.")
        await turns()
        parts = await display.close("Thirty days.")
        before_the_end()
    return [part.text for part in parts]


async def test_a_surface_without_activities_is_left_alone() -> None:
    indicator = ActivityIndicator(Channel(Clock()))
    indicator.show(SEARCHING)
    await indicator.end()
