"""Runs turns as tasks of this process: one at a time in a thread, a bounded number in all."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any

from bot.engine.answer.poison import is_suspect
from bot.engine.dispatch.concurrency import TurnSlots, tenant_of
from bot.engine.dispatch.late_replies import LateReplyRunner
from bot.engine.dispatch.log_ids import bound_ids
from bot.engine.dispatch.queue_poller import QueuePoller
from bot.engine.dispatch.running_turn import RunningTurn, SurfaceFor
from bot.engine.display.retraction import Retracting
from bot.engine.engine import Engine
from bot.engine.ports.stores import Stores
from bot.engine.ports.surface import Surface
from bot.errors import LeaseLost, ParleyError, for_operator, unforeseen
from bot.types.conversation import Platform, ThreadKey
from bot.types.turns import Notice, Outcome, Turn

log = logging.getLogger(__name__)

HAND_BACK_SECONDS = 2.0
"""Seconds in which the turns that did not finish at a shutdown are queued again."""
START_SECONDS = 5.0
"""Seconds before polling may start an accepted turn, which the code that accepted it normally starts."""


class TurnRunner:
    """Starts, watches, stops and hands back turns, and removes the replies of deleted questions."""

    def __init__(self, engine: Engine, stores: Stores, max_turns: int) -> None:
        self._engine = engine
        self._stores = stores
        self._running: dict[str, RunningTurn] = {}
        self._background: set[asyncio.Task[object]] = set()
        self._accepted: dict[str, float] = {}
        """The milliseconds that each turn's acceptance took, until its acceptor has started it."""
        self._closing = False
        self._handing_back = False
        self._full = False
        self._slots = TurnSlots(max_turns, changed=self._slot_free)
        self._poller = QueuePoller(self.poll, self._has_work)
        self._retracting = Retracting(stores, self._in_background)
        self._late = LateReplyRunner(engine, stores, self._in_background, self._poll_soon)

    # --- starting

    def expect(self, turn: Turn, accept_ms: float) -> None:
        """Keep polling from starting this turn for a moment: its acceptor will start it with a better surface."""
        self._accepted[turn.id] = accept_ms
        asyncio.get_running_loop().call_later(START_SECONDS, self._accepted.pop, turn.id, None)

    def start(self, turn: Turn, surface: Surface) -> asyncio.Task[Outcome]:
        """Run the turn in the background. See ``Dispatcher.start``."""
        earlier = self._running.get(turn.id)
        if earlier is not None and not earlier.lost:
            return earlier.task
        after = earlier.task if earlier else self._late.lose(turn.id)
        accept_ms = self._accepted.pop(turn.id, None)
        pace = self._engine.pace(turn, surface)
        running = RunningTurn(turn, surface, after=after, pace=pace, accept_ms=accept_ms)
        with bound_ids(turn):
            running.task = asyncio.create_task(self._run(running), name=f"turn {turn.id}")
        self._running[turn.id] = running
        running.task.add_done_callback(lambda done: self._ended(running, done))
        return running.task

    async def serve(self, platform: Platform, surface_for: SurfaceFor) -> int:
        """Start the platform's turns that this process may run, now and whenever one is queued.

        Return how many started now.
        """
        self._poller.serve(platform, surface_for)
        return await self.poll(platform)

    async def poll(self, platform: Platform) -> int:
        """Start turns of the platform that no process runs, as many as there are slots. Return their number."""
        surface_for = self._poller.surfaces.get(platform)
        if self._closing or surface_for is None:
            return 0
        started, free = 0, self._slots.free
        self._full = not free
        if free:
            room = self._slots.tenant_room
            found = await self._stores.queue.ready_turns(
                platform,
                known=[*self._running, *self._accepted],
                room=room,
                most=free,
                suspects=not self._runs_a_suspect,
            )
            started_of = Counter(tenant_of(turn) for turn in found)
            self._full = len(found) >= free or room.is_used_up(started_of)
            for turn in found:
                started += await self._start_claimed(turn, surface_for)
        await self._retracting.poll(platform, surface_for, [*self._running, *self._late.under_way])
        await self._late.poll(platform, surface_for, known=[*self._running], suspects=not self._runs_a_suspect)
        return started

    async def _has_work(self, platform: Platform) -> bool:
        known = [*self._running, *self._accepted, *self._retracting.under_way, *self._late.under_way]
        return await self._stores.queue.has_work(platform, known=known)

    async def _start_claimed(self, turn: Turn, surface_for: SurfaceFor) -> bool:
        if turn.id in self._running or turn.id in self._accepted:
            return False
        if self._closing or (is_suspect(turn.takeovers) and self._runs_a_suspect):
            await self._stores.queue.release(turn)
            return False
        self.start(turn, surface_for(turn))
        return True

    @property
    def _runs_a_suspect(self) -> bool:
        running = any(is_suspect(one.turn.takeovers) for one in self._running.values())
        return running or self._late.shows_a_suspect

    def _slot_free(self) -> None:
        if self._full and not self._closing:
            self._poller.soon()

    def notice(self, notice: Notice) -> None:
        """React to what happened in other processes. Never blocks."""
        running = self._running.get(notice.turn_id)
        match notice.kind:
            case "ready" if running is not None:
                running.thread_moved.set()
            case "ready" if notice.holder == 0:
                self._poller.soon(notice.platform)
            case "stop" if running is not None:
                self._halt(running)
            case "moved" if running is not None:
                running.doubt.set()
            case "moved":
                self._late.lose(notice.turn_id)
            case "dead":
                self._poller.soon()
            case "connected":
                for one in self._running.values():
                    one.thread_moved.set()
                    one.doubt.set()
                self._poller.soon()

    # --- running

    async def _run(self, running: RunningTurn) -> Outcome:
        """Run a turn to its end. If it is stopped before it is leased, it is still leased and then ended as stopped."""
        turn, running.begun = running.turn, True
        if running.after is not None:
            await asyncio.wait({running.after})
        while True:
            try:
                shared = turn.thread.platform in self._poller.surfaces
                await running.wait_for_slot(self._slots, self._stores, shared=shared)
                return await self._engine.handle(
                    turn,
                    running.surface,
                    stopped=lambda: running.stopped and not self._handing_back,
                    turned_away=lambda: running.wait_for_thread(self._slots),
                    doubt=running.doubt,
                    waited_ms=running.waited_ms,
                )
            except asyncio.CancelledError:
                current = asyncio.current_task()
                if not running.stopped or self._closing or current is None:
                    raise
                current.uncancel()
            finally:
                self._slots.give(turn)

    def _ended(self, running: RunningTurn, task: asyncio.Task[Outcome]) -> None:
        with bound_ids(running.turn):
            self._follow_up(running, task)

    def _follow_up(self, running: RunningTurn, task: asyncio.Task[Outcome]) -> None:
        turn = running.turn
        if self._running.get(turn.id) is running:
            del self._running[turn.id]
        for other in self._running.values():
            if other.turn.thread == turn.thread:
                other.thread_moved.set()
        if is_suspect(turn.takeovers) and not self._closing:
            self._poller.soon()
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, LeaseLost):
            log.info("turn %s is answered by another process", turn.id)
            self._poller.soon(turn.thread.platform)
        elif error is not None:
            log.error("turn %s was interrupted: %s", turn.id, for_operator(error), exc_info=unforeseen(error))
        elif task.result().state == "done" and not self._closing:
            self._in_background(self._engine.reflect(turn), f"reflect on turn {turn.id}")

    def _poll_soon(self, platform: str) -> None:
        if not self._closing:
            self._poller.soon(platform)

    def _in_background(self, work: Coroutine[Any, Any, object], name: str) -> asyncio.Task[object]:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._background_ended)
        return task

    def _background_ended(self, task: asyncio.Task[object]) -> None:
        """Log a failure of a background task, whose result nothing awaits."""
        self._background.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ParleyError):
            log.warning("%s: %s", task.get_name(), for_operator(error))
        elif error is not None:
            log.error("%s failed", task.get_name(), exc_info=error)

    # --- stopping

    def running(self, turn_id: str) -> Turn | None:
        """Return the turn if it waits or runs in this process."""
        found = self._running.get(turn_id)
        return found.turn if found else None

    def running_in(self, thread: ThreadKey) -> set[str]:
        """Return the ids of the thread's turns that wait or run in this process."""
        return {one.turn.id for one in self._running.values() if one.turn.thread == thread}

    def stop(self, turn_id: str) -> bool:
        """Stop a turn of this process. Return False if it does not run here."""
        running = self._running.get(turn_id)
        if running is not None:
            self._halt(running)
        return running is not None

    def _halt(self, running: RunningTurn) -> None:
        running.stopped = True
        if running.begun:
            running.task.cancel()

    def lose(self, turn_id: str) -> asyncio.Task[Any] | None:
        """Stop running a turn whose question was edited or deleted. Return the task that is ending, if there is one."""
        running = self._running.get(turn_id)
        if running is None:
            return self._late.lose(turn_id)
        running.lost = True
        running.doubt.set()
        if running.idle:
            running.task.cancel()
        return running.task

    def retract(self, turn: Turn, surface: Surface) -> None:
        """Remove the messages of a deleted turn in the background, once this process no longer runs it."""
        self._retracting.begin(turn, surface, after=self.lose(turn.id))

    # --- ending

    async def settled(self) -> None:
        """Wait until nothing runs, including the work that follows an answer."""
        while self._running or self._background:
            await asyncio.wait([*(one.task for one in self._running.values()), *self._background])
            await asyncio.sleep(0)

    async def close(self, grace: float) -> None:
        """Start no more turns. Running ones may finish for ``grace`` seconds; the rest are queued again.

        A turn that cannot be queued again in time, since the database is away, is left for when this process has ended.
        """
        self._closing = True
        await self._poller.close()
        self._late.close()
        waiting = [one for one in self._running.values() if one.idle]
        for one in waiting:
            one.task.cancel()
        releasing = asyncio.ensure_future(self._release_all(waiting))
        tasks: list[asyncio.Task[Any]] = [one.task for one in self._running.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        self._handing_back = True
        unfinished = [task for task in (releasing, *tasks, *self._background) if not task.done()]
        for task in unfinished:
            if task is not releasing:
                task.cancel()
        if unfinished:
            _, left = await asyncio.wait(unfinished, timeout=HAND_BACK_SECONDS)
            if left:
                log.warning("%d tasks did not end in time; other processes continue their answers", len(left))

    async def _release_all(self, waiting: Sequence[RunningTurn]) -> None:
        """Let other processes run the turns that were waiting in this process."""
        for one in waiting:
            await self._release(one)

    async def _release(self, running: RunningTurn) -> None:
        await asyncio.gather(running.task, return_exceptions=True)
        if not running.surface.limits.here_only:
            try:
                await self._stores.queue.release(running.turn)
            except ParleyError as error:
                log.warning(
                    "turn %s stays with this process until the process counts as dead: %s", running.turn.id, error
                )
