"""What other processes answer: their pages ask there, and this process's pages are to see it too.

Read from the store while a page is open: the question once it is stored, the answer once it has ended. How the answer
grows is seen in the process that writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bot.engine.ports.clock import Clock
from bot.platforms.web import render, user_messages
from bot.platforms.web.event_hub import Hub
from bot.platforms.web.history import OPEN, THREAD_ID, History, message_views
from bot.platforms.web.json_views import MessageView, ThreadView, stamp
from bot.store.threads import MessageRow, ThreadRow

RECENT = 20
"""Conversations that are looked at, the latest first."""
OWN_MOMENT = timedelta(seconds=2)
"""A question that was asked here is stored a moment before it is shown here."""


@dataclass(slots=True)
class Elsewhere:
    """Puts into the hub what other processes have stored since the first look."""

    hub: Hub
    history: History
    clock: Clock
    _since: datetime | None = None
    _seen: dict[str, datetime] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)
    """Conversations to be looked at again although nothing was said in them."""
    _theirs: set[str] = field(default_factory=set)

    async def look(self) -> None:
        """One look. Raises what the store raises."""
        if self._since is None:
            self._since = self.clock() - OWN_MOMENT
        for row in await self.history.threads(RECENT):
            if THREAD_ID.fullmatch(row.key.thread_id) and self._is_due(row):
                await self._show(row)
                self._seen[row.key.thread_id] = row.updated_at

    def _is_due(self, row: ThreadRow) -> bool:
        assert self._since is not None
        known = self._seen.get(row.key.thread_id, self._since)
        return row.key.thread_id in self._open or row.updated_at > known

    async def _show(self, row: ThreadRow) -> None:
        thread_id = row.key.thread_id
        stored = await self.history.messages(thread_id)
        self._open.discard(thread_id)
        for question in stored:
            if question.role == "user" and self._is_theirs(question, thread_id):
                said = [one for one in stored if one.turn_id == question.turn_id]
                self._put(ThreadView(thread_id, row.title, stamp(question.created_at)), question, said)

    def _is_theirs(self, question: MessageRow, thread_id: str) -> bool:
        assert self._since is not None
        if question.turn_id in self._theirs:
            return True
        if self.hub.of_turn(question.turn_id) or (question.created_at < self._since and question.state not in OPEN):
            return False
        if question.created_at > self.clock() - OWN_MOMENT:
            self._open.add(thread_id)
            return False
        self._theirs.add(question.turn_id)
        return True

    def _put(self, thread: ThreadView, question: MessageRow, said: Sequence[MessageRow]) -> None:
        if not self.hub.of_turn(question.turn_id):
            self.hub.touch(thread)
        for view in message_views(thread.id, said, []):
            self.hub.put(view)
        waiting = f"e-{question.turn_id}"
        if question.state in OPEN:
            self._open.add(thread.id)
            self.hub.put(_under_way(waiting, thread, question))
        else:
            self.hub.drop(waiting)
            self._theirs.discard(question.turn_id)


def _under_way(message_id: str, thread: ThreadView, question: MessageRow) -> MessageView:
    """What stands under a question that another process is answering."""
    shown = MessageView(message_id, thread.id, "assistant", "Parley", stamp(question.created_at), final=False)
    return replace(shown, blocks=render.blocks(user_messages.ELSEWHERE), turn=question.turn_id, actions=("stop",))
