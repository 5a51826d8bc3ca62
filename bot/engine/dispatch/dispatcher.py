"""The desk: takes messages in, runs their turns, and knows which are running in this process.

Platforms talk to the engine through it alone: ``accept`` before they acknowledge, ``start`` after. Other processes are
heard through ``notice``.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bot.engine import user_messages
from bot.engine.answer.poison import is_suspect
from bot.engine.dispatch.auto_answer import AutoAnswer
from bot.engine.dispatch.concurrency import TurnSlots
from bot.engine.dispatch.permissions import may_act
from bot.engine.dispatch.running import QueuePoller, RunningTurn, SurfaceFor
from bot.engine.display.retraction import Retractions
from bot.engine.engine import Engine
from bot.engine.ports.clock import Clock
from bot.engine.ports.store import Store
from bot.engine.ports.surface import Surface
from bot.errors import LeaseLost, NotAllowed, ParleyError, StoreAway, UsageError, for_operator, unforeseen
from bot.types.conversation import Author, Incoming, Platform, ThreadKey
from bot.types.turns import Notice, Outcome, Turn
from bot.types.usage import Tier
from knowledge.errors import KnowledgeError

__all__ = ["Dispatcher", "SurfaceFor"]

log = logging.getLogger(__name__)

ACCEPT_SECONDS = 2.4
"""Slack waits 3 s for the acknowledgement that follows an acceptance."""
TOO_SLOW = f"The database took longer than {ACCEPT_SECONDS} s to store a message; see to its load."
MAX_TURNS = 64
TO_START = 5.0
"""Seconds that a turn that was taken in here is left to whoever took it in."""


class Dispatcher:
    """Runs turns as tasks: one at a time in a thread, a bounded number in all."""

    def __init__(
        self,
        *,
        engine: Engine,
        store: Store,
        max_question_chars: int,
        clock: Clock = lambda: datetime.now(UTC),
        max_turns: int = MAX_TURNS,
    ) -> None:
        self._engine = engine
        self._store = store
        self._max_chars = max_question_chars
        self._clock = clock
        self._running: dict[str, RunningTurn] = {}
        self._after: set[asyncio.Task[object]] = set()
        self._fresh: set[str] = set()
        self._closing = False
        self._full = False
        self._places = TurnSlots(max_turns, changed=self._place_free)
        self._rounds = QueuePoller(self._round)
        self._removals = Retractions(store, self._in_background)
        self._auto_answer = AutoAnswer(store, engine.is_confident)

    # --- taking in

    async def accept(self, incoming: Incoming) -> Turn | None:
        """Store the message and its turn; None when it was accepted before. Files without a word ask what is in them.

        Raises UsageError (empty, too long), and StoreAway where the database does not answer in time.
        """
        incoming = self._checked(incoming)
        try:
            async with asyncio.timeout(ACCEPT_SECONDS):
                turn = await self._store.accept(incoming)
        except TimeoutError:
            raise StoreAway(TOO_SLOW) from None
        if turn is not None:
            self._to_start(turn)
        return turn

    async def overheard(self, incoming: Incoming) -> Turn | None:
        """A message that mentions nobody: its turn, to be started, where the channel wants such answered and the
        documents surely hold the answer; else None, and nothing is kept.

        Not for before an acknowledgement: it searches. A failure is silence, told in the log.
        """
        try:
            return await self.accept(incoming) if await self._auto_answer.wants(incoming) else None
        except (ParleyError, KnowledgeError) as error:
            log.warning("a message that mentions nobody was let pass: %s", error)
            return None

    async def first(self, thread: ThreadKey, message_id: str) -> bool:
        """Note a message that is a command; False where any process has noted it before. Raises StoreAway."""
        try:
            async with asyncio.timeout(ACCEPT_SECONDS):
                return await self._store.first(thread, message_id)
        except TimeoutError:
            raise StoreAway(TOO_SLOW) from None

    async def edited(self, incoming: Incoming) -> Turn | None:
        """A message was changed: its turn, to be started, where that asks something else now; else None.

        The turn answers in the messages of its first answer. A message that was no question is accepted as one.
        Raises like ``accept``.
        """
        known = await self._store.turns_of(incoming.thread, incoming.message_id)
        if not known:
            return await self.accept(incoming)
        incoming = self._checked(incoming)
        turn = await self._store.begin_anew(known[0], incoming.text)
        if turn is not None:
            self._lose(turn.id)
            self._to_start(turn)
        return turn

    async def change(self, turn_id: str, by: Author, text: str, *, tenant_id: str) -> Turn | None:
        """Ask something else in the place of an earlier turn; None where it asks just that already.

        Raises UsageError, NotAllowed unless its asker.
        """
        turn = await self._known(tenant_id, turn_id)
        if by.id != turn.author.id:
            raise NotAllowed(user_messages.NOT_YOURS_TO_CHANGE)
        if not turn.question:
            raise UsageError(user_messages.UNKNOWN_TURN)
        asked = turn.message_id.partition(":")[0]
        return await self.edited(Incoming(turn.thread, asked, by, text.strip(), "ask", self._clock()))

    async def deleted(self, thread: ThreadKey, message_id: str, surface_for: SurfaceFor) -> Sequence[Turn]:
        """A message was deleted: stop and forget what it asked; the turns forgotten. Raises StoreAway.

        Their ledger rows stay. Their answers are taken away in the background, by another process where this one dies.
        A message that comes only afterwards, as after a redelivery, is not accepted any more.
        """
        known = await self._store.turns_of(thread, message_id)
        if not known and not await self._store.first(thread, message_id):
            known = await self._store.turns_of(thread, message_id)
        for turn in known:
            await self._store.forget(turn)
            self._removals.begin(turn, surface_for(turn), after=self._lose(turn.id))
        return known

    async def forget(self, turn_id: str, by: Author, *, tenant_id: str, surface_for: SurfaceFor) -> Sequence[Turn]:
        """Forget a turn, and those that asked it again; which they are. Raises UsageError, NotAllowed unless its asker
        or an admin."""
        turn = await self._known(tenant_id, turn_id)
        if not await may_act(self._store, turn, by):
            raise NotAllowed(user_messages.NOT_YOURS_TO_FORGET)
        asked = turn.message_id if turn.message_id.startswith("ask:") else turn.message_id.partition(":")[0]
        return await self.deleted(turn.thread, asked, surface_for)

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

    def _to_start(self, turn: Turn) -> None:
        """Whoever took the turn in has a moment to start it in its own place."""
        self._fresh.add(turn.id)
        asyncio.get_running_loop().call_later(TO_START, self._fresh.discard, turn.id)

    def _checked(self, incoming: Incoming) -> Incoming:
        files = [file.name for file in incoming.attachments if file.ref]
        if not incoming.text.strip() and files:
            incoming = replace(incoming, text=user_messages.what_is_in(files))
        if not incoming.text.strip():
            raise UsageError(user_messages.EMPTY_QUESTION)
        if len(incoming.text) > self._max_chars:
            raise UsageError(user_messages.too_long(self._max_chars))
        return incoming

    # --- running

    def start(self, turn: Turn, surface: Surface) -> asyncio.Task[Outcome]:
        """Run the turn in the background. The task's outcome says how it ended; it raises only for a lost lease,
        a shutdown, or a database that is gone."""
        earlier = self._running.get(turn.id)
        if earlier is not None and not earlier.lost:
            return earlier.task
        self._fresh.discard(turn.id)
        pace = self._engine.pace(turn, surface)
        waiting = RunningTurn(turn, surface, after=earlier.task if earlier else None, pace=pace)
        waiting.task = asyncio.create_task(self._run(waiting), name=f"turn {turn.id}")
        self._running[turn.id] = waiting
        waiting.task.add_done_callback(lambda done: self._ended(waiting, done))
        return waiting.task

    async def resume(self, platform: Platform, surface_for: SurfaceFor) -> int:
        """Start the platform's turns that this process may run, now and whenever one comes; the number started now."""
        self._rounds.serve(platform, surface_for)
        return await self._round(platform)

    async def serves(self, platform: Platform) -> None:
        """Tell the others that this process hears the platform and has heard what was said before. Raises StoreAway."""
        await self._store.serves(platform)

    async def last_served(self, platform: Platform) -> datetime | None:
        """When another process last served the platform; None where none did within a day."""
        return await self._store.last_served(platform)

    async def direct_channels(self, platform: Platform) -> Sequence[str]:
        """Direct messages in which the bot was asked lately, the latest first."""
        return await self._store.direct_channels(platform)

    def notice(self, notice: Notice) -> None:
        """Hear of what happened in other processes. Never blocks."""
        waiting = self._running.get(notice.turn_id)
        match notice.kind:
            case "ready" if waiting is not None:
                waiting.moves_on.set()
            case "ready" if notice.holder == 0:
                self._rounds.soon(notice.platform)
            case "stop" if waiting is not None:
                self._halt(waiting)
            case "moved" if waiting is not None:
                waiting.doubt.set()
            case "dead":
                self._rounds.soon()
            case "connected":
                for one in self._running.values():
                    one.moves_on.set()
                    one.doubt.set()
                self._rounds.soon()

    async def follows(self, thread: ThreadKey) -> bool:
        """Whether the bot answers in this thread without being mentioned: it is in it, and the channel allows it."""
        return await self._store.knows(thread) and (await self._store.settings(thread)).follow_ups

    async def rate(self, turn_id: str, by: Author, *, tenant_id: str, value: int, reason: str = "") -> None:
        """Keep a thumb: ``value`` is 1 or -1; a later thumb of the same person replaces it."""
        await self._store.rate(await self._known(tenant_id, turn_id), by, value, reason)

    # --- stopping

    async def stop(self, turn_id: str, by: Author, *, tenant_id: str = "") -> None:
        """Stop a turn, wherever it runs where ``tenant_id`` is given.

        Raises NotAllowed unless ``by`` asked it or is an admin; UsageError if it has ended.
        """
        waiting = self._running.get(turn_id)
        turn = waiting.turn if waiting else await self._store.turn(tenant_id, turn_id) if tenant_id else None
        if turn is None:
            raise UsageError(user_messages.TOO_LATE_TO_STOP)
        if not await may_act(self._store, turn, by):
            raise NotAllowed(user_messages.NOT_YOURS_TO_STOP)
        if waiting is not None:
            self._halt(waiting)
        elif not await self._store.ask_to_stop(turn):
            raise UsageError(user_messages.TOO_LATE_TO_STOP)

    async def stop_thread(self, thread: ThreadKey, by: Author) -> int:
        """Stop what waits or runs in the thread; the number of turns stopped. Raises like ``stop``."""
        found = {one.turn.id for one in self._running.values() if one.turn.thread == thread}
        found |= {turn.id for turn in await self._store.open_turns(thread)}
        if not found:
            raise UsageError(user_messages.TOO_LATE_TO_STOP)
        for turn_id in found:
            await self.stop(turn_id, by, tenant_id=thread.tenant_id)
        return len(found)

    def _halt(self, waiting: RunningTurn) -> None:
        waiting.stopped = True
        if waiting.begun:
            waiting.task.cancel()

    def _lose(self, turn_id: str) -> asyncio.Task[Outcome] | None:
        """Let go of a turn that was taken from this process; the task that does, if there is one."""
        waiting = self._running.get(turn_id)
        if waiting is None:
            return None
        waiting.lost = True
        waiting.doubt.set()
        if waiting.idle:
            waiting.task.cancel()
        return waiting.task

    # --- ending

    async def settled(self) -> None:
        """Wait until nothing runs, what follows an answer included."""
        while self._running or self._after:
            await asyncio.wait([*(one.task for one in self._running.values()), *self._after])
            await asyncio.sleep(0)

    async def close(self, grace: float = 10.0) -> None:
        """Take no more, let running turns finish for ``grace`` seconds, then cancel what is left and hand it back."""
        self._closing = True
        await self._rounds.close()
        waits = [one for one in self._running.values() if one.idle]
        for one in waits:
            one.task.cancel()
        for one in waits:
            await self._let_go(one)
        tasks: list[asyncio.Task[Any]] = [one.task for one in self._running.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for task in (*tasks, *self._after):
            task.cancel()
        await asyncio.gather(*tasks, *self._after, return_exceptions=True)

    # --- inside

    async def _run(self, waiting: RunningTurn) -> Outcome:
        """A stop that comes before the turn holds its lease lets it go on, to be ended as stopped."""
        turn, waiting.begun = waiting.turn, True
        if waiting.after is not None:
            await asyncio.wait({waiting.after})
        while True:
            try:
                shared = turn.thread.platform in self._rounds.surfaces
                await waiting.admitted(self._places, self._store, shared=shared)
                return await self._engine.handle(
                    turn,
                    waiting.surface,
                    stopped=lambda: waiting.stopped,
                    turned_away=lambda: waiting.turned_away(self._places),
                    doubt=waiting.doubt,
                )
            except asyncio.CancelledError:
                current = asyncio.current_task()
                if not waiting.stopped or self._closing or current is None:
                    raise
                current.uncancel()
            finally:
                self._places.give(turn)

    async def _let_go(self, waiting: RunningTurn) -> None:
        """A turn that waited here may wait elsewhere."""
        await asyncio.gather(waiting.task, return_exceptions=True)
        if not waiting.surface.limits.here_only:
            try:
                await self._store.release(waiting.turn)
            except ParleyError as error:
                log.warning("turn %s stays until this process is seen to be gone: %s", waiting.turn.id, error)

    async def _round(self, platform: Platform) -> int:
        """Start turns of the platform that nobody runs, as many as there are places; the number started."""
        surface_for = self._rounds.surfaces.get(platform)
        if self._closing or surface_for is None:
            return 0
        started, free = 0, self._places.free
        self._full = not free
        if free:
            found = await self._store.unfinished(
                platform, known=[*self._running, *self._fresh], most=free, suspects=not self._runs_a_suspect
            )
            self._full = len(found) >= free
            for turn in found:
                started += await self._take_up(turn, surface_for)
        await self._removals.look(platform, surface_for, self._running.keys())
        return started

    async def _take_up(self, turn: Turn, surface_for: SurfaceFor) -> bool:
        if turn.id in self._running or turn.id in self._fresh:
            return False
        if self._closing or (is_suspect(turn.takeovers) and self._runs_a_suspect):
            await self._store.release(turn)
            return False
        self.start(turn, surface_for(turn))
        return True

    @property
    def _runs_a_suspect(self) -> bool:
        return any(is_suspect(one.turn.takeovers) for one in self._running.values())

    def _place_free(self) -> None:
        if self._full and not self._closing:
            self._rounds.soon()

    def _ended(self, waiting: RunningTurn, task: asyncio.Task[Outcome]) -> None:
        turn = waiting.turn
        if self._running.get(turn.id) is waiting:
            del self._running[turn.id]
        for other in self._running.values():
            if other.turn.thread == turn.thread:
                other.moves_on.set()
        if is_suspect(turn.takeovers) and not self._closing:
            self._rounds.soon()
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, LeaseLost):
            log.info("turn %s is answered elsewhere", turn.id)
            self._rounds.soon(turn.thread.platform)
        elif error is not None:
            log.error("turn %s was interrupted: %s", turn.id, for_operator(error), exc_info=unforeseen(error))
        elif task.result().state == "done" and not self._closing:
            self._in_background(self._engine.reflect(turn), f"reflect on turn {turn.id}")

    def _in_background(self, work: Coroutine[Any, Any, object], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._after.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[object]) -> None:
        """What goes on in the background has ended; a failure is told in the log alone."""
        self._after.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ParleyError):
            log.warning("%s: %s", task.get_name(), for_operator(error))
        elif error is not None:
            log.error("%s failed", task.get_name(), exc_info=error)

    async def _known(self, tenant_id: str, turn_id: str) -> Turn:
        turn = await self._store.turn(tenant_id, turn_id)
        if turn is None:
            raise UsageError(user_messages.UNKNOWN_TURN)
        return turn
