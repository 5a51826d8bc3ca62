"""Turns: accepted once, run by one process at a time, finished once.

``holder`` is the number of the process that a turn is with: a queued one waits for that process, or, where it is
ANYBODY's, for whoever has a place free; None stands for a process that does not say that it lives.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import LeaseLost
from bot.store import attachments, threads
from bot.store.tables import inbox, reply_parts, turns
from bot.types import Author, Incoming, Lease, Outcome, ThreadKey, Turn, TurnState

LEASE = timedelta(seconds=30)
"""How long a process may stay silent before another may take its turn."""

OPEN: tuple[TurnState, ...] = ("queued", "running")

ANYBODY = 0

TAKEN = "Another process answers this question now."

AGAIN = ":"
"""Between a message's id and what makes the id of one that asks it again."""


# One statement, for the platform waits for it. The turn is made from the thread's row, which is locked by then: the
# turns of a thread get their numbers in the order in which their acceptances are committed.
_ACCEPT = text(
    """
    WITH home AS (
        INSERT INTO tenants (tenant_id, platform) VALUES (:tenant, :platform) ON CONFLICT DO NOTHING
    ), noted AS (
        INSERT INTO inbox (tenant_id, channel_id, message_id, turn_id) VALUES (:tenant, :channel, :message, :turn)
        ON CONFLICT DO NOTHING
        RETURNING turn_id
    ), thread AS (
        INSERT INTO threads AS known (tenant_id, thread_uid, platform, channel_id, thread_id, title)
        SELECT :tenant, CAST(:thread_uid AS uuid), :platform, :channel, :thread, :title FROM noted
        ON CONFLICT (tenant_id, thread_uid) DO UPDATE SET updated_at = now()
        RETURNING known.thread_uid
    ), turn AS (
        INSERT INTO turns (tenant_id, turn_id, thread_uid, platform, channel_id, thread_id, message_id, user_id,
                           user_name, user_role, question, wish, fresh, state, holder)
        SELECT :tenant, CAST(:turn AS uuid), thread_uid, :platform, :channel, :thread, :message, :user, :user_name,
               :role, :question, :wish, :fresh, 'queued', CAST(:holder AS integer)
        FROM thread
        RETURNING *
    ), said AS (
        INSERT INTO messages (tenant_id, thread_uid, turn_id, role, author_id, author, text, tokens)
        SELECT tenant_id, thread_uid, turn_id, 'user', user_id, user_name, question, :tokens FROM turn
    )
    SELECT * FROM turn
    """
)


async def accept(session: AsyncSession, *, incoming: Incoming, tokens: int, holder: int | None = None) -> Turn | None:
    """Write inbox row, thread, turn and the question; None where the message was accepted before."""
    key, turn_id = incoming.thread, uuid.uuid4()
    accepted = await session.execute(
        _ACCEPT,
        {
            "tenant": key.tenant_id,
            "platform": key.platform,
            "channel": key.channel_id,
            "thread": key.thread_id,
            "thread_uid": threads.thread_uid(key),
            "title": threads.title(incoming.text),
            "message": incoming.message_id,
            "turn": turn_id,
            "user": incoming.author.id,
            "user_name": incoming.author.name,
            "role": incoming.author.role,
            "question": incoming.text,
            "wish": incoming.wish,
            "fresh": incoming.fresh,
            "holder": holder,
            "tokens": tokens,
        },
    )
    row = accepted.one_or_none()
    if row is None:
        return None
    await attachments.add(session, tenant_id=key.tenant_id, turn_id=turn_id, files=incoming.attachments)
    return _turn(row, (), 0)


async def first(session: AsyncSession, *, thread: ThreadKey, message_id: str) -> bool:
    """Note a message that becomes no turn; False where it was noted or accepted before."""
    noted = await session.execute(
        insert(inbox)
        .values(
            tenant_id=thread.tenant_id, channel_id=thread.channel_id, message_id=message_id, turn_id=uuid.UUID(int=0)
        )
        .on_conflict_do_nothing()
        .returning(inbox.c.turn_id)
    )
    return noted.first() is not None


async def of_message(session: AsyncSession, *, thread: ThreadKey, message_id: str) -> list[str]:
    """The id of the turn that a message became, then of those that asked it again."""
    found = await session.scalars(
        select(inbox.c.turn_id)
        .where(
            inbox.c.tenant_id == thread.tenant_id,
            inbox.c.channel_id == thread.channel_id,
            or_(
                inbox.c.message_id == message_id,
                inbox.c.message_id.startswith(f"{message_id}{AGAIN}", autoescape=True),
            ),
        )
        .order_by(inbox.c.message_id)
    )
    return [str(turn_id) for turn_id in found]


