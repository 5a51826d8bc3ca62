"""A process claims only queued turns that it can start."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from bot.engine.dispatch import concurrency
from bot.engine.dispatch.concurrency import KEPT_FREE, tenant_of
from bot.engine.dispatch.turn_runner import TurnRunner
from bot.engine.engine import Engine
from bot.types.conversation import Platform
from bot.types.turns import UNLIMITED, Outcome, TenantRoom, Turn
from tests.engine.fakes import FakeStores, Screen
from tests.engine.test_concurrency import asks

MAX_TURNS = 16
LIMIT = MAX_TURNS - MAX_TURNS // KEPT_FREE


@dataclass
class Crowded(FakeStores):
    """A store with queued turns, each of which one process can claim."""

    queued: list[Turn] = field(default_factory=list)

    async def ready_turns(
        self,
        platform: Platform,
        *,
        known: Collection[str] = (),
        room: TenantRoom = UNLIMITED,
        most: int = 100,
        suspects: bool = True,
    ) -> Sequence[Turn]:
        found: list[Turn] = []
        for turn in self.queued:
            tenant = tenant_of(turn)
            started = sum(tenant_of(one) == tenant for one in found)
            if turn.id not in known and started < room.of.get(tenant, room.otherwise) and len(found) < most:
                found.append(turn)
        self.queued = [turn for turn in self.queued if turn not in found]
        return found


class Answering:
    """An engine whose answers end when the test says so. ``begun`` has the turns under way."""

    def __init__(self) -> None:
        self.begun: dict[str, asyncio.Event] = {}

    def pace(self, turn: Turn, surface: object) -> None:
        return None

    async def handle(self, turn: Turn, surface: object, **more: Any) -> Outcome:
        self.begun[turn.id] = asyncio.Event()
        await self.begun[turn.id].wait()
        return Outcome(turn.id, turn.thread, "failed")


async def test_a_process_leaves_turns_that_it_cannot_start_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "LATE_SECONDS", 10.0**6)
    monkeypatch.setattr(concurrency, "STARTS_PER_PROBE", 10**6)
    store, engine = Crowded(), Answering()
    runner = TurnRunner(cast(Engine, engine), store.stores, MAX_TURNS)
    for turn in [asks("q", "quiet"), *(asks(f"n{number}", "noisy") for number in range(LIMIT))]:
        runner.start(turn, Screen())
    async with asyncio.timeout(60):
        while len(engine.begun) < 1 + LIMIT:
            await asyncio.sleep(0)
    store.queued = [asks(f"m{number}", "noisy") for number in range(9)]
    await runner.serve("slack", lambda turn: Screen())
    assert len(store.queued) == 9, "another process may have room for them"
    store.queued.append(asks("r", "quiet"))
    assert await runner.poll("slack") == 1
    engine.begun["n0"].set()
    async with asyncio.timeout(60):
        while "m0" not in engine.begun:
            await asyncio.sleep(0.001)
    assert len(store.queued) == 8, "only one more of them can start here"
    for ended in ("n1", "n2"):
        engine.begun[ended].set()
    async with asyncio.timeout(60):
        while not {"m1", "m2"} <= engine.begun.keys():
            await asyncio.sleep(0.001)
    assert len(store.queued) == 6
    await runner.close(0)
