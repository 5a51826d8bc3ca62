"""What is going on in the playground: the messages of this process, and the events that tell every open page.

A bounded ring of events stands between writers and readers, so a slow page costs nothing: it falls behind, is told to
take a snapshot, and goes on from there.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from typing import Any, Literal

from bot.platforms.web.json_views import Event, MessageView, ThreadView

RING = 2000
MESSAGES = 1000


class Hub:
    """Keeps the latest messages and publishes each change once.

    An event id is ``EPOCH-SEQ``; the epoch is drawn anew by every process, so ids of an earlier one are never mistaken.
    """

    def __init__(self, *, ring: int = RING, keep: int = MESSAGES) -> None:
        self.epoch = secrets.token_hex(4)
        self.seq = 0
        self.closed = False
        self.pages = 0
        """Streams that are open."""
        self._keep = keep
        self._events: deque[Event] = deque(maxlen=ring)
        self._messages: dict[str, MessageView] = {}
        self._threads: dict[str, ThreadView] = {}
        self._changed = asyncio.Event()

    # --- writing

    def put(self, view: MessageView) -> None:
        """Show a message, or show it as it is now."""
        before = self._messages.get(view.id)
        self._messages[view.id] = view
        self._trim()
        if before == view:
            return
        if before is not None and replace(before, blocks=view.blocks) == view:
            self._publish("patch", _patch(before, view))
        else:
            self._publish("message", asdict(view))

    def drop(self, message_id: str) -> None:
        """Take a message away."""
        view = self._messages.pop(message_id, None)
        if view is not None:
            self._publish("gone", {"id": view.id, "thread": view.thread})

    def forget(self, thread_id: str, turn_id: str) -> None:
        """Take a turn's messages away from every page, stored ones too; what the thread is called is read anew."""
        shown = {f"q-{turn_id}", f"h-{turn_id}", *(view.id for view in self.of_turn(turn_id))}
        self._threads.pop(thread_id, None)
        for message_id in sorted(shown):
            self._messages.pop(message_id, None)
            self._publish("gone", {"id": message_id, "thread": thread_id})

    def touch(self, thread: ThreadView) -> None:
        """Put a thread at the top of the list; its first title stays."""
        known = self._threads.pop(thread.id, None)
        thread = replace(thread, title=known.title) if known else thread
        self._threads[thread.id] = thread
        self._publish("thread", asdict(thread))

    def close(self) -> None:
        """End every stream."""
        self.closed = True
        self._wake()

    # --- reading

    @property
    def event_id(self) -> str:
        """The id of the latest event."""
        return f"{self.epoch}-{self.seq}"

    def message(self, message_id: str) -> MessageView | None:
        return self._messages.get(message_id)

    def of_turn(self, turn_id: str) -> list[MessageView]:
        """What is shown of one turn."""
        return [view for view in self._messages.values() if view.turn == turn_id]

    def of_thread(self, thread_id: str) -> list[MessageView]:
        """What is shown in one thread, oldest first."""
        return [view for view in self._messages.values() if view.thread == thread_id]

    def threads(self) -> list[ThreadView]:
        """The threads this process has touched, the latest first."""
        return list(reversed(self._threads.values()))

    async def follow(self, last_id: str | None, *, idle: float) -> AsyncIterator[Event | Literal["snapshot"] | None]:
        """Every event after ``last_id``, as it happens; ``None`` after ``idle`` quiet seconds.

        ``"snapshot"`` says that earlier events are not to be had: read the state, then go on from here.
        """
        self.pages += 1
        try:
            async for event in self._follow(last_id, idle):
                yield event
        finally:
            self.pages -= 1

    async def _follow(self, last_id: str | None, idle: float) -> AsyncIterator[Event | Literal["snapshot"] | None]:
        cursor = self._cursor(last_id)
        while not self.closed:
            if cursor is None or cursor + 1 < self._oldest():
                cursor = self.seq
                yield "snapshot"
            elif cursor < self.seq:
                event = self._events[cursor + 1 - self._oldest()]
                cursor = event.seq
                yield event
            else:
                yield_idle = not await self._wait(idle)
                if yield_idle:
                    yield None

    # --- inside

    def _cursor(self, last_id: str | None) -> int | None:
        epoch, _, seq = (last_id or "").partition("-")
        return int(seq) if epoch == self.epoch and seq.isdecimal() and int(seq) <= self.seq else None

    def _oldest(self) -> int:
        return self._events[0].seq if self._events else self.seq + 1

    def _publish(self, kind: Literal["message", "patch", "gone", "thread"], data: dict[str, Any]) -> None:
        self.seq += 1
        self._events.append(Event(self.seq, kind, data))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _trim(self) -> None:
        if len(self._messages) > self._keep:
            oldest = next((key for key, view in self._messages.items() if view.final), None)
            if oldest is not None:
                del self._messages[oldest]


def _patch(before: MessageView, after: MessageView) -> dict[str, Any]:
    """The blocks that differ: keep the first ``keep``, then put ``blocks``."""
    keep = 0
    for old, new in zip(before.blocks, after.blocks, strict=False):
        if old != new:
            break
        keep += 1
    return {"id": after.id, "thread": after.thread, "keep": keep, "blocks": list(after.blocks[keep:])}
