"""A question that was changed or deleted: its turn begins anew, or is forgotten, with all that was made of it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, cast, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store import waiting
from bot.store.tables import (
    answers,
    attachments,
    facts,
    feedback,
    message_vectors,
    messages,
    reply_parts,
    threads,
    turns,
)
from bot.store.threads import title
from bot.types import Notice

FORGOTTEN = "The question was deleted."


async def begin_anew(
    session: AsyncSession, *, tenant_id: str, turn_id: str, question: str, tokens: int, holder: int | None
) -> bool:
    """Let the turn answer another question in the place of the first; False where it asks just that already.

    Whoever runs it has lost it. What came of the first question is forgotten.
    """
    changed = await session.scalar(
        update(turns)
        .where(turns.c.tenant_id == tenant_id, turns.c.turn_id == uuid.UUID(turn_id), turns.c.question != question)
        .values(
            question=question,
            state="queued",
            fence=turns.c.fence + 1,
            holder=holder,
            lease_until=None,
            stopping=False,
            takeovers=0,
            finished_at=None,
            **_EMPTY,
        )
        .returning(turns.c.thread_uid)
    )
    if changed is None:
        return False
    await _drop_traces(session, tenant_id, uuid.UUID(turn_id))
    await session.execute(
        update(threads)
        .where(threads.c.tenant_id == tenant_id, threads.c.thread_uid == changed, _opened_by(uuid.UUID(turn_id)))
        .values(title=title(question))
    )
    await session.execute(
        update(messages)
        .where(messages.c.tenant_id == tenant_id, messages.c.turn_id == uuid.UUID(turn_id), messages.c.role == "user")
        .values(text=question, tokens=tokens)
    )
    await session.execute(
        delete(messages).where(
            messages.c.tenant_id == tenant_id, messages.c.turn_id == uuid.UUID(turn_id), messages.c.role == "assistant"
        )
    )
    await waiting.tell(session, Notice("moved", turn_id))
    return True


async def forget_turn(session: AsyncSession, *, tenant_id: str, turn_id: str) -> None:
    """End the turn and keep nothing of what was asked and answered; its ledger rows stay."""
    uid = uuid.UUID(turn_id)
    row = (
        await session.execute(
            update(turns)
            .where(turns.c.tenant_id == tenant_id, turns.c.turn_id == uid)
            .values(
                question="",
                state="cancelled",
                fence=turns.c.fence + 1,
                lease_until=None,
                finished_at=func.coalesce(turns.c.finished_at, func.now()),
                **_EMPTY | {"refused": FORGOTTEN},
            )
            .returning(turns.c.thread_uid)
        )
    ).one()
    await _drop_traces(session, tenant_id, uid)
    for table in (messages, attachments):
        await session.execute(delete(table).where(table.c.tenant_id == tenant_id, table.c.turn_id == uid))
    await session.execute(
        update(threads)
        .where(threads.c.tenant_id == tenant_id, threads.c.thread_uid == row.thread_uid)
        .values(title=func.coalesce(_first_words(row.thread_uid, tenant_id), ""))
    )
    await waiting.tell(session, Notice("moved", turn_id))


async def drop_parts(session: AsyncSession, *, tenant_id: str, turn_id: str) -> None:
    """Forget the reply messages of a turn: they are no longer there."""
    await session.execute(
        delete(reply_parts).where(reply_parts.c.tenant_id == tenant_id, reply_parts.c.turn_id == uuid.UUID(turn_id))
    )


_EMPTY: dict[str, Any] = {"answer": "", "citations": [], "cached": False, "refused": None, "trace": {}}


async def _drop_traces(session: AsyncSession, tenant_id: str, turn_id: uuid.UUID) -> None:
    """Cache entries and thumbs of the answer, the facts that its question stated, the vectors of its messages, what
    later turns of its thread noted of it, and a summary that took it in: that is written anew from what is left."""
    thread_uid = await _locked_thread(session, tenant_id, turn_id)
    for table in (answers, facts, feedback):
        await session.execute(delete(table).where(table.c.tenant_id == tenant_id, table.c.turn_id == turn_id))
    spoken = select(messages.c.seq).where(messages.c.tenant_id == tenant_id, messages.c.turn_id == turn_id)
    await session.execute(
        delete(message_vectors).where(message_vectors.c.tenant_id == tenant_id, message_vectors.c.seq.in_(spoken))
    )
    own = select(turns.c.seq).where(turns.c.tenant_id == tenant_id, turns.c.turn_id == turn_id).scalar_subquery()
    await session.execute(
        update(threads)
        .where(threads.c.tenant_id == tenant_id, threads.c.thread_uid == thread_uid, threads.c.summary_upto >= own)
        .values(summary="", summary_upto=0)
    )
    await forget_in_traces(session, tenant_id, [thread_uid], turns.c.seq > own)


async def _locked_thread(session: AsyncSession, tenant_id: str, turn_id: uuid.UUID) -> uuid.UUID:
    """The turn's thread. A summary that is being made of its messages is kept before this, or not at all."""
    of = select(turns.c.thread_uid).where(turns.c.tenant_id == tenant_id, turns.c.turn_id == turn_id).scalar_subquery()
    locked = await session.execute(
        select(threads.c.thread_uid)
        .where(threads.c.tenant_id == tenant_id, threads.c.thread_uid == of)
        .with_for_update(key_share=True)
    )
    thread_uid = locked.scalar_one()
    assert isinstance(thread_uid, uuid.UUID)
    return thread_uid


async def forget_in_traces(
    session: AsyncSession, tenant_id: str, thread_uids: Sequence[uuid.UUID], *which: ColumnElement[bool]
) -> None:
    """Take out of the traces of the threads' turns what each noted of the messages before it."""
    noted = cast(["query", "searched", "recalled", "facts"], ARRAY(Text))
    await session.execute(
        update(turns)
        .where(turns.c.tenant_id == tenant_id, turns.c.thread_uid.in_(thread_uids), turns.c.trace != {}, *which)
        .values(trace=turns.c.trace.op("-")(noted))
    )


def _opened_by(turn_id: uuid.UUID) -> Any:
    """Whether the turn is the one that its thread began with."""
    return turn_id == (
        select(turns.c.turn_id)
        .where(turns.c.tenant_id == threads.c.tenant_id, turns.c.thread_uid == threads.c.thread_uid)
        .order_by(turns.c.seq)
        .limit(1)
        .scalar_subquery()
    )


def _first_words(thread_uid: uuid.UUID, tenant_id: str) -> Any:
    first = (
        select(messages.c.text)
        .where(messages.c.tenant_id == tenant_id, messages.c.thread_uid == thread_uid, messages.c.role == "user")
        .order_by(messages.c.seq)
        .limit(1)
        .scalar_subquery()
    )
    return func.left(first, 80)
