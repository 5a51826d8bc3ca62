"""Facts that people stated in threads. Of two about one subject the later holds; the earlier is kept until both go."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.engine.memory import Said
from bot.store.tables import facts
from bot.store.threads import thread_uid
from bot.types import Fact, ThreadKey, Turn

MOST = 200
"""Facts of a thread that are read, the latest ones."""


async def learn(session: AsyncSession, *, turn: Turn, said: Sequence[Said]) -> None:
    """Keep what the turn's author stated in it, in place of what was kept of the turn before."""
    tenant_id = turn.thread.tenant_id
    of_turn = (facts.c.tenant_id == tenant_id) & (facts.c.turn_id == uuid.UUID(turn.id))
    await session.execute(delete(facts).where(of_turn))
    for one in said:
        await session.execute(
            insert(facts).values(
                tenant_id=tenant_id,
                fact_id=uuid.uuid4(),
                thread_uid=thread_uid(turn.thread),
                turn_id=uuid.UUID(turn.id),
                kind=one.kind,
                subject=one.subject,
                text=one.text,
                author_id=turn.author.id,
                author=turn.author.name,
                said_at=turn.created_at,
            )
        )


async def current(session: AsyncSession, *, thread: ThreadKey) -> list[Fact]:
    """The facts that hold in the thread, oldest first."""
    rows = await session.execute(
        select(facts)
        .where(facts.c.tenant_id == thread.tenant_id, facts.c.thread_uid == thread_uid(thread))
        .order_by(facts.c.said_at.desc(), facts.c.created_at.desc(), facts.c.fact_id)
        .limit(MOST)
    )
    latest: dict[str, Fact] = {}
    for row in rows:
        latest.setdefault(row.subject, _fact(row))
    return list(reversed(latest.values()))


async def forget(session: AsyncSession, *, thread: ThreadKey, subjects: Collection[str]) -> int:
    """Delete everything stated about these subjects in the thread, superseded facts too; the number deleted."""
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
