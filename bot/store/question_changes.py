"""Handles edited and deleted questions: queues the turn again, or erases it, with everything derived from it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, case, cast, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store import reply_parts, turn_queue
from bot.store.leases import LEASE
from bot.store.schema import answers, attachments, facts, feedback, message_vectors, messages, threads, turns
from bot.store.threads import title
from bot.store.turns import ANYBODY, OPEN
from bot.types.audience import Audience
from bot.types.turns import Notice

FORGOTTEN = "The question was deleted."


async def begin_anew(
    session: AsyncSession,
    *,
    tenant_id: str,
    turn_id: str,
    question: str,
    audience: Audience,
    tokens: int,
    holder: int | None,
) -> bool:
    """Queue the turn again with an edited question and erase everything derived from the first one; its lease is lost.

    Return False if the text is unchanged, or if the question was deleted, since events can arrive out of order.
    """
    changed = await session.scalar(
        update(turns)
        .where(
            turns.c.tenant_id == tenant_id,
            turns.c.turn_id == uuid.UUID(turn_id),
            turns.c.question != question,
            turns.c.question != "",
        )
        .values(
            question=question,
            audience=audience.readers,
            tenant_wide=audience.tenant_wide,
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
    # The messages come first, because a vector of the old question may be stored while its message waits for a lock.
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
    await _drop_traces(session, tenant_id, uuid.UUID(turn_id), changed)
    await session.execute(
        update(threads)
        .where(threads.c.tenant_id == tenant_id, threads.c.thread_uid == changed, _opened_by(uuid.UUID(turn_id)))
        .values(title=title(question))
    )
    await turn_queue.tell(session, Notice("moved", turn_id))
    return True


async def forget_turn(session: AsyncSession, *, tenant_id: str, turn_id: str, holder: int | None = None) -> None:
    """End the turn and erase its question and answer. Its ledger rows stay.

    Its reply messages must still be removed, by the process that holds the turn, because it may be posting one at the
    moment, or else by the process ``holder``.
    """
    uid = uuid.UUID(turn_id)
    held = turns.c.state.in_(OPEN) | turns.c.withdrawn_at.is_not(None) | turns.c.deliver_at.is_not(None)
    row = (
        await session.execute(
            update(turns)
            .where(turns.c.tenant_id == tenant_id, turns.c.turn_id == uid)
            .values(
                question="",
                state="cancelled",
                fence=turns.c.fence + 1,
                holder=case((held, func.coalesce(func.nullif(turns.c.holder, ANYBODY), holder)), else_=holder),
                withdrawn_at=func.now(),
                lease_until=None,
                finished_at=func.coalesce(turns.c.finished_at, func.now()),
                **_EMPTY | {"refused": FORGOTTEN},
            )
            .returning(turns.c.thread_uid)
        )
    ).one()
    await _drop_traces(session, tenant_id, uid, row.thread_uid)
    for table in (messages, attachments):
        await session.execute(delete(table).where(table.c.tenant_id == tenant_id, table.c.turn_id == uid))
    await session.execute(
        update(threads)
        .where(threads.c.tenant_id == tenant_id, threads.c.thread_uid == row.thread_uid)
        .values(title=func.coalesce(_first_words(row.thread_uid, tenant_id), ""))
    )
    await turn_queue.tell(session, Notice("moved", turn_id))


async def taken_away(session: AsyncSession, *, tenant_id: str, turn_id: str, holder: int | None) -> bool:
    """Record that a deleted question's reply is gone. Return False if another process must record it."""
    ours = turns.c.holder.is_(None) | turns.c.holder.in_((ANYBODY, holder or ANYBODY))
    done = await session.execute(
        update(turns)
        .where(
            turns.c.tenant_id == tenant_id,
            turns.c.turn_id == uuid.UUID(turn_id),
            ours | (turns.c.withdrawn_at < func.now() - LEASE),
        )
        .values(withdrawn_at=None)
        .returning(turns.c.seq)
    )
    if done.first() is None:
        return False
    await reply_parts.drop(session, tenant_id=tenant_id, turn_id=turn_id)
    return True


_EMPTY: dict[str, Any] = {
    "answer": "",
    "citations": [],
    "cached": False,
    "refused": None,
    "trace": {},
    "deliver_at": None,
}


async def _drop_traces(session: AsyncSession, tenant_id: str, turn_id: uuid.UUID, thread_uid: uuid.UUID) -> None:
    """Erase everything derived from the turn.

    This includes cache entries and ratings of the answer, facts stated by the question, vectors of its messages, what
    later turns recorded about it, and a summary that includes it. The summary is written again from the remaining
    messages. Locks later turns before the thread, in the same order as the end of an answer.
    """
    own = select(turns.c.seq).where(turns.c.tenant_id == tenant_id, turns.c.turn_id == turn_id).scalar_subquery()
    await forget_in_traces(session, tenant_id, [thread_uid], turns.c.seq > own)
    await _lock_thread(session, tenant_id, thread_uid)
    for table in (answers, facts, feedback):
        await session.execute(delete(table).where(table.c.tenant_id == tenant_id, table.c.turn_id == turn_id))
    spoken = select(messages.c.seq).where(messages.c.tenant_id == tenant_id, messages.c.turn_id == turn_id)
    await session.execute(
        delete(message_vectors).where(message_vectors.c.tenant_id == tenant_id, message_vectors.c.seq.in_(spoken))
    )
    await session.execute(
        update(threads)
        .where(threads.c.tenant_id == tenant_id, threads.c.thread_uid == thread_uid, threads.c.summary_upto >= own)
        .values(summary="", summary_upto=0)
    )


async def _lock_thread(session: AsyncSession, tenant_id: str, thread_uid: uuid.UUID) -> None:
    """Lock the thread, so that no summary of the turn's messages is stored after this."""
    await session.execute(
        select(threads.c.thread_uid)
        .where(threads.c.tenant_id == tenant_id, threads.c.thread_uid == thread_uid)
        .with_for_update(key_share=True)
    )


async def forget_in_traces(
    session: AsyncSession, tenant_id: str, thread_uids: Sequence[uuid.UUID], *which: ColumnElement[bool]
) -> None:
    """Remove from the traces of the threads' turns what they recorded about earlier messages."""
    noted = cast(["query", "searched", "recalled", "facts", "notes", "restarts"], ARRAY(Text))
    await session.execute(
        update(turns)
        .where(turns.c.tenant_id == tenant_id, turns.c.thread_uid.in_(thread_uids), turns.c.trace != {}, *which)
        .values(trace=turns.c.trace.op("-")(noted))
    )


def _opened_by(turn_id: uuid.UUID) -> Any:
    """Return whether the thread started with this turn."""
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