async def get(session: AsyncSession, *, tenant_id: str, turn_id: str) -> Turn | None:
    """One turn with the reply messages known so far."""
    row = await row_of(session, tenant_id=tenant_id, turn_id=turn_id)
    if row is None:
        return None
    known = await parts(session, tenant_id=tenant_id, turn_id=turn_id)
    return _turn(row, known, await recorded(session, tenant_id=tenant_id, turn_id=turn_id))


async def row_of(session: AsyncSession, *, tenant_id: str, turn_id: str) -> Any | None:
    """The stored row of a turn; ``turn_id`` may be anything a person typed."""
    try:
        uid = uuid.UUID(turn_id)
    except ValueError:
        return None
    return (
        await session.execute(select(turns).where(turns.c.tenant_id == tenant_id, turns.c.turn_id == uid))
    ).one_or_none()


async def latest(session: AsyncSession, *, thread: ThreadKey) -> str | None:
    """The id of the thread's last turn."""
    found = await session.scalar(
        select(turns.c.turn_id)
        .where(turns.c.tenant_id == thread.tenant_id, turns.c.thread_uid == threads.thread_uid(thread))
        .order_by(turns.c.seq.desc())
        .limit(1)
    )
    return str(found) if found else None


async def parts(session: AsyncSession, *, tenant_id: str, turn_id: str) -> tuple[str, ...]:
    """References of the reply messages that were posted, in order."""
    rows = await session.scalars(
        select(reply_parts.c.ref)
        .where(
            reply_parts.c.tenant_id == tenant_id,
            reply_parts.c.turn_id == uuid.UUID(turn_id),
            reply_parts.c.ref.is_not(None),
        )
        .order_by(reply_parts.c.part)
    )
    return tuple(str(ref) for ref in rows)


async def recorded(session: AsyncSession, *, tenant_id: str, turn_id: str) -> int:
    """How many reply messages are on record, posted or about to be."""
    found = await session.scalar(
        select(func.count()).where(reply_parts.c.tenant_id == tenant_id, reply_parts.c.turn_id == uuid.UUID(turn_id))
    )
    return int(found or 0)


_TAKE = text(
    """
    UPDATE turns
    SET state = 'running', fence = fence + 1, holder = CAST(:holder AS integer),
        takeovers = takeovers + CASE WHEN state = 'running' THEN 1 ELSE 0 END,
        lease_until = now() + CAST(:lease AS interval), started_at = coalesce(started_at, now())
    WHERE tenant_id = :tenant AND turn_id = CAST(:turn AS uuid)
      AND (state = 'queued' AND (holder IS NULL OR holder IN (0, CAST(:holder AS integer)))
           OR state = 'running' AND (lease_until < now() OR holder = CAST(:holder AS integer)))
      AND NOT EXISTS (
          SELECT 1 FROM turns older
          WHERE older.tenant_id = turns.tenant_id AND older.thread_uid = turns.thread_uid
            AND older.seq < turns.seq AND older.state IN ('queued', 'running'))
    RETURNING fence, takeovers, stopping,
        (SELECT count(*) FROM reply_parts part
         WHERE part.tenant_id = turns.tenant_id AND part.turn_id = turns.turn_id) AS recorded
    """
)


async def lease(session: AsyncSession, *, turn: Turn, holder: int | None = None) -> Lease | None:
    """Take the turn; None while the thread is busy with it or with an earlier one. Raises LeaseLost once it ended.

    A turn that runs in this very process's name was leased in a transaction whose commit nobody heard of. Raises
    IntegrityError where another turn of the thread was leased in the same moment.
    """
    asked = {"tenant": turn.thread.tenant_id, "turn": turn.id, "holder": holder, "lease": LEASE}
    taken = (await session.execute(_TAKE, asked)).one_or_none()
    if taken is not None:
        return Lease(turn.id, taken.fence, taken.takeovers, taken.recorded, taken.stopping)
    state = await session.scalar(select(turns.c.state).where(is_turn(turn)))
    if state not in OPEN:
        raise LeaseLost("This question has been answered already.")
    return None


async def renew(session: AsyncSession, *, turn: Turn, lease: Lease) -> None:
    """Prolong the lease. Raises LeaseLost."""
    await _fenced(session, turn, lease, lease_until=func.now() + LEASE)


