"""Stores and reads turns. Which process runs one is in ``leases``.

``holder`` is the number of the process that has a turn. A queued turn waits for that process or, if the holder is
``ANYBODY``, for any process with a free slot. None stands for a process that does not show that it is alive.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store import threads
from bot.store.budgets import budget_reservations
from bot.store.budgets.budget_reservations import Owners
from bot.store.database.pipelined_transactions import Statement, send
from bot.store.schema import inbox, turns
from bot.store.turns import attachments, reply_parts
from bot.types import audience
from bot.types.conversation import Author, Incoming, ThreadKey
from bot.types.turns import Turn, TurnState
from knowledge.store.id_prefixes import id_range

OPEN: tuple[TurnState, ...] = ("queued", "running")

ANYBODY = 0

AGAIN = ":"
"""Separates a message's id from the suffix that a repeated question gets."""

# This is one statement because the platform waits for it. The turn is created from the thread's row, which is locked by
# then, so the turns of a thread are numbered in the order in which their acceptances are committed.
_ACCEPT = f"""
WITH home AS (
    INSERT INTO tenants (tenant_id, platform) VALUES (%(tenant)s, %(platform)s) ON CONFLICT DO NOTHING
), noted AS (
    INSERT INTO inbox (tenant_id, channel_id, message_id, turn_id)
    VALUES (%(tenant)s, %(channel)s, %(message)s, %(turn)s)
    ON CONFLICT DO NOTHING
    RETURNING turn_id
), thread AS (
    INSERT INTO threads AS known (tenant_id, thread_uid, platform, channel_id, thread_id, title)
    SELECT %(tenant)s, %(thread_uid)s, %(platform)s, %(channel)s, %(thread)s, %(title)s FROM noted
    ON CONFLICT (tenant_id, thread_uid) DO UPDATE SET updated_at = excluded.updated_at
    RETURNING known.thread_uid
), turn AS (
    INSERT INTO turns (tenant_id, turn_id, thread_uid, platform, channel_id, thread_id, message_id, kind, user_id,
                       user_name, user_role, question, wish, fresh, audience, tenant_wide, state, holder,
                       edited_at)
    SELECT %(tenant)s, %(turn)s, thread_uid, %(platform)s, %(channel)s, %(thread)s, %(message)s, %(kind)s, %(user)s,
           %(user_name)s, %(role)s, %(question)s, %(wish)s, %(fresh)s, %(readers)s, %(tenant_wide)s, 'queued',
           CAST(%(holder)s AS integer), CAST(%(edited)s AS timestamptz)
    FROM thread
    RETURNING tenant_id, turn_id, thread_uid, platform, channel_id, thread_id, message_id, user_id, user_name,
        user_role, question, wish, fresh, audience, created_at, takeovers
), said AS (
    INSERT INTO messages (tenant_id, thread_uid, turn_id, role, author_id, author, text, tokens)
    SELECT tenant_id, thread_uid, turn_id, 'user', user_id, user_name, question, %(tokens)s FROM turn RETURNING 1
),{budget_reservations.LIMITS},{budget_reservations.taking("turn")}
SELECT tenant_id, turn_id, platform, channel_id, thread_id, message_id, user_id, user_name, user_role, question, wish,
    fresh, audience, created_at, takeovers, (SELECT count(*) FROM held) AS held
FROM turn
"""  # noqa: S608


def accepting(
    incoming: Incoming, *, turn_id: str, tokens: int, holder: int | None, owners: Owners, reservation_id: str, need: int
) -> tuple[Statement, ...]:
    """Insert inbox row, thread, turn and question, reserve ``need`` tokens, and record the files.

    The first statement returns a row for ``accepted``, or none if the message was accepted before.
    """
    key, uid = incoming.thread, uuid.UUID(turn_id)
    given = owners.given | budget_reservations.taken(reservation_id, turn_id, need)
    given |= {
        "platform": key.platform,
        "channel": key.channel_id,
        "thread": key.thread_id,
        "thread_uid": threads.thread_uid(key),
        "title": threads.title(incoming.text),
        "message": incoming.message_id,
        "kind": incoming.kind,
        "user": incoming.author.id,
        "user_name": incoming.author.name,
        "role": incoming.author.role,
        "question": incoming.text,
        "wish": incoming.wish,
        "fresh": incoming.fresh,
        "readers": incoming.audience.readers,
        "tenant_wide": incoming.audience.tenant_wide,
        "holder": holder,
        "edited": incoming.edited_at,
        "tokens": tokens,
    }
    if incoming.attachments_of:
        files = [attachments.copying(tenant_id=key.tenant_id, turn_id=uid, from_turn=incoming.attachments_of)]
    else:
        files = attachments.noting(tenant_id=key.tenant_id, turn_id=uid, files=incoming.attachments)
    return (Statement(_ACCEPT, given), *files)


def accepted(row: Any) -> Turn:
    """Return the turn from the row of ``accepting``."""
    return _turn(row, (), 0)


