"""What the playground reads back after a reload or a restart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import text

from bot.platforms.web import render, user_messages
from bot.platforms.web.json_views import MessageView, ThreadView, stamp
from bot.store import threads as stored_threads
from bot.store.threads import MessageRow, ThreadRow
from bot.types.conversation import LOCAL_TENANT, ThreadKey
from bot.types.display import Action
from knowledge.ports import Sessions

CHANNEL = "playground"
THREAD_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
"""What the page makes; threads of other ways to ask (``/ask``) do not stand in its list."""

ENDED_ACTIONS: tuple[Action, ...] = ("why", "up", "down", "again", "strong")
OPEN = ("queued", "running")
_FAILED = ("failed", "refused")


class History(Protocol):
    """Reads what is stored of the playground."""

    async def threads(self, limit: int) -> Sequence[ThreadRow]:
        """The latest conversations, newest first."""

    async def messages(self, thread_id: str) -> Sequence[MessageRow]:
        """One conversation, oldest first."""

    async def ready(self) -> None:
        """Raises where the store cannot be reached."""


class StoreHistory:
    """History as Postgres has it."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def threads(self, limit: int) -> Sequence[ThreadRow]:
        async with self._sessions(LOCAL_TENANT) as session:
            return await stored_threads.list_threads(
                session, tenant_id=LOCAL_TENANT, platform="web", channel_id=CHANNEL, limit=limit
            )

    async def messages(self, thread_id: str) -> Sequence[MessageRow]:
        async with self._sessions(LOCAL_TENANT) as session:
            return await stored_threads.messages(session, tenant_id=LOCAL_TENANT, thread=thread_key(thread_id))

    async def ready(self) -> None:
        async with self._sessions(LOCAL_TENANT) as session:
            await session.execute(text("SELECT 1"))


def thread_key(thread_id: str) -> ThreadKey:
    """A conversation of the playground."""
    return ThreadKey(LOCAL_TENANT, "web", CHANNEL, thread_id)


def thread_views(stored: Sequence[ThreadRow], live: Sequence[ThreadView]) -> list[ThreadView]:
    """The thread list, latest first; what this process knows goes over what is stored. A thread of which everything was
    forgotten has no title, and is left out."""
    shown = [row for row in stored if row.title and THREAD_ID.fullmatch(row.key.thread_id)]
    views = {row.key.thread_id: ThreadView(row.key.thread_id, row.title, stamp(row.updated_at)) for row in shown}
    for view in live:
        known = views.get(view.id)
        views[view.id] = ThreadView(view.id, known.title if known else view.title, view.at)
    return sorted(views.values(), key=lambda view: view.at, reverse=True)


def message_views(thread_id: str, stored: Sequence[MessageRow], live: Sequence[MessageView]) -> list[MessageView]:
    """A conversation; where this process has shown a turn's message, that one stands in place of the stored one.

    Turns stand in the order in which they were asked, each question before its answer: an answer may be stored after
    the next question.
    """
    shown = {(view.turn, view.role) for view in live if view.turn}
    kept = [_view(thread_id, row) for row in stored if (row.turn_id, row.role) not in shown]
    answered = {row.turn_id for row in stored if row.role == "assistant"} | {
        turn for turn, role in shown if role != "user"
    }
    ended = [row for row in stored if row.turn_id not in answered and row.state not in OPEN]
    views = [*kept, *(_ending(thread_id, row) for row in ended), *live]
    begun: dict[str, str] = {}
    for view in views:
        if view.turn:
            begun[view.turn] = min(view.at, begun.get(view.turn, view.at))
    return sorted(views, key=lambda view: (begun.get(view.turn or "", view.at), view.role != "user", view.at))


def _ending(thread_id: str, question: MessageRow) -> MessageView:
    """What stands in place of the answer that a turn does not have."""
    sentence = user_messages.ended(question.state, question.refused)
    return MessageView(
        id=f"h-{question.turn_id}",
        thread=thread_id,
        role="assistant",
        author="Parley",
        at=stamp(question.created_at),
        blocks=render.blocks(sentence),
        turn=question.turn_id,
        failed=question.state in _FAILED,
        actions=("again", "why"),
    )


def _actions(row: MessageRow) -> tuple[Action, ...]:
    return ("sources", *ENDED_ACTIONS) if row.citations else ENDED_ACTIONS


def _view(thread_id: str, row: MessageRow) -> MessageView:
    is_answer = row.role == "assistant"
    known = frozenset(citation.n for citation in row.citations)
    return MessageView(
        id=f"{'h' if is_answer else 'q'}-{row.turn_id}",
        thread=thread_id,
        role=row.role,
        author="Parley" if is_answer else row.author,
        at=stamp(row.created_at),
        blocks=render.blocks(row.text, known) if is_answer else render.plain(row.text),
        turn=row.turn_id,
        final=row.state not in OPEN,
        failed=is_answer and row.state in _FAILED,
        sources=tuple(render.source(citation) for citation in row.citations),
        notes=row.notes,
        actions=_actions(row) if is_answer and row.state not in OPEN else (),
    )
