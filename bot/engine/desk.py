"""The desk: takes messages in, runs their turns, and knows which are running in this process.

Platforms talk to the engine through it alone: ``accept`` before they acknowledge, ``start`` after.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from bot.engine import words
from bot.engine.ports import Clock, Store, Surface
from bot.engine.turn import Engine
from bot.errors import LeaseLost, NotAllowed, ParleyError, UsageError
from bot.types import Author, Incoming, Outcome, Platform, ThreadKey, Tier, Turn

log = logging.getLogger(__name__)

LEASE_POLL = 0.5
"""Seconds between two tries for a thread in which another process may be answering."""

SurfaceFor = Callable[[Turn], Surface]
"""Builds the place where a stored turn's reply goes; used after a restart."""


class Desk:
    """Runs turns as tasks, one at a time in a thread."""

    def __init__(
        self,
        *,
        engine: Engine,
        store: Store,
        max_question_chars: int,
        clock: Clock = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._store = store
        self._max_chars = max_question_chars
        self._clock = clock
        self._running: dict[str, tuple[Turn, asyncio.Task[Outcome]]] = {}
        self._begun: set[str] = set()
        self._stopped: set[str] = set()
        self._after: set[asyncio.Task[None]] = set()
        self._closing = False

    async def accept(self, incoming: Incoming) -> Turn | None:
        """Store the message and its turn; None when it was accepted before. Raises UsageError (empty, too long)."""
        if not incoming.text.strip():
            raise UsageError(words.EMPTY_QUESTION)
        if len(incoming.text) > self._max_chars:
            raise UsageError(words.too_long(self._max_chars))
        return await self._store.accept(incoming)

    def start(self, turn: Turn, surface: Surface) -> asyncio.Task[Outcome]:
        """Run the turn in the background. The task's outcome says how it ended; it raises only for a lost lease,
        a shutdown, or a database that is gone."""
        if turn.id in self._running:
            return self._running[turn.id][1]
        task = asyncio.create_task(self._run(turn, surface), name=f"turn {turn.id}")
        self._running[turn.id] = (turn, task)
        task.add_done_callback(lambda done: self._ended(turn, done))
        return task

    async def stop(self, turn_id: str, by: Author) -> None:
        """Stop a running turn. Raises NotAllowed unless ``by`` asked it or is an admin; UsageError if it has ended."""
        if turn_id not in self._running:
            raise UsageError(words.TOO_LATE_TO_STOP)
        turn, task = self._running[turn_id]
        if by.id != turn.author.id and not by.is_admin:
            raise NotAllowed(words.NOT_YOURS_TO_STOP)
        self._stopped.add(turn_id)
        if turn_id in self._begun:
            task.cancel()

    async def stop_thread(self, thread: ThreadKey, by: Author) -> int:
        """Stop what runs in the thread; the number of turns stopped. Raises like ``stop``."""
        found = [turn.id for turn, _ in self._running.values() if turn.thread == thread]
        if not found:
            raise UsageError(words.TOO_LATE_TO_STOP)
        for turn_id in found:
            await self.stop(turn_id, by)
        return len(found)

    async def repeat(self, turn_id: str, by: Author, *, tenant_id: str, wish: Tier | None) -> Turn:
        """Accept the question of an earlier turn once more, past the answer cache. Raises UsageError."""
        earlier = await self._known(tenant_id, turn_id)
        accepted = await self.accept(
            Incoming(
                thread=earlier.thread,
                message_id=f"{earlier.message_id}:{uuid.uuid4().hex}",
                author=by,
                text=earlier.question,
                kind="ask",
                sent_at=self._clock(),
                wish=wish,
                fresh=True,
            )
        )
        assert accepted is not None
        return accepted

    async def rate(self, turn_id: str, by: Author, *, tenant_id: str, value: int, reason: str = "") -> None:
        """Keep a thumb: ``value`` is 1 or -1; a later thumb of the same person replaces it."""
        await self._store.rate(await self._known(tenant_id, turn_id), by, value, reason)

    async def follows(self, thread: ThreadKey) -> bool:
        """Whether the bot answers in this thread without being mentioned: it is in it, and the channel allows it."""
        return await self._store.knows(thread) and (await self._store.settings(thread)).follow_ups

    async def resume(self, platform: Platform, surface_for: SurfaceFor) -> int:
        """Start the platform's turns that no live process holds, at start and now and then; the number started."""
        if self._closing:
            return 0
        waiting = [turn for turn in await self._store.unfinished(platform) if turn.id not in self._running]
        for turn in waiting:
            self.start(turn, surface_for(turn))
        return len(waiting)

    async def settled(self) -> None:
        """Wait until nothing runs, what follows an answer included."""
        while self._running or self._after:
            await asyncio.wait([*(task for _, task in self._running.values()), *self._after])
            await asyncio.sleep(0)

    async def close(self, grace: float = 10.0) -> None:
        """Take no more, let running turns finish for ``grace`` seconds, then cancel what is left and hand it back."""
        self._closing = True
        tasks: list[asyncio.Task[Any]] = [task for _, task in self._running.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for task in (*tasks, *self._after):
            task.cancel()
        await asyncio.gather(*tasks, *self._after, return_exceptions=True)

    async def _run(self, turn: Turn, surface: Surface) -> Outcome:
        """A stop that comes before the turn holds its lease lets it go on, to be ended as stopped."""
        self._begun.add(turn.id)
        while True:
            try:
                return await self._engine.handle(
                    turn,
                    surface,
                    stopped=lambda: turn.id in self._stopped,
                    turned_away=lambda: self._thread_moves_on(turn),
                )
            except asyncio.CancelledError:
                current = asyncio.current_task()
                if turn.id not in self._stopped or self._closing or current is None:
                    raise
                current.uncancel()

    async def _thread_moves_on(self, turn: Turn) -> None:
        """Wait until another turn of the thread ends here, or long enough for one to have ended elsewhere."""
        others = [task for other, task in self._running.values() if other.thread == turn.thread and other.id != turn.id]
        if others:
            await asyncio.wait(others, timeout=LEASE_POLL, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(LEASE_POLL)

    def _ended(self, turn: Turn, task: asyncio.Task[Outcome]) -> None:
        self._running.pop(turn.id, None)
        self._begun.discard(turn.id)
        self._stopped.discard(turn.id)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, LeaseLost):
            log.info("turn %s is answered elsewhere", turn.id)
        elif error is not None:
            log.error("turn %s was interrupted: %s", turn.id, error, exc_info=error)
        elif task.result().state == "done" and not self._closing:
            self._in_background(self._engine.reflect(turn), f"reflect on turn {turn.id}")

    def _in_background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(_logged(work, name), name=name)
        self._after.add(task)
        task.add_done_callback(self._after.discard)

    async def _known(self, tenant_id: str, turn_id: str) -> Turn:
        turn = await self._store.turn(tenant_id, turn_id)
        if turn is None:
            raise UsageError(words.UNKNOWN_TURN)
        return turn


async def _logged(work: Awaitable[None], name: str) -> None:
    try:
        await work
    except ParleyError as error:
        log.warning("%s: %s", name, error)
    except Exception:
        log.exception("%s failed", name)
