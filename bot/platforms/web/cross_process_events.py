"""Shows questions that other processes answer: polls the store and adds their messages to this process's event hub.

With several web processes on one database, a question is asked on a page of one process and must appear on the pages of
the others. It appears once it is stored; its answer appears once the turn has ended. Only the process that writes an
answer shows it while it grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bot.engine.ports.clock import Clock
from bot.platforms.web import render, user_messages
from bot.platforms.web.event_hub import EventHub
from bot.platforms.web.history import OPEN_STATES, THREAD_ID, History, message_views
from bot.platforms.web.json_views import MessageView, ThreadView, iso_timestamp
from bot.store.threads import MessageRow, ThreadRow

RECENT_THREADS = 20
"""How many conversations each poll checks, latest first."""
OWN_QUESTION_DELAY = timedelta(seconds=2)
"""Minimum age of a question before it counts as foreign: this process stores its own questions a moment before it shows
them."""


@dataclass(slots=True)
class CrossProcessPoller:
    """Adds messages that other processes have stored since the first poll to the hub."""

    hub: EventHub
    history: History
    clock: Clock
    _first_poll: datetime | None = None
    _read_until: dict[str, datetime] = field(default_factory=dict)
    """For each conversation, the update time up to which it has been read."""
    _pending_threads: set[str] = field(default_factory=set)
    """Conversations to read again although their update time has not changed."""
    _foreign_turns: set[str] = field(default_factory=set)
    """Open turns of other processes that are shown here."""

    async def poll(self) -> None:
        """Read the recent conversations once. Raises what the store raises."""
        if self._first_poll is None:
            self._first_poll = self.clock() - OWN_QUESTION_DELAY
        for row in await self.history.threads(RECENT_THREADS):
            if THREAD_ID.fullmatch(row.key.thread_id) and self._has_changed(row):
                await self._show_foreign_turns(row)
                self._read_until[row.key.thread_id] = row.updated_at

    def _has_changed(self, row: ThreadRow) -> bool:
        assert self._first_poll is not None
        read_until = self._read_until.get(row.key.thread_id, self._first_poll)
        return row.key.thread_id in self._pending_threads or row.updated_at > read_until

    async def _show_foreign_turns(self, row: ThreadRow) -> None:
        thread_id = row.key.thread_id
        stored = await self.history.messages(thread_id)
        self._pending_threads.discard(thread_id)
        for question in stored:
            if question.role == "user" and self._is_foreign(question, thread_id):
                messages = [message for message in stored if message.turn_id == question.turn_id]
                self._show(ThreadView(thread_id, row.title, iso_timestamp(question.created_at)), question, messages)

    def _is_foreign(self, question: MessageRow, thread_id: str) -> bool:
        assert self._first_poll is not None
        if question.turn_id in self._foreign_turns:
            return True
        ended_before = question.created_at < self._first_poll and question.state not in OPEN_STATES
        if self.hub.messages_of_turn(question.turn_id) or ended_before:
            return False
        if question.created_at > self.clock() - OWN_QUESTION_DELAY:
            self._pending_threads.add(thread_id)
            return False
        self._foreign_turns.add(question.turn_id)
        return True

    def _show(self, thread: ThreadView, question: MessageRow, messages: Sequence[MessageRow]) -> None:
        if not self.hub.messages_of_turn(question.turn_id):
            self.hub.bump_thread(thread)
        for view in message_views(thread.id, messages, []):
            self.hub.put_message(view)
        placeholder_id = f"e-{question.turn_id}"
        if question.state in OPEN_STATES:
            self._pending_threads.add(thread.id)
            self.hub.put_message(_placeholder(placeholder_id, thread, question))
        else:
            self.hub.remove_message(placeholder_id)
            self._foreign_turns.discard(question.turn_id)


def _placeholder(message_id: str, thread: ThreadView, question: MessageRow) -> MessageView:
    """Return the message that stands in for the answer while another process writes it."""
    at = iso_timestamp(question.created_at)
    view = MessageView(message_id, thread.id, "assistant", "Parley", at, final=False)
    blocks = render.blocks(user_messages.ANSWERED_BY_OTHER_PROCESS)
    return replace(view, blocks=blocks, turn=question.turn_id, actions=("stop",))
