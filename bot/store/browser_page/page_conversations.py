"""Reads the conversations of the browser page: their list, their messages page by page, and the thumbs of a person."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Column, ColumnElement, exists, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.schema import feedback, threads, turns
from bot.store.schema import messages as message_table
from bot.store.threads import citations_from, thread_uid
from bot.types.conversation import PRIVATE_THREAD, Platform, ThreadKey
from bot.types.display import Citation
from bot.types.turns import TurnState


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """A thread as shown in a list of threads."""

    key: ThreadKey
    title: str
    updated_at: datetime
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A stored message as the page shows it.

    ``state``, ``citations`` and the fields after them belong to an answer's turn.
    """

    turn_id: str
    role: Literal["user", "assistant"]
    author: str
    text: str
    created_at: datetime
    state: TurnState = "done"
    citations: tuple[Citation, ...] = ()
    notes: tuple[str, ...] = ()
    links: frozenset[str] = frozenset()
    """The addresses that may be links in the answer."""
    refused: str | None = None
    """Why the turn has no answer. Set on the question, because the turn then has no other message."""
    model: str | None = None
    """The model that wrote the answer; None if the answer was stored before."""


async def list_threads(
    session: AsyncSession,
    *,
    tenant_id: str,
    platform: Platform,
    channel_id: str,
    limit: int = 50,
    search: str = "",
    pinned_first: bool = False,
    with_private: bool = True,
) -> list[ThreadRow]:
    """Return the threads of a channel, the last used first.

    ``search`` is a part of the title or of a message, in any case. Without ``with_private``, threads that only one
    person sees are left out.
    """
    wanted = select(threads).where(
        threads.c.tenant_id == tenant_id, threads.c.platform == platform, threads.c.channel_id == channel_id
    )
    if not with_private:
        wanted = wanted.where(threads.c.thread_id.not_like(f"{PRIVATE_THREAD}%"))
    if search:
        said = exists().where(
            message_table.c.tenant_id == tenant_id,
            message_table.c.thread_uid == threads.c.thread_uid,
            _contains(message_table.c.text, search),
        )
        wanted = wanted.where(_contains(threads.c.title, search) | said)
    order = (threads.c.pinned.desc(), threads.c.updated_at.desc()) if pinned_first else (threads.c.updated_at.desc(),)
    rows = await session.execute(wanted.order_by(*order).limit(limit))
    return [
        ThreadRow(ThreadKey(r.tenant_id, r.platform, r.channel_id, r.thread_id), r.title, r.updated_at, r.pinned)
        for r in rows
    ]


def _contains(column: Column[Any], searched: str) -> ColumnElement[bool]:
    return func.strpos(func.lower(column), func.lower(searched)) > 0


async def rename(session: AsyncSession, *, thread: ThreadKey, title: str) -> bool:
    """Give a thread a title that later edits of its first question do not change. Return False if it has no message."""
    return await _change(session, thread, title=title, named=True)


async def pin(session: AsyncSession, *, thread: ThreadKey, pinned: bool) -> bool:
    """Pin a thread to the top of the list, or undo that. Return False if it has no message."""
    return await _change(session, thread, pinned=pinned)


async def _change(session: AsyncSession, thread: ThreadKey, **values: Any) -> bool:
    mine = (threads.c.tenant_id == thread.tenant_id) & (threads.c.thread_uid == thread_uid(thread))
    changed = update(threads).where(mine, threads.c.title != "").values(**values).returning(threads.c.thread_uid)
    return (await session.scalar(changed)) is not None


async def title_of(session: AsyncSession, *, thread: ThreadKey) -> str:
    """Return the title of a thread; empty if the thread does not exist or has no question left."""
    found = await session.scalar(
        select(threads.c.title).where(
            threads.c.tenant_id == thread.tenant_id, threads.c.thread_uid == thread_uid(thread)
        )
    )
    return str(found or "")


