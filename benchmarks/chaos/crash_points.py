"""Defines named crash points in a turn, and wraps the ports so that a process can kill itself at one of them."""

from __future__ import annotations

import inspect
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import fields
from typing import Any, cast

from benchmarks.shared.harness import FixedSearch, rule_passage
from bot.app import Overrides
from bot.engine.engine import Engine
from bot.engine.ports.llm import LLM, Ended, Event, Meter, Prompt, TextDelta
from bot.engine.ports.stores import Stores
from bot.engine.ports.surface import Surface
from bot.types.turns import LateReply, Lease, Outcome, Turn
from bot.types.usage import Tier

Send = Callable[[Mapping[str, object]], None]

MIDDLE = 4
"""The delta that counts as the middle of a stream."""

EDGES = (
    "store.accept.before",
    "store.accept.after",
    "store.lease.after",
    "store.history.after",
    "store.record_part.before",
    "store.record_part.after",
    "surface.post.before",
    "surface.post.after",
    "store.reserve.before",
    "store.reserve.after",
    "llm.answer.asked",
    "llm.answer.first",
    "llm.answer.middle",
    "llm.answer.ended",
    "surface.edit.before",
    "surface.edit.after",
    "store.finish.before",
    "store.finish.after",
    "store.end.before",
    "store.end.after",
    "llm.summary.asked",
    "llm.summary.ended",
    "store.summarize.before",
    "store.summarize.after",
    "store.bill.before",
    "store.bill.after",
)
"""The edges between the states of a turn, in order."""

LATE_EDGES = (
    "store.postpone.before",
    "store.postpone.after",
    "late.edit.before",
    "late.edit.after",
    "store.end_late.before",
    "store.end_late.after",
)
"""The edges of a late reply, in order: left for a later try, shown, ended."""

RULE = "Everybody has 30 days of leave a year. Five of them may be taken into the next year."

_TURN_EVENTS = {
    "store.lease.after": "leased",
    "store.finish.after": "ended",
    "store.end.after": "ended",
    "store.postpone.after": "ended",
    "store.hand_back.after": "ended",
    "store.forget.after": "ended",
}


class CrashPointWatch:
    """Counts the points that a process passes; kills it by SIGKILL at the ``at``-th passage of ``point``."""

    def __init__(self, send: Send, point: str = "", at: int = 1) -> None:
        self._send = send
        self._point = point
        self._at = at
        self._passed: Counter[str] = Counter()

    def passed(
        self, point: str, arguments: tuple[Any, ...] = (), result: object = None, named: Collection[str] = ()
    ) -> None:
        """Report the start and end of a turn; kill the process at its crash point."""
        event_name = None if _is_being_shown(arguments) else _TURN_EVENTS.get(point)
        if event_name and arguments and (event_name != "leased" or result is not None):
            fence = result.fence if isinstance(result, Lease) else 0
            self._send({event_name: arguments[0].id, "fence": fence})
        if point.startswith("store.end.") and "total_ms" not in named:
            self.passed(point.replace("end", "end_late"))
        self._passed[point] += 1
        if point == self._point and self._passed[point] == self._at:
            self._send({"died_at": point})
            os.kill(os.getpid(), signal.SIGKILL)


def _is_being_shown(arguments: tuple[Any, ...]) -> bool:
    """Return whether these are the arguments of ``finish`` for a reply that is not shown yet."""
    return any(isinstance(one, Outcome) and one.deliver_in is not None for one in arguments)


class WatchedPort:
    """A port that passes the points ``NAME.METHOD.before`` and ``NAME.METHOD.after`` at every call."""

    def __init__(self, port: object, name: str, watch: CrashPointWatch) -> None:
        self._port = port
        self._name = name
        self._watch = watch

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._port, method)
        if not inspect.iscoroutinefunction(found):
            return found

        async def call(*arguments: Any, **named: Any) -> Any:
            self._watch.passed(f"{self._name}.{method}.before", arguments, named=named)
            result = await found(*arguments, **named)
            self._watch.passed(f"{self._name}.{method}.after", arguments, result, named)
            return result

        return call


class WatchedLLM:
    """An LLM whose streams pass points, named by the purpose of the prompt."""

    def __init__(self, llm: LLM, watch: CrashPointWatch) -> None:
        self._llm = llm
        self._watch = watch

    def model(self, tier: Tier) -> str:
        return self._llm.model(tier)

    async def ready(self) -> None:
        await self._llm.ready()

    async def count(self, prompt: Prompt) -> int | None:
        return await self._llm.count(prompt)

    async def aclose(self) -> None:
        await self._llm.aclose()

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncIterator[Event]:
        at, deltas = f"llm.{prompt.purpose}", 0
        self._watch.passed(f"{at}.asked")
        stream = cast(AsyncGenerator[Event, None], self._llm.stream(prompt, meter=meter))
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    deltas += 1
                    if deltas in (1, MIDDLE):
                        self._watch.passed(f"{at}.first" if deltas == 1 else f"{at}.middle")
                elif isinstance(event, Ended):
                    self._watch.passed(f"{at}.ended")
                yield event


def overrides(watch: CrashPointWatch) -> Overrides:
    """Return a process's ports with crash points, and a search that costs nothing."""

    class WatchedEngine(Engine):
        async def handle(self, turn: Turn, surface: Surface, **more: Any) -> Outcome:
            return await super().handle(turn, cast(Surface, WatchedPort(surface, "surface", watch)), **more)

        async def show_late(self, reply: LateReply, surface: Surface, **more: Any) -> bool:
            return await super().show_late(reply, cast(Surface, WatchedPort(surface, "late", watch)), **more)

    return Overrides(
        stores=lambda stores: Stores(
            **{one.name: cast(Any, WatchedPort(getattr(stores, one.name), "store", watch)) for one in fields(stores)}
        ),
        llm=lambda llm: WatchedLLM(llm, watch),
        search=lambda search: FixedSearch((rule_passage(RULE),)),
        engine=WatchedEngine,
    )
