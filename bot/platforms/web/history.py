"""Reads conversations and messages back from the store after a reload or a restart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Protocol

from bot.engine.answer.final_reply import ACTIONS_AFTER_FAILURE, actions_after_answer, answer_text
from bot.engine.display.character_filter import visible
from bot.engine.display.urls import urls_in
from bot.errors import UsageError
from bot.platforms.web import render, user_messages
from bot.platforms.web.json_views import MessageView, ThreadView, iso_timestamp, stored_answer_id
from bot.store.browser_page import page_conversations
from bot.store.browser_page.page_conversations import MessageRow, ThreadRow
from bot.store.database.readiness import require_ready
from bot.store.database.session import Database
from bot.store.turns import turns as stored_turns
from bot.types.conversation import LOCAL_TENANT, ThreadKey
from bot.types.display import Action
from bot.types.turns import TurnState
from knowledge.store.id_prefixes import full_id

CHANNEL = "playground"
THREAD_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
"""IDs that the page creates. Threads from other entry points, such as ``/ask``, do not match and are not listed."""

PAGE_TURNS = 40
"""Questions with their answers that the page reads at once."""
OPEN_STATES = ("queued", "running")
_FAILED_STATES = ("failed", "refused")


@dataclass(frozen=True, slots=True)
class StoredPage:
    """Some of a conversation's messages, oldest first.

    ``earlier`` is the ID of the oldest turn here if earlier ones exist, else empty. ``until`` is the time before which
    everything here happened; None if nothing later is stored.
    """

    rows: Sequence[MessageRow]
    earlier: str = ""
    until: datetime | None = None

    @property
    def turn_ids(self) -> list[str]:
        """The IDs of the turns, oldest first."""
        return list(dict.fromkeys(row.turn_id for row in self.rows))


class History(Protocol):
    """Reads the stored conversations of the playground. ``strong_model`` is None if there is no stronger model."""

    strong_model: str | None

    async def threads(self, limit: int) -> Sequence[ThreadRow]:
        """Return the latest conversations, newest first."""

    async def listed(self, limit: int, search: str = "") -> Sequence[ThreadRow]:
        """Return the pinned conversations and then the latest; with ``search``, those that contain it."""

    async def rename(self, thread_id: str, title: str) -> bool:
        """Give a conversation a title that stays. Return False if it has no question."""

    async def pin(self, thread_id: str, pinned: bool) -> bool:
        """Pin a conversation, or undo that. Return False if it has no question."""

    async def title(self, thread_id: str) -> str:
        """Return the title of a conversation; empty if it has no question."""

    async def messages(self, thread_id: str) -> Sequence[MessageRow]:
        """Return all messages of a conversation, oldest first."""

    async def page(self, thread_id: str, before: str | None = None) -> StoredPage:
        """Return the latest messages of a conversation, or those before the turn ``before``. Raises UsageError."""

    async def ratings(self, turn_ids: Sequence[str], user_id: str) -> Mapping[str, int]:
        """Return the thumbs that a person gave to these turns: 1 or -1."""

    async def questions(self, turn_ids: Sequence[str]) -> Mapping[str, tuple[str, TurnState]]:
        """Return the text and the state of each of these turns that is stored and not deleted."""

    async def ready(self) -> None:
        """Raise an exception if the store is not reachable, or if its schema is older than this process needs."""


class StoreHistory:
    """History read from PostgreSQL."""

    def __init__(self, database: Database, *, strong_model: str | None = None, page_turns: int = PAGE_TURNS) -> None:
        self.strong_model = strong_model
        self._database = database
        self._page_turns = page_turns

    async def threads(self, limit: int) -> Sequence[ThreadRow]:
        async with self._database.tenant(LOCAL_TENANT) as session:
            return await page_conversations.list_threads(
                session, tenant_id=LOCAL_TENANT, platform="web", channel_id=CHANNEL, limit=limit
            )

    async def listed(self, limit: int, search: str = "") -> Sequence[ThreadRow]:
        async with self._database.tenant(LOCAL_TENANT) as session:
            return await page_conversations.list_threads(
                session,
                tenant_id=LOCAL_TENANT,
                platform="web",
                channel_id=CHANNEL,
                limit=limit,
                search=search,
                pinned_first=True,
                with_private=False,
            )

    async def rename(self, thread_id: str, title: str) -> bool:
        renaming = partial(page_conversations.rename, thread=thread_key(thread_id), title=title)
        return await self._database.run(LOCAL_TENANT, renaming)

    async def pin(self, thread_id: str, pinned: bool) -> bool:
        pinning = partial(page_conversations.pin, thread=thread_key(thread_id), pinned=pinned)
        return await self._database.run(LOCAL_TENANT, pinning)

    async def title(self, thread_id: str) -> str:
        async with self._database.tenant(LOCAL_TENANT) as session:
            return await page_conversations.title_of(session, thread=thread_key(thread_id))

    async def messages(self, thread_id: str) -> Sequence[MessageRow]:
        async with self._database.tenant(LOCAL_TENANT) as session:
            return await page_conversations.messages(session, tenant_id=LOCAL_TENANT, thread=thread_key(thread_id))

    async def page(self, thread_id: str, before: str | None = None) -> StoredPage:
        turn_id = _turn_id(before)
        async with self._database.tenant(LOCAL_TENANT) as session:
            rows = await page_conversations.messages(
                session,
                tenant_id=LOCAL_TENANT,
                thread=thread_key(thread_id),
                latest=self._page_turns + 1,
                before=turn_id,
            )
            until = (
                await page_conversations.asked_at(session, tenant_id=LOCAL_TENANT, turn_id=turn_id) if turn_id else None
            )
        found = StoredPage(rows, until=until)
        if len(found.turn_ids) <= self._page_turns:
            return found
        surplus, oldest = found.turn_ids[:2]
        return replace(found, rows=[row for row in rows if row.turn_id != surplus], earlier=oldest)

    async def ratings(self, turn_ids: Sequence[str], user_id: str) -> Mapping[str, int]:
        async with self._database.tenant(LOCAL_TENANT) as session:
            return await page_conversations.ratings(session, tenant_id=LOCAL_TENANT, turn_ids=turn_ids, user_id=user_id)

    async def questions(self, turn_ids: Sequence[str]) -> Mapping[str, tuple[str, TurnState]]:
        async with self._database.tenant(LOCAL_TENANT) as session:
            return await stored_turns.questions(session, tenant_id=LOCAL_TENANT, turn_ids=turn_ids)

    async def ready(self) -> None:
        await require_ready(self._database)


def thread_key(thread_id: str) -> ThreadKey:
    """Return the key of a playground conversation."""
    return ThreadKey(LOCAL_TENANT, "web", CHANNEL, thread_id)


def _turn_id(given: str | None) -> str | None:
    if not given:
        return None
    if (found := full_id(given)) is None:
        raise UsageError(user_messages.NOT_JSON)
    return str(found)


def thread_views(stored: Sequence[ThreadRow], live: Sequence[ThreadView]) -> list[ThreadView]:
    """Merge stored and live conversations, latest first. The later time and a stored title win.

    Leaves out conversations without a title: all their questions were deleted.
    """
    listed = [row for row in stored if row.title and THREAD_ID.fullmatch(row.key.thread_id)]
    views = {
        row.key.thread_id: ThreadView(row.key.thread_id, row.title, iso_timestamp(row.updated_at), row.pinned)
        for row in listed
    }
    for view in live:
        existing = views.get(view.id)
        views[view.id] = replace(existing, at=max(existing.at, view.at)) if existing else view
    return sorted(views.values(), key=lambda view: view.at, reverse=True)


def live_on_page(page: StoredPage, live: Sequence[MessageView]) -> list[MessageView]:
    """Return the live messages that belong to a page: those of its turns, and others of the same time."""
    turns = set(page.turn_ids)
    since = iso_timestamp(min(row.created_at for row in page.rows)) if page.earlier else ""
    until = iso_timestamp(page.until) if page.until else "~"
    asked_at = _asked_at(live)
    # A page of earlier messages has every turn of its time, so other live turns are of a later page.
    return [
        view
        for view in live
        if view.turn in turns or (since <= asked_at.get(view.turn, view.at) < until and not (view.turn and page.until))
    ]


def message_views(
    thread_id: str, stored: Sequence[MessageRow], live: Sequence[MessageView], *, strong_model: str | None
) -> list[MessageView]:
    """Merge stored and live messages of a conversation. A live message replaces the stored one of its turn and role.

    Turns are ordered by the time they were asked, and each question precedes its answer: an answer may be stored after
    the next question.
    """
    live_keys = {(view.turn, view.role) for view in live if view.turn}
    from_store = [
        _stored_view(thread_id, row, strong_model) for row in stored if (row.turn_id, row.role) not in live_keys
    ]
    answered = {row.turn_id for row in stored if row.role == "assistant"} | {
        turn for turn, role in live_keys if role != "user"
    }
    unanswered = [row for row in stored if row.turn_id not in answered and row.state not in OPEN_STATES]
    views = [*from_store, *(_no_reply_view(thread_id, row) for row in unanswered), *live]
    asked_at = _asked_at(views)
    return sorted(views, key=lambda view: (asked_at.get(view.turn, view.at), view.role != "user", view.at))


def _asked_at(views: Sequence[MessageView]) -> dict[str, str]:
    """Return the time of the first message of each turn."""
    asked_at: dict[str, str] = {}
    for view in views:
        if view.turn:
            asked_at[view.turn] = min(view.at, asked_at.get(view.turn, view.at))
    return asked_at


def _no_reply_view(thread_id: str, question: MessageRow) -> MessageView:
    """Return the message to show for an ended turn that has no answer."""
    return MessageView(
        id=stored_answer_id(question.turn_id),
        thread=thread_id,
        role="assistant",
        author="Parley",
        at=iso_timestamp(question.created_at),
        blocks=render.blocks(user_messages.no_reply(question.state, question.refused)),
        turn=question.turn_id,
        failed=question.state in _FAILED_STATES,
        actions=ACTIONS_AFTER_FAILURE,
    )


def _actions(row: MessageRow, strong_model: str | None) -> tuple[Action, ...]:
    """Return the buttons under a stored message: those that the answer had when it was written."""
    if row.role != "assistant" or row.state in OPEN_STATES:
        return ()
    if row.state != "done":
        return ACTIONS_AFTER_FAILURE
    return actions_after_answer(bool(row.citations), answered_by=row.model, strong_model=strong_model)


def _answer_blocks(row: MessageRow) -> tuple[str, ...]:
    """Return the HTML of a stored answer. It is stored as the model wrote it, so it is sanitized again."""
    source_numbers = frozenset(citation.n for citation in row.citations)
    cited = urls_in(*(citation.quote for citation in row.citations), *(citation.source for citation in row.citations))
    return render.blocks(answer_text(row.text, row.state), source_numbers, links=row.links | cited)


def _stored_view(thread_id: str, row: MessageRow, strong_model: str | None) -> MessageView:
    is_answer = row.role == "assistant"
    return MessageView(
        id=stored_answer_id(row.turn_id) if is_answer else f"q-{row.turn_id}",
        thread=thread_id,
        role=row.role,
        author="Parley" if is_answer else row.author,
        at=iso_timestamp(row.created_at),
        blocks=_answer_blocks(row) if is_answer else render.plain(row.text),
        turn=row.turn_id,
        final=row.state not in OPEN_STATES,
        failed=is_answer and row.state in _FAILED_STATES,
        sources=tuple(render.source(citation) for citation in row.citations),
        notes=tuple(map(visible, row.notes)),
        actions=_actions(row, strong_model),
    )
