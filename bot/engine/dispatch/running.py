"""Turns that wait: for a place in this process, or for the turn before them in their thread; and who else waits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from bot.engine import user_messages
from bot.engine.answer.lease import whole
from bot.engine.dispatch.concurrency import TurnSlots
from bot.engine.display.edit_pacing import SharedPacing
from bot.engine.display.retraction import make_way
from bot.engine.display.stream import Display
from bot.engine.ports.store import Store
from bot.engine.ports.surface import Surface
from bot.errors import LeaseLost, ParleyError, StoreAway, for_operator
from bot.types.conversation import Platform
from bot.types.turns import Outcome, Turn

log = logging.getLogger(__name__)

SurfaceFor = Callable[[Turn], Surface]
"""Builds the place where a stored turn's reply goes; used after a restart."""

PATIENCE = 1.5
"""Seconds that a question waits for a place before its asker is told."""
TOLD_EVERY = 5.0
"""Seconds between two corrections of what the asker was told; more for those far behind."""
LOOK_PAUSE, REST = 0.05, 4.0
"""Seconds between two looks for turns that no process runs, and that many times as long as the last look took: looking
takes a fifth of the time at most, however long the queue is."""
NET = 5.0
"""Seconds after which a busy thread is looked at though nobody said that it moved on."""


@dataclass(slots=True)
class RunningTurn:
    """A turn of this process and the task that sees to it.

    ``moves_on`` is set when its thread may be free, ``doubt`` when the turn may have been taken from this process,
    ``lost`` when it has been. ``idle`` until it is tried to lease. ``after`` is an earlier task of the same turn.
    ``pace`` is that of all edits of the workspace.
    """

    turn: Turn
    surface: Surface
    moves_on: asyncio.Event = field(default_factory=asyncio.Event)
    doubt: asyncio.Event = field(default_factory=asyncio.Event)
    after: asyncio.Task[Outcome] | None = None
    begun: bool = False
    stopped: bool = False
    lost: bool = False
    idle: bool = True
    patience: float = PATIENCE
    pace: SharedPacing = field(default_factory=SharedPacing)
    _task: asyncio.Task[Outcome] | None = None

    @property
    def task(self) -> asyncio.Task[Outcome]:
        """The task that was started for it."""
        assert self._task is not None
        return self._task

    @task.setter
    def task(self, task: asyncio.Task[Outcome]) -> None:
        self._task = task

    async def admitted(self, places: TurnSlots, store: Store, *, shared: bool) -> None:
        """Wait for a place; tell the asker where that takes long, and let other processes have it if ``shared``.

        Raises LeaseLost where another process took the turn meanwhile.
        """
        taking = asyncio.ensure_future(places.take(self.turn))
        try:
            done, _ = await asyncio.wait({taking}, timeout=self.patience)
            if not done:
                await self._tell(taking, places, store, shared=shared)
            await taking
        except BaseException:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            raise
        self._check()
        self.idle = False

    async def turned_away(self, places: TurnSlots) -> None:
        """Wait without a place until the thread may have moved on. Raises LeaseLost."""
        self.idle = True
        places.give(self.turn)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NET):
                await self.moves_on.wait()
        self.moves_on.clear()
        await places.take(self.turn)
        self._check()
        self.idle = False

    def _check(self) -> None:
        if self.lost:
            raise LeaseLost("This question was changed or deleted.")

    async def _tell(self, taking: asyncio.Future[None], places: TurnSlots, store: Store, *, shared: bool) -> None:
        display = Display(
            self.surface,
            turn_id=self.turn.id,
            record=partial(store.record_waiting, self.turn),
            parts=self.turn.parts,
            recorded=self.turn.recorded,
            shared=self.pace,
        )
        try:
            await self._keep_told(display, taking, places, store, shared=shared)
        except (LeaseLost, asyncio.CancelledError) as error:
            if self.lost or isinstance(error, LeaseLost):
                await whole(make_way(store, self.turn, display))
            raise

    async def _keep_told(
        self, display: Display, taking: asyncio.Future[None], places: TurnSlots, store: Store, *, shared: bool
    ) -> None:
        told = 0
        while not taking.done() and not self.lost:
            place = places.ahead(self.turn) + 1
            if place != told and display.may_say():
                told = place
                try:
                    await self._correct(display, user_messages.queued(place), store, shared=shared)
                except StoreAway as away:
                    log.info("turn %s waits, which could not be told: %s", self.turn.id, away)
            await asyncio.wait({taking}, timeout=max(TOLD_EVERY, place / 4))

    async def _correct(self, display: Display, status: str, store: Store, *, shared: bool) -> None:
        """Held meanwhile, so that no process begins to answer in the message that is being written.

        A later question of a thread is told nothing before the earlier ones have ended: its message would stand above
        their answers.
        """
        before = await store.open_turns(self.turn.thread)
        if before and before[0].id != self.turn.id:
            return
        if not await store.hold(self.turn):
            raise LeaseLost("Another process answers this question now.")
        try:
            await display.say(status)
        finally:
            if shared and not self.surface.limits.here_only:
                await store.release(self.turn)


class QueuePoller:
    """Looks for turns that no process runs: for a platform at once, and once more where it is asked for meanwhile."""

    def __init__(
        self,
        look: Callable[[Platform], Awaitable[int]],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._sleep = sleep
        self._monotonic = monotonic
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self.surfaces: dict[str, SurfaceFor] = {}

    def serve(self, platform: Platform, surface_for: SurfaceFor) -> None:
        """From now on turns of the platform can be shown here."""
        self.surfaces[platform] = surface_for

    def soon(self, platform: str = "") -> None:
        """Look for turns of the platform, or of all that are served."""
        for served in [platform] if platform else list(self.surfaces):
            if served not in self.surfaces:
                continue
            if served in self._tasks:
                self._again.add(served)
                continue
            task = asyncio.create_task(self._run(served), name=f"turns of {served}")
            self._tasks[served] = task

    async def close(self) -> None:
        """Look no more."""
        self.surfaces.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, platform: str) -> None:
        try:
            while True:
                self._again.discard(platform)
                began = self._monotonic()
                try:
                    await self._look(platform)  # type: ignore[arg-type]
                except ParleyError as error:
                    log.warning("turns of %s could not be looked for: %s", platform, for_operator(error))
                except Exception:
                    log.exception("looking for turns of %s failed", platform)
                await self._sleep(max(LOOK_PAUSE, REST * (self._monotonic() - began)))
                if platform not in self._again:
                    return
        finally:
            self._tasks.pop(platform, None)