async def messages(
    session: AsyncSession,
    *,
    tenant_id: str,
    thread: ThreadKey,
    latest: int | None = None,
    before: str | None = None,
) -> list[MessageRow]:
    """Return the messages of the thread, oldest first, with what is shown under each answer.

    ``latest`` is the number of turns to read, the latest ones; None reads all. With ``before``, the ID of a turn, only
    the turns that were asked before it count.
    """
    uid = thread_uid(thread)
    wanted = select(turns.c.turn_id).where(turns.c.tenant_id == tenant_id, turns.c.thread_uid == uid)
    if before is not None:
        bound = select(turns.c.seq).where(turns.c.tenant_id == tenant_id, turns.c.turn_id == uuid.UUID(before))
        wanted = wanted.where(turns.c.seq < bound.scalar_subquery())
    if latest is not None:
        # The turn of a deleted question stays, without messages.
        kept = exists().where(message_table.c.tenant_id == tenant_id, message_table.c.turn_id == turns.c.turn_id)
        wanted = wanted.where(kept).order_by(turns.c.seq.desc()).limit(latest)
    rows = await session.execute(
        select(message_table, turns.c.state, turns.c.citations, turns.c.trace, turns.c.cached, turns.c.refused)
        .join(
            turns,
            (turns.c.tenant_id == message_table.c.tenant_id) & (turns.c.turn_id == message_table.c.turn_id),
        )
        .where(
            message_table.c.tenant_id == tenant_id,
            message_table.c.thread_uid == uid,
            message_table.c.turn_id.in_(wanted),
        )
        .order_by(turns.c.seq, message_table.c.seq)
    )
    return [_message_row(r) for r in rows]


def _message_row(row: Any) -> MessageRow:
    answer = row.role == "assistant"
    route = row.trace.get("route") or {}
    return MessageRow(
        turn_id=str(row.turn_id),
        role=row.role,
        author=row.author,
        text=row.text,
        created_at=row.created_at,
        state=row.state,
        citations=citations_from(row.citations) if answer else (),
        notes=tuple(row.trace.get("notes", ())) if answer else (),
        links=frozenset(row.trace.get("links", ())) if answer else frozenset(),
        refused=row.refused,
        model=route.get("model") if answer and not row.cached else None,
    )


async def asked_at(session: AsyncSession, *, tenant_id: str, turn_id: str) -> datetime | None:
    """Return when a question was asked; None if the turn is not stored."""
    found = await session.scalar(
        select(turns.c.created_at).where(turns.c.tenant_id == tenant_id, turns.c.turn_id == uuid.UUID(turn_id))
    )
    return found if isinstance(found, datetime) else None


async def ratings(session: AsyncSession, *, tenant_id: str, turn_ids: Sequence[str], user_id: str) -> Mapping[str, int]:
    """Return the person's thumbs by turn ID: 1 or -1. Turns without one are left out."""
    rows = await session.execute(
        select(feedback.c.turn_id, feedback.c.value).where(
            feedback.c.tenant_id == tenant_id,
            feedback.c.user_id == user_id,
            feedback.c.turn_id.in_([uuid.UUID(turn_id) for turn_id in turn_ids]),
        )
    )
    return {str(row.turn_id): int(row.value) for row in rows}


_MOST_ASKED = text("""
    SELECT (array_agg(question ORDER BY seq DESC))[1] AS question
    FROM turns
    WHERE tenant_id = :tenant AND platform = 'web' AND channel_id = :channel AND created_at > :since
        AND thread_id NOT LIKE :private AND state = 'done' AND kind <> 'copied' AND refused IS NULL
        AND citations <> '[]' AND question <> '' AND length(question) <= :chars AND NOT EXISTS (
            SELECT FROM turns AS earlier
            WHERE earlier.tenant_id = :tenant AND earlier.thread_uid = turns.thread_uid AND earlier.seq < turns.seq
        )
    GROUP BY lower(trim(question))
    HAVING count(*) > 1
    ORDER BY count(*) DESC, max(seq) DESC
    LIMIT :limit
""")


async def most_asked(
    session: AsyncSession, *, tenant_id: str, channel_id: str, since: datetime, chars: int, limit: int
) -> list[str]:
    """Return the questions that began several conversations of the page and were answered from documents.

    The most frequent is first. Questions of more than ``chars`` characters are left out, and so are private ones.
    """
    values = {"channel": channel_id, "since": since, "private": f"{PRIVATE_THREAD}%", "chars": chars, "limit": limit}
    return [str(one) for one in await session.scalars(_MOST_ASKED, {"tenant": tenant_id, **values})]
