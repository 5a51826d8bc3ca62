"""Deletes conversations that are older than the retention period: turns, messages, attachments, traces and threads.

The ledger and the budgets stay. They hold no words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from bot.store.question_changes import forget_in_traces
from bot.store.session import Database

BATCH = 500
"""Turns deleted in one transaction, so that no lock is held for long."""

# Answers, ratings, facts, attachments and reply parts are deleted with their turn. MATERIALIZED, because a subquery
# that locks its rows finds others if the plan runs it again, and more than ``most`` would be deleted.
_DELETE_TURNS = text("""
    WITH expired AS MATERIALIZED (
        SELECT turn_id FROM turns
        WHERE tenant_id = :tenant AND created_at < :before AND state NOT IN ('queued', 'running')
        ORDER BY created_at
        LIMIT :most
        FOR UPDATE SKIP LOCKED
    )
    DELETE FROM turns USING expired
    WHERE turns.tenant_id = :tenant AND turns.turn_id = expired.turn_id
    RETURNING turns.turn_id, turns.thread_uid
""")

_DELETE_MESSAGES = text("DELETE FROM messages WHERE tenant_id = :tenant AND turn_id = ANY(:turns)")
_DELETE_INBOX = text("DELETE FROM inbox WHERE tenant_id = :tenant AND turn_id = ANY(:turns)")

# A statement does not see turns that are committed while it waits for a lock. So a statement of its own locks the
# threads first, and the deletion sees every question that was asked in them meanwhile.
_LOCK_THREADS = text("""
    SELECT FROM threads WHERE tenant_id = :tenant AND thread_uid = ANY(:threads) ORDER BY thread_uid FOR UPDATE
""")
_DELETE_THREADS = text("""
    DELETE FROM threads
    WHERE tenant_id = :tenant AND thread_uid = ANY(:threads)
        AND NOT EXISTS (
            SELECT FROM turns WHERE turns.tenant_id = :tenant AND turns.thread_uid = threads.thread_uid
        )
    RETURNING thread_uid
""")

# The summary and title of a thread may repeat its deleted messages, and so may the traces of its later turns.
_CLEAR_SUMMARIES = text("""
    UPDATE threads SET summary = '', summary_upto = 0, title = '(expired)'
    WHERE tenant_id = :tenant AND thread_uid = ANY(:threads)
""")


@dataclass(frozen=True, slots=True)
class Expired:
    """How many turns and threads were deleted."""

    turns: int = 0
    threads: int = 0


async def delete_expired(database: Database, tenant_id: str, *, before: datetime, most: int = BATCH) -> Expired:
    """Delete at most ``most`` turns that were asked before this time; call again until none is left."""
    async with database.tenant(tenant_id) as session:
        found = (await session.execute(_DELETE_TURNS, {"tenant": tenant_id, "before": before, "most": most})).all()
        if not found:
            return Expired()
        values = {"tenant": tenant_id, "turns": [row.turn_id for row in found]}
        await session.execute(_DELETE_MESSAGES, values)
        await session.execute(_DELETE_INBOX, values)
        touched = list({row.thread_uid for row in found})
        values = {"tenant": tenant_id, "threads": touched}
        # Turns are locked before threads, in the same order as at the end of an answer.
        await forget_in_traces(session, tenant_id, touched)
        await session.execute(_LOCK_THREADS, values)
        deleted = (await session.execute(_DELETE_THREADS, values)).all()
        await session.execute(_CLEAR_SUMMARIES, values)
        return Expired(len(found), len(deleted))
