"""Shows what other web processes do: polls the store and adds their questions and commands to this process's event hub.

With several web processes behind one address, each request of a page may reach another process, and the page's event
stream comes from one of them. A question appears everywhere once it is stored, its answer once the turn has ended; only
the process that writes an answer shows it while it grows. A question that is edited or deleted in one process changes
in all of them. Commands appear with their progress.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bot.engine.ports.clock import Clock
from bot.platforms.web import render, user_messages
from bot.platforms.web.command_cards import CommandCard, CommandCards
from bot.platforms.web.event_hub import EventHub
from bot.platforms.web.history import OPEN_STATES, THREAD_ID, History, message_views
from bot.platforms.web.json_views import MessageView, ThreadView, iso_timestamp, placeholder_id, stored_answer_id
from bot.store.browser_page.page_conversations import MessageRow, ThreadRow
from bot.types.bounded_mapping import RecentEntries
from bot.types.turns import TurnState

RECENT_THREADS = 20
"""How many conversations each poll checks, latest first."""
CLOCK_SKEW = timedelta(seconds=2)
"""Tolerated difference between the clocks of this process and the database."""


@dataclass(slots=True)
class LocalWork:
    """What this process does itself, so that it does not count as another process's work."""

    turn_runs_here: Callable[[str], bool]
    """Returns whether a turn waits or runs in this process."""
    turns: dict[str, MessageView] = field(default_factory=dict)
    """Turns whose end this process has not shown yet, with their questions as it shows them."""
    accepting: int = 0
    """Number of questions that are being stored. They are shown right after that."""
    commands: dict[str, CommandCard] = field(default_factory=dict)
    """The cards of commands that run in this process, by ID."""

    def has_turn(self, turn_id: str) -> bool:
        """Return whether this process shows the turn's progress."""
        return turn_id in self.turns or self.turn_runs_here(turn_id)


@dataclass(slots=True)
class CrossProcessPoller:
    """Brings the hub up to date with what other processes have stored since the first poll."""

    hub: EventHub
    history: History
    cards: CommandCards
    clock: Clock
    local: LocalWork
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _first_poll: datetime | None = None
    _cards_read: int = 0
    """The position in the cards' changes up to which they have been shown."""
    _read_until: RecentEntries[str, datetime] = field(default_factory=RecentEntries)
    """For each conversation, the update time up to which it has been read."""
    _pending_threads: set[str] = field(default_factory=set)
    """Conversations to read again although their update time has not changed."""
    _titles: dict[str, str] = field(default_factory=dict)
    """The titles of the latest conversations at the last poll."""
    _foreign_turns: set[str] = field(default_factory=set)
    """Open turns of other processes that are shown here."""

    async def poll(self) -> None:
        """Read what has changed once. Raises what the store raises."""
        async with self._lock:
            if self._first_poll is None:
                self._first_poll = self.clock() - CLOCK_SKEW
            await self._show_cards()
            await self._drop_outdated_turns()
            recent = await self.history.threads(RECENT_THREADS)
            self._show_changed_titles(recent)
            for row in recent:
                if THREAD_ID.fullmatch(row.key.thread_id) and self._has_changed(row):
                    await self._show_foreign_turns(row)
                    self._read_until[row.key.thread_id] = row.updated_at

    async def keep_commands_alive(self) -> None:
        """Record that the commands of this process still run, and store replies that could not be stored before.

        Raises what the store raises.
        """
        for card in [card for card in self.local.commands.values() if card.reply.final]:
            await self.cards.write(card)
            self.local.commands.pop(card.id, None)
        if self.local.commands:
            await self.cards.touch(sorted(self.local.commands))

    def _show_changed_titles(self, recent: Sequence[ThreadRow]) -> None:
        """Show the titles that have changed since the last poll: a first question was edited or deleted."""
        titles = {row.key.thread_id: row.title for row in recent}
        for thread_id, title in titles.items():
            if self._titles.get(thread_id, title) != title:
                self.hub.retitle(thread_id, title)
        self._titles = titles

    # --- commands

    async def _show_cards(self) -> None:
        for dead in await self.cards.silent():
            if dead.id not in self.local.commands:
                await self.cards.write(dead.interrupted())
        while True:
            changed, position = await self.cards.changes(self._cards_read)
            if position == self._cards_read:
                return
            self._cards_read = position
            for card in changed:
                if card.id not in self.local.commands:
                    card.show(self.hub)

    # --- turns

    async def _drop_outdated_turns(self) -> None:
        """Remove turns that were deleted elsewhere. Prepare to show those again that were edited or taken over."""
        shown = {turn: thread for turn, thread in self.hub.turns().items() if not self.local.has_turn(turn)}
        if not shown:
            return
        stored = await self.history.questions(list(shown))
        for turn_id, thread_id in shown.items():
            if self.local.has_turn(turn_id):
                continue
            if turn_id not in stored:
                self.hub.remove_turn(thread_id, turn_id)
                self._foreign_turns.discard(turn_id)
            elif turn_id not in self._foreign_turns and self._is_outdated(turn_id, *stored[turn_id]):
                for view in self._own_answers(turn_id):
                    self.hub.remove_message(view.id)
                self._foreign_turns.add(turn_id)
                self._pending_threads.add(thread_id)

    def _is_outdated(self, turn_id: str, question: str, state: TurnState) -> bool:
        """Return whether another process has changed a turn that does not run here."""
        views = self.hub.messages_of_turn(turn_id)
        edited = any(view.blocks != render.plain(question) for view in views if view.role == "user")
        return edited or (state in OPEN_STATES) == all(view.final for view in views)

    def _own_answers(self, turn_id: str) -> list[MessageView]:
        """Return the messages of an answer that this process wrote itself."""
        others = (stored_answer_id(turn_id), placeholder_id(turn_id))
        return [view for view in self.hub.messages_of_turn(turn_id) if view.role != "user" and view.id not in others]

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
        known = self.hub.messages_of_turn(question.turn_id) or self.local.has_turn(question.turn_id)
        if known or ended_before:
            return False
        if self.local.accepting:
            self._pending_threads.add(thread_id)
            return False
        self._foreign_turns.add(question.turn_id)
        return True

    def _show(self, thread: ThreadView, question: MessageRow, messages: Sequence[MessageRow]) -> None:
        turn_id, is_open = question.turn_id, question.state in OPEN_STATES
        if not self.hub.messages_of_turn(turn_id):
            self.hub.bump_thread(thread)
        own = self._own_answers(turn_id)
        # This process may have taken the turn over from one that died.
        is_own = self.local.has_turn(turn_id) or (bool(own) and not is_open and all(view.final for view in own))
        if not is_own:
            for view in own:
                self.hub.remove_message(view.id)
        for view in message_views(thread.id, messages, [], strong_model=self.history.strong_model):
            if view.role == "user" or not is_own:
                self.hub.put_message(view)
        if is_open and not is_own:
            self.hub.put_message(_placeholder(thread, question))
        else:
            self.hub.remove_message(placeholder_id(turn_id))
        if is_open:
            self._pending_threads.add(thread.id)
        else:
            self._foreign_turns.discard(turn_id)


def _placeholder(thread: ThreadView, question: MessageRow) -> MessageView:
    """Return the message that stands in for the answer while another process writes it."""
    at = iso_timestamp(question.created_at)
    view = MessageView(placeholder_id(question.turn_id), thread.id, "assistant", "Parley", at, final=False)
    blocks = render.blocks(user_messages.ANSWERED_BY_OTHER_PROCESS)
    return replace(view, blocks=blocks, turn=question.turn_id, actions=("stop",))
