"""Stores facts that people stated in threads. The latest about a subject is valid; earlier ones are kept with it."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.engine.memory import StatedFact, VerifiedFact
from bot.store.database.pipelined_transactions import Statement, Template, send
from bot.store.schema import facts, turns
from bot.store.threads import thread_uid
from bot.types.conversation import Author, Fact, ThreadKey
from bot.types.turns import Turn

MOST = 200
"""Maximum number of facts of a thread that are read, the latest first."""


async def learn(session: AsyncSession, *, turn: Turn, said: Sequence[StatedFact]) -> None:
    """Store the facts that the turn's author stated in it. They replace the facts stored for the turn before.

    Nothing is stored if the question was edited or deleted meanwhile.
    """
    tenant_id = turn.thread.tenant_id
    asked = select(turns.c.question).where(turns.c.tenant_id == tenant_id, turns.c.turn_id == uuid.UUID(turn.id))
    if await session.scalar(asked.with_for_update(read=True)) != turn.question:
        return
    of_turn = (facts.c.tenant_id == tenant_id) & (facts.c.turn_id == uuid.UUID(turn.id))
    await session.execute(delete(facts).where(of_turn))
    for one in said:
        await _keep(session, turn.thread, turn.id, turn.author, turn.created_at, one)


async def quote(session: AsyncSession, *, thread: ThreadKey, quoted: Sequence[VerifiedFact]) -> None:
    """Store facts quoted from questions of the thread, each once, with the question's author and date."""
    for one in quoted:
        asked = (
            await session.execute(
                select(turns.c.turn_id, turns.c.user_id, turns.c.user_name, turns.c.created_at).where(
                    turns.c.tenant_id == thread.tenant_id,
                    turns.c.thread_uid == thread_uid(thread),
                    turns.c.seq == one.seq,
                )
            )
        ).one()
        if not await _is_kept(session, thread, asked.turn_id, one.said):
            author = Author(asked.user_id, asked.user_name)
            await _keep(session, thread, str(asked.turn_id), author, asked.created_at, one.said)


async def _is_kept(session: AsyncSession, thread: ThreadKey, turn_id: uuid.UUID, said: StatedFact) -> bool:
    """Return whether the question's fact is already stored, in the same words or as extracted by a pattern."""
    rows = await session.execute(
        select(facts.c.subject, facts.c.text).where(facts.c.tenant_id == thread.tenant_id, facts.c.turn_id == turn_id)
    )
    text = said.text.casefold()
    return any(row.subject == said.subject or row.text.casefold() in text for row in rows)


async def _keep(
    session: AsyncSession, thread: ThreadKey, turn_id: str, author: Author, said_at: datetime, one: StatedFact
) -> None:
    await session.execute(
        insert(facts).values(
            tenant_id=thread.tenant_id,
            fact_id=uuid.uuid4(),
            thread_uid=thread_uid(thread),
            turn_id=uuid.UUID(turn_id),
            kind=one.kind,
            subject=one.subject,
            text=one.text,
            author_id=author.id,
            author=author.name,
            said_at=said_at,
        )
    )


async def current(session: AsyncSession, *, thread: ThreadKey) -> list[Fact]:
    """Return the thread's facts that are valid, oldest first."""
    (rows,) = await send(session, current_read(thread))
    return current_in(rows)


def current_read(thread: ThreadKey) -> Statement:
    """Return the statement whose rows ``current_in`` takes."""
    return _CURRENT(tenant=thread.tenant_id, thread=thread_uid(thread))


def current_in(rows: Sequence[Any]) -> list[Fact]:
    """Return the valid facts from their rows, oldest first."""
    latest: dict[str, Fact] = {}
    for row in rows:
        latest.setdefault(row.subject, _fact(row))
    return list(reversed(latest.values()))


_CURRENT = Template(
    select(facts)
    .where(facts.c.tenant_id == bindparam("tenant"), facts.c.thread_uid == bindparam("thread"))
    .order_by(facts.c.said_at.desc(), facts.c.created_at.desc(), facts.c.fact_id)
    .limit(MOST)
)


async def forget(session: AsyncSession, *, thread: ThreadKey, subjects: Collection[str]) -> int:
    """Delete all facts about these subjects in the thread, including superseded ones. Return their number."""
    gone = await session.execute(
        delete(facts)
        .where(
            facts.c.tenant_id == thread.tenant_id,
            facts.c.thread_uid == thread_uid(thread),
            facts.c.subject.in_(list(subjects)),
        )
        .returning(facts.c.fact_id)
    )
    return len(gone.all())


def _fact(row: Any) -> Fact:
    return Fact(
        id=str(row.fact_id),
        turn_id=str(row.turn_id),
        kind=row.kind,
        subject=row.subject,
        text=row.text,
        author_id=row.author_id,
        author=row.author,
        said_at=row.said_at,
    )
