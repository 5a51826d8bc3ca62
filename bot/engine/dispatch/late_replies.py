"""Shows late replies in the background. A late reply is stored, but was not shown when its turn ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from typing import Any

from bot.engine.answer.poison import is_suspect
from bot.engine.dispatch.log_ids import bound_ids
from bot.engine.dispatch.running_turn import SurfaceFor
from bot.engine.engine import Engine
from bot.engine.ports.stores import Stores
from bot.engine.ports.surface import Surface
from bot.types.conversation import Platform
from bot.types.turns import LateReply

log = logging.getLogger(__name__)

MOST = 8
"""Late replies that this process tries to show at once."""
RETRY_SECONDS = 5.0
"""Seconds until the next look after one that failed."""


@dataclass(slots=True)
class _UnderWay:
    suspect: bool
    doubt: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[object] | None = None


class LateReplyRunner:
    """Claims due late replies and shows them. ``soon`` schedules the next poll of a platform."""

    def __init__(
        self,
        engine: Engine,
        stores: Stores,
        in_background: Callable[[Coroutine[Any, Any, object], str], asyncio.Task[object]],
        soon: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._stores = stores
        self._in_background = in_background
        self._soon = soon
        self._under_way: dict[str, _UnderWay] = {}
        self._timers: dict[Platform, asyncio.TimerHandle] = {}

    async def poll(
        self, platform: Platform, surface_for: SurfaceFor, *, known: Collection[str], suspects: bool
    ) -> None:
        """Start to show the replies that are due, and schedule a poll for the next.

        Skip ``known`` turns, which run in this process. Without ``suspects``, skip replies that may crash it.
        """
        room, next_in = MOST - len(self._under_way), RETRY_SECONDS
        if room <= 0:
            return  # The end of each one polls again.
        self._cancel_timer(platform)
        try:
            found = await self._stores.late_replies.claim(
                platform, known=[*known, *self._under_way], most=room, suspects=suspects
            )
            next_in = found.next_in if found.next_in is not None else -1.0
            for reply in found.due:
                try:
                    self._start(reply, surface_for(reply.turn))
                except Exception:
                    log.exception("the late reply of turn %s has no place at the moment", reply.turn.id)
        finally:
            if next_in >= 0:
                self._cancel_timer(platform)
                loop = asyncio.get_running_loop()
                self._timers[platform] = loop.call_later(next_in, self._soon, platform)

    def lose(self, turn_id: str) -> asyncio.Task[object] | None:
        """Check at once whether the question was edited or deleted. Return the task that is ending, if there is one."""
        found = self._under_way.get(turn_id)
        if found is None:
            return None
        found.doubt.set()
        return found.task

    @property
    def under_way(self) -> list[str]:
        """The ids of the turns whose reply this process is showing now."""
        return [*self._under_way]

    @property
    def shows_a_suspect(self) -> bool:
        """Whether a reply that this process is showing may crash it."""
        return any(one.suspect for one in self._under_way.values())

    def close(self) -> None:
        """Schedule no more polls."""
        for platform in [*self._timers]:
            self._cancel_timer(platform)

    def _cancel_timer(self, platform: Platform) -> None:
        timer = self._timers.pop(platform, None)
        if timer is not None:
            timer.cancel()

    def _start(self, reply: LateReply, surface: Surface) -> None:
        under_way = self._under_way[reply.turn.id] = _UnderWay(is_suspect(reply.lease.takeovers))
        showing = self._show(reply, surface, under_way.doubt)
        with bound_ids(reply.turn):
            under_way.task = self._in_background(showing, f"late reply of turn {reply.turn.id}")
        under_way.task.add_done_callback(lambda _: self._ended(reply))

    async def _show(self, reply: LateReply, surface: Surface, doubt: asyncio.Event) -> None:
        await self._engine.show_late(reply, surface, doubt=doubt)

    def _ended(self, reply: LateReply) -> None:
        self._under_way.pop(reply.turn.id, None)
        self._soon(reply.turn.thread.platform)
