"""A turn of this process: waits for a slot and for its thread, and shows its place in the queue."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bot.engine import user_messages
from bot.engine.aio import finish_although_cancelled
from bot.engine.dispatch.concurrency import TurnSlots
from bot.engine.display.edit_pacing import SharedPacing
from bot.engine.display.retraction import retract_or_offer
from bot.engine.display.stream import Display
from bot.engine.ports.stores import Stores
from bot.engine.ports.surface import Surface
from bot.errors import LeaseLost, StoreAway
from bot.types.turns import Outcome, Turn

log = logging.getLogger(__name__)

SurfaceFor = Callable[[Turn], Surface]
"""Builds the surface on which a stored turn is answered. Used after a restart."""

QUIET_SECONDS = 1.5
"""Seconds that a question waits for a slot before its asker sees a status."""
UPDATE_SECONDS = 5.0
"""Seconds between two updates of the place in the queue; longer for later places."""
RECHECK_SECONDS = 5.0
"""Seconds after which a busy thread is checked again, even if no notification arrives."""


@dataclass(slots=True)
class RunningTurn:
    """A turn of this process and its task.

    ``thread_moved`` is set when the thread may be free. ``doubt`` is set when this process may have lost the turn,
    ``lost`` when it has lost it. The turn is ``idle`` until this process tries to lease it. ``after`` is an earlier
    task of the same turn. ``pace`` is the pacing shared by the workspace.
    """

    turn: Turn
    surface: Surface
    thread_moved: asyncio.Event = field(default_factory=asyncio.Event)
    doubt: asyncio.Event = field(default_factory=asyncio.Event)
    after: asyncio.Task[Any] | None = None
    begun: bool = False
    stopped: bool = False
    lost: bool = False
    idle: bool = True
    quiet_seconds: float = QUIET_SECONDS
    accept_ms: float | None = None
    """Milliseconds that this process took to accept the turn; None if another process accepted it."""
    since: float = field(default_factory=time.monotonic)
    """When this process began to wait for the turn's slot and thread, in monotonic seconds."""
    pace: SharedPacing = field(default_factory=SharedPacing)
    _task: asyncio.Task[Outcome] | None = None

    @property
    def task(self) -> asyncio.Task[Outcome]:
        """The task that runs the turn."""
        assert self._task is not None
        return self._task

    @task.setter
    def task(self, task: asyncio.Task[Outcome]) -> None:
        self._task = task

    def waited_ms(self) -> dict[str, float]:
        """Return how long accepting and waiting took until now, in milliseconds, for ``Engine.handle``."""
        accepted = {} if self.accept_ms is None else {"accept": round(self.accept_ms, 2)}
        return {**accepted, "queue": round(1000 * (time.monotonic() - self.since), 2)}

    async def wait_for_slot(self, slots: TurnSlots, stores: Stores, *, shared: bool) -> None:
        """Wait for a slot.

        If it takes long, show the asker a status and, if ``shared``, let other processes take the turn.

        Raises LeaseLost if another process took it meanwhile.
        """
        taking = asyncio.ensure_future(slots.take(self.turn))
        try:
            done, _ = await asyncio.wait({taking}, timeout=self.quiet_seconds)
            if not done:
                await self._show_place(taking, slots, stores, shared=shared)
            await taking
        except BaseException:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            raise
        self._check()
        self.idle = False

    async def wait_for_thread(self, slots: TurnSlots) -> None:
        """Release the slot, wait until the thread may be free, and take a slot again. Raises LeaseLost."""
        self.idle = True
        slots.give(self.turn)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECHECK_SECONDS):
                await self.thread_moved.wait()
        self.thread_moved.clear()
        await slots.take(self.turn)
        self._check()
        self.idle = False

    def _check(self) -> None:
        if self.lost:
            raise LeaseLost("This question was edited or deleted.")

    async def _show_place(
        self, taking: asyncio.Future[None], slots: TurnSlots, stores: Stores, *, shared: bool
    ) -> None:
        display = Display(
            self.surface,
            turn_id=self.turn.id,
            record=partial(stores.queue.record_waiting, self.turn),
            parts=self.turn.parts,
            recorded=self.turn.recorded,
            shared=self.pace,
        )
        try:
            await self._update_place(display, taking, slots, stores, shared=shared)
        except (LeaseLost, asyncio.CancelledError) as error:
            if self.lost or isinstance(error, LeaseLost):
                await finish_although_cancelled(retract_or_offer(stores, self.turn, display))
            raise

    async def _update_place(
        self, display: Display, taking: asyncio.Future[None], slots: TurnSlots, stores: Stores, *, shared: bool
    ) -> None:
        shown = 0
        while not taking.done() and not self.lost:
            place = slots.ahead(self.turn) + 1
            if place != shown and display.may_say():
                shown = place
                try:
                    await self._say(display, user_messages.queued(place), stores, shared=shared)
                except StoreAway as away:
                    log.info("turn %s waits; its place could not be shown: %s", self.turn.id, away)
            await asyncio.wait({taking}, timeout=max(UPDATE_SECONDS, place / 4))

    async def _say(self, display: Display, status: str, stores: Stores, *, shared: bool) -> None:
        """Show the status while this process holds the turn, so that no other process writes to the same message.

        A later question of a thread gets no status before the earlier ones have ended: its status message would appear
        above their answers.
        """
        before = await stores.queue.open_turns(self.turn.thread)
        if before and before[0].id != self.turn.id:
            return
        if not await stores.queue.hold(self.turn):
            raise LeaseLost(user_messages.LOST)
        try:
            await display.say(status)
        finally:
            if shared and not self.surface.limits.here_only:
                await stores.queue.release(self.turn)
