"""Holds the messages that this process shows, and publishes every change to the open pages.

Writers append to a bounded ring of events and readers follow it, so a slow page never blocks a writer. A page that
falls out of the ring gets the event "snapshot", reads the complete state again and continues from there.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from typing import Any, Literal

from bot.engine.markdown import utf16_units
from bot.platforms.web.json_views import Event, EventKind, MessageView, ThreadView
from knowledge.whole_numbers import whole_number

MAX_EVENTS = 2000
MAX_MESSAGES = 1000
FULL_MESSAGE_EVERY = 10
"""Number of patches of a message after which it is published in full, for pages that could not apply a patch."""


class EventHub:
    """Stores the latest messages and conversations, and publishes each change once.

    An event ID is ``EPOCH-SEQ``. Every process draws a new epoch, so an ID from before a restart is known to be stale.
    """

    def __init__(self, *, max_events: int = MAX_EVENTS, max_messages: int = MAX_MESSAGES) -> None:
        self.epoch = secrets.token_hex(4)
        self.seq = 0
        self.closed = False
        self.open_streams = 0
        self._max_messages = max_messages
        self._events: deque[Event] = deque(maxlen=max_events)
        self._messages: dict[str, MessageView] = {}
        self._patches: dict[str, int] = {}
        """For each message, the number of patches since it was published in full."""
        self._private: dict[str, str] = {}
        """For each private message, the author ID of the only person who sees it."""
        self._threads: dict[str, ThreadView] = {}
        self._private_threads: dict[str, str] = {}
        """For each private conversation, the author ID of the only person who sees it."""
        self._changed = asyncio.Event()

    # --- writing

    def put_message(self, view: MessageView, *, only_for: str = "") -> None:
        """Add or replace a message. Publishes only the changed blocks if nothing else changed.

        ``only_for`` is the author ID of the only person who sees it. Without it, a private message becomes public.
        """
        if self._private.get(view.id, "") != only_for:
            self._messages.pop(view.id, None)
            self._private.pop(view.id, None)
        if only_for:
            self._private[view.id] = only_for
        before = self._messages.get(view.id)
        self._messages[view.id] = view
        self._drop_oldest_final()
        if before == view:
            return
        patches = self._patches.pop(view.id, 0)
        grows = before is not None and replace(before, blocks=view.blocks) == view
        if before is not None and grows and patches < FULL_MESSAGE_EVERY:
            self._patches[view.id] = patches + 1
            self._publish("patch", _patch(before, view), only_for)
        else:
            self._publish("message", asdict(view), only_for)

    def remove_message(self, message_id: str) -> None:
        """Remove a message. Does nothing if it is not stored here."""
        view = self._messages.pop(message_id, None)
        self._private.pop(message_id, None)
        self._patches.pop(message_id, None)
        if view is not None:
            self._publish("gone", {"id": view.id, "thread": view.thread})

    def remove_turn(self, thread_id: str, turn_id: str) -> None:
        """Remove a turn's messages from every page, including those that pages read from the store.

        Drops the conversation's cached title too, because the deleted question may have been the title.
        """
        message_ids = {f"q-{turn_id}", f"h-{turn_id}", *(view.id for view in self.messages_of_turn(turn_id))}
        self._threads.pop(thread_id, None)
        self._private_threads.pop(thread_id, None)
        for message_id in sorted(message_ids):
            self._messages.pop(message_id, None)
            self._patches.pop(message_id, None)
            self._publish("gone", {"id": message_id, "thread": thread_id})

    def bump_thread(self, thread: ThreadView, *, only_for: str = "") -> None:
        """Move a conversation to the top of the list, or add it. An existing title stays, here and on the pages.

        The title that one person's command gave stays with that person.

        ``only_for`` is the author ID of the only person who sees a new conversation. A public one stays public.
        """
        existing = self._threads.pop(thread.id, None)
        if existing and self._private_threads.get(thread.id, only_for) == only_for:
            thread = replace(thread, title=existing.title)
        self._threads[thread.id] = thread
        if only_for and (existing is None or thread.id in self._private_threads):
            self._private_threads[thread.id] = only_for
        else:
            self._private_threads.pop(thread.id, None)
        self._drop_oldest_threads()
        self._publish("thread", asdict(thread), self._private_threads.get(thread.id, ""))

    def retitle(self, thread_id: str, title: str) -> None:
        """Change the title of a conversation on every page that lists it. An empty title takes it off the list.

        A title means that the conversation has questions, so everybody sees it. This process may know only a private
        command in it.
        """
        if title:
            self._private_threads.pop(thread_id, None)
        if existing := self._threads.get(thread_id):
            self._threads[thread_id] = replace(existing, title=title or existing.title)
        self._publish("title", {"id": thread_id, "title": title}, self._private_threads.get(thread_id, ""))

    def pin(self, thread_id: str, pinned: bool) -> None:
        """Show a conversation as pinned or not, on every page. It has questions, so everybody may see it."""
        if existing := self._threads.get(thread_id):
            self._threads[thread_id] = replace(existing, pinned=pinned)
        self._publish("pin", {"id": thread_id, "pinned": pinned})

    def remove_thread(self, thread_id: str, viewer: str) -> None:
        """Remove what this person sees of a conversation, and take it off the lists unless questions are left in it."""
        left = False
        for view in self.messages_of_thread(thread_id, viewer):
            if view.turn:
                left = True
            else:
                self.remove_message(view.id)
        if not left:
            self._threads.pop(thread_id, None)
            self.retitle(thread_id, "")
            self._private_threads.pop(thread_id, None)

    def close(self) -> None:
        """End every stream."""
        self.closed = True
        self._wake_readers()

    # --- reading

    @property
    def event_id(self) -> str:
        """The ID of the latest event."""
        return f"{self.epoch}-{self.seq}"

    def message(self, message_id: str) -> MessageView | None:
        """Return a message by ID, or None."""
        return self._messages.get(message_id)

    def shows(self, message_id: str, *, only_for: str) -> bool:
        """Return whether a message is stored here for this person only, or for everybody if ``only_for`` is empty."""
        return message_id in self._messages and self._private.get(message_id, "") == only_for

    def turns(self) -> dict[str, str]:
        """Return the turns with a message here, each with its conversation."""
        return {view.turn: view.thread for view in self._messages.values() if view.turn}

    def messages_of_turn(self, turn_id: str) -> list[MessageView]:
        """Return the messages of a turn, oldest first."""
        return [view for view in self._messages.values() if view.turn == turn_id]

    def messages_of_thread(self, thread_id: str, viewer: str) -> list[MessageView]:
        """Return the messages of a conversation that this person sees, oldest first."""
        return [
            view
            for view in self._messages.values()
            if view.thread == thread_id and self._private.get(view.id, viewer) == viewer
        ]

    def threads(self, viewer: str) -> list[ThreadView]:
        """Return the conversations that this process has changed and this person sees, latest first."""
        newest_first = reversed(self._threads.values())
        return [view for view in newest_first if self._private_threads.get(view.id, viewer) == viewer]

    async def follow(
        self, last_id: str | None, *, idle: float, viewer: str
    ) -> AsyncIterator[Event | Literal["snapshot"] | None]:
        """Yield every event for this person after ``last_id`` as it happens, and None after ``idle`` seconds without.

        Yields "snapshot" if earlier events are no longer available: the reader must read the complete state, and then
        continues with the events that follow.
        """
        self.open_streams += 1
        try:
            async for event in self._follow(last_id, idle):
                if not isinstance(event, Event) or event.only_for in ("", viewer):
                    yield event
        finally:
            self.open_streams -= 1

    async def _follow(self, last_id: str | None, idle: float) -> AsyncIterator[Event | Literal["snapshot"] | None]:
        cursor = self._parse_event_id(last_id)
        while not self.closed:
            if cursor is None or cursor + 1 < self._oldest_seq():
                cursor = self.seq
                yield "snapshot"
            elif cursor < self.seq:
                event = self._events[cursor + 1 - self._oldest_seq()]
                cursor = event.seq
                yield event
            elif not await self._wait_for_change(idle):
                yield None

    # --- inside

    def _parse_event_id(self, event_id: str | None) -> int | None:
        """Return the sequence number of an event ID. None if it is missing, malformed or from another process."""
        epoch, _, seq = (event_id or "").partition("-")
        number = whole_number(seq)
        return number if epoch == self.epoch and number is not None and number <= self.seq else None

    def _oldest_seq(self) -> int:
        return self._events[0].seq if self._events else self.seq + 1

    def _publish(
        self,
        kind: EventKind,
        data: dict[str, Any],
        only_for: str = "",
    ) -> None:
        self.seq += 1
        self._events.append(Event(self.seq, kind, data, only_for))
        self._wake_readers()

    def _wake_readers(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait_for_change(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _drop_oldest_final(self) -> None:
        if len(self._messages) > self._max_messages:
            oldest = next((key for key, view in self._messages.items() if view.final), None)
            if oldest is not None:
                del self._messages[oldest]
                self._private.pop(oldest, None)
                self._patches.pop(oldest, None)

    def _drop_oldest_threads(self) -> None:
        while len(self._threads) > self._max_messages:
            oldest = next(iter(self._threads))
            del self._threads[oldest]
            self._private_threads.pop(oldest, None)


def _patch(before: MessageView, after: MessageView) -> dict[str, Any]:
    """Return the change from ``before`` to ``after``: keep the first ``keep`` blocks, then append ``blocks``.

    ``chars`` is the length of the kept blocks in UTF-16 units, as browsers count. A page whose blocks have another
    length has read the message from a process that knows an earlier state of it, so it cannot apply the patch.
    """
    keep = 0
    for old, new in zip(before.blocks, after.blocks, strict=False):
        if old != new:
            break
        keep += 1
    chars = utf16_units("".join(after.blocks[:keep]))
    return {"id": after.id, "thread": after.thread, "keep": keep, "chars": chars, "blocks": list(after.blocks[keep:])}
