"""Many streams in one workspace share one rate limit, and every final text arrives."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from dataclasses import dataclass, field
from typing import Any

from bot.engine.display.edit_pacing import EditPacing, SharedPacing
from bot.engine.display.stream import Display
from bot.errors import RateLimited
from bot.types.display import Limits, Part

PER_MINUTE = 50.0
STREAMS = 30


class Timeline:
    """A clock that advances to the next wake-up time when all tasks sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + max(0.0, seconds), next(self._count), woken))
        await woken

    async def run(self, work: asyncio.Future[Any]) -> None:
        while not work.done():
            for _ in range(12):
                await asyncio.sleep(0)
            if not work.done() and self._sleepers:
                moment, _, woken = heapq.heappop(self._sleepers)
                self.now = max(self.now, moment)
                if not woken.done():
                    woken.set_result(None)


@dataclass
class Workspace:
    """A platform with one bucket for the edits of all channels; a call before Retry-After counts as a violation."""

    time: Timeline
    per_minute: float = PER_MINUTE
    burst: float = 10.0
    limits: Limits = Limits(2000, 1.2, edits_per_minute=PER_MINUTE)
    shown: dict[str, Part] = field(default_factory=dict)
    edits: list[tuple[float, str]] = field(default_factory=list)
    refused: int = 0
    violations: int = 0
    level: float = 10.0
    _since: float = 0.0
    _closed: float = 0.0

    async def post(self, part: Part) -> str:
        self.shown[part.turn_id] = part
        return part.turn_id

    async def edit(self, ref: str, part: Part) -> None:
        now = self.time.now
        self.violations += now < self._closed - 1e-6
        self.level = min(self.burst, self.level + (now - self._since) * self.per_minute / 60)
        self._since = now
        if self.level < 1:
            self.refused += 1
            wait = math.ceil((1 - self.level) * 60 / self.per_minute)
            self._closed = now + wait
            raise RateLimited("slow down", retry_after=float(wait))
        self.level -= 1
        self.edits.append((now, ref))
        self.shown[ref] = part

    async def delete(self, ref: str) -> None:
        del self.shown[ref]

    async def find(self, nonce: str) -> str | None:
        return None


async def _nothing(index: int, ref: str | None, *, replaced: str | None = None) -> None:
    return None


async def stream(place: Workspace, shared: SharedPacing, name: str, seconds: int) -> None:
    time = place.time
    async with Display(
        place, turn_id=name, record=_nothing, shared=shared, monotonic=time.monotonic, sleep=time.sleep
    ) as display:
        await display.open("…")
        for second in range(seconds):
            display.show("word " * (second + 1))
            await time.sleep(1.0)
        await display.close("The end.")


async def _many(place: Workspace, shared: SharedPacing) -> None:
    everybody = asyncio.gather(*(stream(place, shared, f"t{n}", 60) for n in range(STREAMS)))
    await place.time.run(everybody)
    await everybody


async def test_many_streams_keep_within_the_rate_limit_and_all_finish() -> None:
    place = Workspace(Timeline())
    await _many(place, SharedPacing(PER_MINUTE))
    assert {part.text for part in place.shown.values()} == {"The end."}
    assert len(place.shown) == STREAMS
    assert (place.refused, place.violations) == (0, 0)
    drafts = [sum(ref == f"t{n}" for _, ref in place.edits) - 1 for n in range(STREAMS)]
    assert min(drafts) >= 1, "every stream was seen to move"
    assert max(drafts) - min(drafts) <= 2, "none at the cost of another"


async def test_a_lower_limit_than_promised_is_learned() -> None:
    place = Workspace(Timeline(), per_minute=20.0, burst=2.0)
    place.level = 2.0
    shared = SharedPacing(PER_MINUTE)
    await _many(place, shared)
    assert {part.text for part in place.shown.values()} == {"The end."}
    assert place.violations == 0, "a Retry-After holds for everybody"
    assert shared.interval > 60.0 / PER_MINUTE
    assert place.refused < len(place.edits) / 2


async def test_without_shared_pacing_the_streams_hit_the_rate_limit() -> None:
    place = Workspace(Timeline())
    everybody = asyncio.gather(*(stream(place, SharedPacing(), f"t{n}", 60) for n in range(STREAMS)))
    await place.time.run(everybody)
    await everybody
    assert place.refused > STREAMS


async def test_answers_resumed_together_after_a_crash_keep_within_the_rate_limit() -> None:
    place, shared = Workspace(Timeline()), SharedPacing(PER_MINUTE)
    time = place.time

    async def taken_up(name: str) -> None:
        async with Display(
            place,
            turn_id=name,
            record=_nothing,
            parts=[name],
            recorded=1,
            shared=shared,
            monotonic=time.monotonic,
            sleep=time.sleep,
        ) as display:
            await display.open("…")
            await time.sleep(30.0)
            await display.close("The end.")

    work = asyncio.gather(*(taken_up(f"t{n}") for n in range(STREAMS)))
    await time.run(work)
    await work
    assert place.refused == 0
    assert {part.text for part in place.shown.values()} == {"The end."}
    assert len(place.edits) > STREAMS, "some were seen to wait"


def test_a_final_edit_goes_before_drafts_and_waits_only_for_a_refusal() -> None:
    shared = SharedPacing(60.0)
    one, other = EditPacing(1.0, shared), EditPacing(1.0, shared)
    assert one.reserve_draft(0.0) == 0
    assert other.reserve_draft(0.0) == 1.0, "the workspace's next moment"
    assert other.reserve_final(0.0) == 0
    shared.refused(0.0, 7.0)
    assert other.reserve_final(0.0) == 7.0
    assert one.reserve_draft(3.0) == 4.0


def test_an_append_with_a_shorter_interval_uses_less_of_the_limit() -> None:
    shared = SharedPacing(60.0)
    shared.begin()
    appending, editing = EditPacing(1.0, shared), EditPacing(1.0, shared)
    assert appending.reserve_draft(0.0, 0.5) == 0
    appending.done(0.0, 0.5)
    assert appending.wait(0.0) == 0.5
    assert editing.reserve_draft(0.0) == 0.5, "an append takes half an edit's place"
    assert editing.reserve_draft(0.5) == 0
    editing.done(0.5)
    assert editing.wait(0.5) == 1.0