async def ask_to_stop(session: AsyncSession, *, turn: Turn) -> bool:
    """Note that somebody stops the turn, wherever it runs; False where it has ended."""
    asked = await session.execute(
        update(turns).where(is_turn(turn), turns.c.state.in_(OPEN)).values(stopping=True).returning(turns.c.seq)
    )
    return asked.first() is not None


async def open_turns(session: AsyncSession, *, thread: ThreadKey) -> list[Turn]:
    """The thread's turns that wait or run, oldest first."""
    rows = await session.execute(
        select(turns)
        .where(
            turns.c.tenant_id == thread.tenant_id,
            turns.c.thread_uid == threads.thread_uid(thread),
            turns.c.state.in_(OPEN),
        )
        .order_by(turns.c.seq)
    )
    return [_turn(row, (), 0) for row in rows]


async def hand_back(session: AsyncSession, *, turn: Turn, lease: Lease) -> None:
    """Put the turn back into the queue, for anybody. Raises LeaseLost."""
    await _fenced(session, turn, lease, state="queued", lease_until=None, holder=ANYBODY)


async def end(session: AsyncSession, *, turn: Turn, lease: Lease, outcome: Outcome) -> None:
    """Store how the turn ended. Raises LeaseLost."""
    await _fenced(
        session,
        turn,
        lease,
        state=outcome.state,
        lease_until=None,
        stopping=False,
        answer=outcome.answer,
        citations=[asdict(citation) for citation in outcome.citations],
        cached=outcome.cached,
        refused=outcome.refused,
        trace=dict(outcome.trace),
        finished_at=func.now(),
    )


async def ended(session: AsyncSession, *, turn: Turn, lease: Lease, state: TurnState) -> bool:
    """Whether the turn ended so under this lease: the commit of ``end`` may go through though nobody hears of it."""
    found = await session.scalar(
        select(turns.c.fence).where(is_turn(turn), turns.c.state == state, turns.c.fence == lease.fence)
    )
    return found is not None


async def record_part(session: AsyncSession, *, turn: Turn, lease: Lease, index: int, ref: str | None) -> None:
    """Remember a reply message: before it is posted without, after with its reference. Raises LeaseLost."""
    noted = await session.execute(
        _RECORD_PART,
        {
            "tenant": turn.thread.tenant_id,
            "turn": turn.id,
            "fence": lease.fence,
            "lease": LEASE,
            "part": index,
            "ref": ref,
        },
    )
    if noted.first() is None:
        raise LeaseLost(TAKEN)


_RECORD_PART = text(
    """
    WITH held AS (
        UPDATE turns SET lease_until = now() + CAST(:lease AS interval)
        WHERE tenant_id = :tenant AND turn_id = CAST(:turn AS uuid) AND state = 'running' AND fence = :fence
        RETURNING tenant_id, turn_id
    )
    INSERT INTO reply_parts AS known (tenant_id, turn_id, part, ref)
    SELECT tenant_id, turn_id, :part, CAST(:ref AS text) FROM held
    ON CONFLICT (tenant_id, turn_id, part) DO UPDATE SET ref = coalesce(excluded.ref, known.ref)
    RETURNING 1
    """
)


async def note_part(session: AsyncSession, turn: Turn, index: int, ref: str | None) -> None:
    """Write a reply message down; a reference that is known stays."""
    statement = insert(reply_parts).values(
        tenant_id=turn.thread.tenant_id, turn_id=uuid.UUID(turn.id), part=index, ref=ref
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "turn_id", "part"],
            set_={"ref": func.coalesce(statement.excluded.ref, reply_parts.c.ref)},
        )
    )


def is_turn(turn: Turn) -> Any:
    return and_(turns.c.tenant_id == turn.thread.tenant_id, turns.c.turn_id == uuid.UUID(turn.id))


async def _fenced(session: AsyncSession, turn: Turn, lease: Lease, **values: Any) -> None:
    result = await session.execute(
        update(turns)
        .where(is_turn(turn), turns.c.state == "running", turns.c.fence == lease.fence)
        .values(**values)
        .returning(turns.c.turn_id)
    )
    if result.first() is None:
        raise LeaseLost(TAKEN)


def _turn(row: Any, known: tuple[str, ...], on_record: int) -> Turn:
    return Turn(
        id=str(row.turn_id),
        thread=ThreadKey(row.tenant_id, row.platform, row.channel_id, row.thread_id),
        message_id=row.message_id,
        author=Author(row.user_id, row.user_name, row.user_role == "admin"),
        question=row.question,
        wish=row.wish,
        fresh=row.fresh,
        created_at=row.created_at,
        parts=known,
        recorded=on_record,
    )
