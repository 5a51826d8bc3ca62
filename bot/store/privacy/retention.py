"""Deletes conversations that are older than the retention period: turns, messages, attachments, traces and threads.

The ledger and the budgets stay. They hold no words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.database import lock_order
from bot.store.database.pipelined_transactions import Statement, send
from bot.store.database.session import Database
from bot.store.threads import TITLE_OF_TEXT
from bot.store.turns.question_changes import forget_in_traces

BATCH = 500
"""Turns deleted in one transaction, so that no lock is held for long."""

_IS_EXPIRED = "created_at < :before AND state NOT IN ('queued', 'running')"

_FIND_EXPIRED = text(f"""
    SELECT turn_id, thread_uid FROM turns WHERE tenant_id = :tenant AND {_IS_EXPIRED} ORDER BY created_at LIMIT :most
""")  # noqa: S608

# The other turns of these threads are locked too, because their traces may repeat the deleted ones.
_LOCK_TURNS = text(
    lock_order.turns_where(
        "tenant_id = :tenant AND (turn_id = ANY(:turns) OR thread_uid = ANY(:threads) AND trace <> '{}')", "UPDATE"
    )
)

# Answers, ratings, facts, attachments and reply parts are deleted with their turn. A turn that is queued again by now
# stays.
_DELETE_TURNS = text(f"""
    DELETE FROM turns WHERE tenant_id = :tenant AND turn_id = ANY(:turns) AND {_IS_EXPIRED}
    RETURNING turn_id, thread_uid, channel_id, message_id
""")  # noqa: S608

_DELETE_MESSAGES = text("DELETE FROM messages WHERE tenant_id = :tenant AND turn_id = ANY(:turns)")
# Found by their primary key: the table has no index on the turn.
_DELETE_INBOX = text("""
    DELETE FROM inbox
    USING unnest(CAST(:channels AS text[]), CAST(:messages AS text[])) AS gone (channel_id, message_id)
    WHERE tenant_id = :tenant AND inbox.channel_id = gone.channel_id AND inbox.message_id = gone.message_id
        AND turn_id = ANY(:turns)
""")

_DELETE_THREADS = text("""
    DELETE FROM threads
    WHERE tenant_id = :tenant AND thread_uid = ANY(:threads)
        AND NOT EXISTS (
            SELECT FROM turns WHERE turns.tenant_id = :tenant AND turns.thread_uid = threads.thread_uid
        )
    RETURNING thread_uid
""")

# The summary and title of a thread may repeat its deleted messages, and so may the traces of its later turns. A thread
# that goes on gets the title of its first question that is left, unless a person named it.
_CLEAR_SUMMARIES = text(f"""
    UPDATE threads SET summary = '', summary_upto = 0, title = CASE WHEN named THEN title ELSE coalesce((
        SELECT {TITLE_OF_TEXT} FROM messages
        WHERE messages.tenant_id = :tenant AND messages.thread_uid = threads.thread_uid AND role = 'user'
        ORDER BY seq LIMIT 1
    ), '') END
    WHERE tenant_id = :tenant AND thread_uid = ANY(:threads)
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Expired:
    """How many turns and threads were deleted."""

    turns: int = 0
    threads: int = 0


async def delete_expired(database: Database, tenant_id: str, *, before: datetime, most: int = BATCH) -> Expired:
    """Delete at most ``most`` turns that were asked before this time; call again until none is left."""
    values = {"tenant": tenant_id, "before": before, "most": most}
    return await database.run(tenant_id, lambda session: _delete_expired(session, values))


async def _delete_expired(session: AsyncSession, values: dict[str, Any]) -> Expired:
    found = (await session.execute(_FIND_EXPIRED, values)).all()
    if not found:
        return Expired()
    touched = list({row.thread_uid for row in found})
    values = values | {"turns": [row.turn_id for row in found], "threads": touched}
    await session.execute(_LOCK_TURNS, values)
    # A statement does not see turns that are committed while it waits for a lock. So a statement of its own locks the
    # threads, and the deletion of threads sees every question that was asked in them meanwhile.
    await send(session, Statement(lock_order.THREADS_TO_DELETE, values))
    gone = (await session.execute(_DELETE_TURNS, values)).all()
    values = values | {"turns": [row.turn_id for row in gone]}
    await session.execute(_DELETE_MESSAGES, values)
    accepted = {"channels": [row.channel_id for row in gone], "messages": [row.message_id for row in gone]}
    await session.execute(_DELETE_INBOX, values | accepted)
    await forget_in_traces(session, values["tenant"], touched)
    deleted = (await session.execute(_DELETE_THREADS, values)).all()
    await session.execute(_CLEAR_SUMMARIES, values)
    return Expired(len(gone), len(deleted))