async def first(session: AsyncSession, *, thread: ThreadKey, message_id: str) -> bool:
    """Record a message that becomes no turn. Return False if it was recorded or accepted before."""
    noted = await session.execute(
        insert(inbox)
        .values(
            tenant_id=thread.tenant_id, channel_id=thread.channel_id, message_id=message_id, turn_id=uuid.UUID(int=0)
        )
        .on_conflict_do_nothing()
        .returning(inbox.c.turn_id)
    )
    return noted.first() is not None


async def not_first(session: AsyncSession, *, thread: ThreadKey, message_id: str) -> None:
    """Undo ``first``, because the action that it guards did not happen."""
    await session.execute(
        delete(inbox).where(
            inbox.c.tenant_id == thread.tenant_id,
            inbox.c.channel_id == thread.channel_id,
            inbox.c.message_id == message_id,
            inbox.c.turn_id == uuid.UUID(int=0),
        )
    )


_OF_MESSAGE = """
SELECT turn_id FROM (
    SELECT turn_id, message_id FROM inbox
    WHERE tenant_id = %(tenant)s AND channel_id = %(channel)s AND message_id = %(message)s
    UNION ALL
    SELECT turn_id, message_id FROM inbox
    WHERE tenant_id = %(tenant)s AND channel_id = %(channel)s
        AND message_id ~>=~ %(first)s AND message_id ~<~ %(end)s
) known
ORDER BY message_id
"""
"""The operators compare bytes, whatever the language of the database, so that an index finds all ids with a prefix."""


async def of_message(session: AsyncSession, *, thread: ThreadKey, message_id: str) -> list[str]:
    """Return the id of a message's turn, then the ids of the turns that asked it again."""
    named = {
        "tenant": thread.tenant_id,
        "channel": thread.channel_id,
        "message": message_id,
        "first": f"{message_id}{AGAIN}",
        "end": f"{message_id}{chr(ord(AGAIN) + 1)}",
    }
    (found,) = await send(session, Statement(_OF_MESSAGE, named))
    return [str(row.turn_id) for row in found]


async def get(session: AsyncSession, *, tenant_id: str, turn_id: str) -> Turn | None:
    """Return one turn with the reply messages known so far."""
    row = await row_of(session, tenant_id=tenant_id, turn_id=turn_id)
    if row is None:
        return None
    known = await reply_parts.refs(session, tenant_id=tenant_id, turn_id=turn_id)
    return _turn(row, known, await reply_parts.recorded(session, tenant_id=tenant_id, turn_id=turn_id))


async def row_of(session: AsyncSession, *, tenant_id: str, turn_id: str) -> Any | None:
    """Return the stored row of a turn; ``turn_id`` may be any text that a person typed.

    The first 8 characters of an id are enough. Return None if no turn or several turns begin like this.
    """
    typed = id_range(turn_id)
    if typed is None:
        return None
    found = await session.execute(
        select(turns).where(turns.c.tenant_id == tenant_id, turns.c.turn_id.between(*typed)).limit(2)
    )
    rows = found.all()
    return rows[0] if len(rows) == 1 else None


async def questions(
    session: AsyncSession, *, tenant_id: str, turn_ids: Sequence[str]
) -> dict[str, tuple[str, TurnState]]:
    """Return the question and the state of each of these turns. Deleted questions are left out."""
    rows = await session.execute(
        select(turns.c.turn_id, turns.c.question, turns.c.state).where(
            turns.c.tenant_id == tenant_id,
            turns.c.turn_id.in_([uuid.UUID(turn_id) for turn_id in turn_ids]),
            turns.c.question != "",
        )
    )
    return {str(row.turn_id): (row.question, row.state) for row in rows}


async def latest(session: AsyncSession, *, thread: ThreadKey) -> str | None:
    """Return the id of the thread's last turn."""
    found = await session.scalar(
        select(turns.c.turn_id)
        .where(turns.c.tenant_id == thread.tenant_id, turns.c.thread_uid == threads.thread_uid(thread))
        .order_by(turns.c.seq.desc())
        .limit(1)
    )
    return str(found) if found else None


async def ask_to_stop(session: AsyncSession, *, turn: Turn) -> bool:
    """Record a request to stop the turn, in whatever process it runs. Return False if it has ended."""
    asked = await session.execute(
        update(turns).where(is_turn(turn), turns.c.state.in_(OPEN)).values(stopping=True).returning(turns.c.seq)
    )
    return asked.first() is not None


async def open_turns(session: AsyncSession, *, thread: ThreadKey) -> list[Turn]:
    """Return the thread's queued and running turns, oldest first."""
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


def is_turn(turn: Turn) -> Any:
    return and_(turns.c.tenant_id == turn.thread.tenant_id, turns.c.turn_id == uuid.UUID(turn.id))


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
        takeovers=row.takeovers,
        audience=audience.stored(row.audience),
    )
