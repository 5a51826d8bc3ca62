"""A surface that fails on demand, a clock that advances only in sleeps, and the display between them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bot.engine.display.stream import Display
from bot.errors import LeaseLost
from bot.types.display import Citation, Limits, Part

EVERY = 1.2


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)


@dataclass
class Channel:
    """A surface; ``messages`` is what a user sees, ``errors`` the errors to raise in turn, None for success."""

    clock: Clock
    limits: Limits = Limits(2000, EVERY)
    messages: dict[str, Part] = field(default_factory=dict)
    calls: list[tuple[str, float, Part | None]] = field(default_factory=list)
    errors: list[Exception | None] = field(default_factory=list)
    later_error: Exception | None = None
    applies_anyway: bool = False
    slow: Callable[[], Awaitable[None]] | None = None
    in_flight: int = 0
    most_in_flight: int = 0

    async def post(self, part: Part) -> str:
        ref = f"m{len(self.calls)}"
        await self._call("post", part)
        self.messages[ref] = part
        return ref

    async def edit(self, ref: str, part: Part) -> None:
        if self.applies_anyway:
            self.messages[ref] = part
        await self._call("edit", part)
        self.messages[ref] = part

    async def delete(self, ref: str) -> None:
        await self._call("delete", None)
        del self.messages[ref]

    async def find(self, nonce: str) -> str | None:
        await self._call("find", None)
        return next((ref for ref, part in self.messages.items() if part.nonce == nonce), None)

    async def _call(self, name: str, part: Part | None) -> None:
        self.calls.append((name, self.clock.now, part))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.slow:
                await self.slow()
            problem = self.errors.pop(0) if self.errors else self.later_error
            if problem:
                raise problem
        finally:
            self.in_flight -= 1

    @property
    def texts(self) -> list[str]:
        return [part.text for part in self.messages.values()]

    def times(self, name: str) -> list[float]:
        return [at for call, at, _ in self.calls if call == name]


class Harness:
    """A display on a channel, with its recorded parts."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        parts: tuple[str, ...] = (),
        allowed: frozenset[str] = frozenset(),
        channel: type[Channel] = Channel,
    ) -> None:
        self.clock = Clock()
        self.channel = channel(self.clock, limits or Limits(2000, EVERY))
        self.recorded: list[tuple[int, str | None]] = []
        self.replaced: list[str] = []
        self.lost = False
        self.taken = False
        """Whether another process has taken the turn, which this one learns when it confirms its lease."""
        self.display = Display(
            self.channel,
            turn_id="t1",
            record=self.record,
            confirm=lambda: self.confirm(),
            parts=parts,
            allowed=allowed,
            monotonic=self.clock.monotonic,
            sleep=self.clock.sleep,
        )
        for ref in parts:
            self.channel.messages[ref] = Part("from before", "", "t1")

    async def record(self, index: int, ref: str | None, *, replaced: str | None = None) -> None:
        if self.lost:
            raise LeaseLost("taken over")
        if ref is None:
            assert len(self.channel.messages) >= index
        self.recorded.append((index, ref))
        self.replaced += [replaced] if replaced else []

    async def confirm(self) -> None:
        if self.taken:
            raise LeaseLost("taken over")


async def turns(count: int = 40) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def stream(harness: Harness, text: str, step: int = 100) -> None:
    for end in range(step, len(text) + step, step):
        harness.display.show(text[:end])
        await turns(5)


SOURCE = Citation(1, "handbook.md", "Handbook", "30 days")


async def _wait(gate: asyncio.Event) -> None:
    await gate.wait()
