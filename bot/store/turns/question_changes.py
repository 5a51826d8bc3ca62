"""Handles edited and deleted questions: queues the turn again, or erases it, with everything derived from it.

Each change is one transaction: the statement that changes the turn, then the statements that depend on it. The order of
locks is in ``bot.store.database.lock_order``.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bot.store import judgments
from bot.store.answer_cache import similar_answer_statements
from bot.store.database import lock_order
from bot.store.database.pipelined_transactions import Statement, send
from bot.store.threads import TITLE_OF_TEXT, title
from bot.store.turns import reply_parts, turn_queue
from bot.store.turns.leases import LEASE
from bot.store.turns.turns import ANYBODY
from bot.types.audience import Audience
from bot.types.turns import Notice

FORGOTTEN = "The question was deleted."

_NOTE_EDIT = """
UPDATE turns SET edited_at = CAST(%(edited)s AS timestamptz)
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND question = %(question)s AND question <> ''
    AND edited_at IS DISTINCT FROM greatest(edited_at, CAST(%(edited)s AS timestamptz))
"""

_BEGIN_ANEW = """
UPDATE turns SET question = %(question)s, edited_at = coalesce(CAST(%(edited)s AS timestamptz), edited_at),
     audience = %(readers)s, tenant_wide = %(tenant_wide)s, state = 'queued',
    fence = fence + 1, holder = CAST(%(holder)s AS integer), lease_until = NULL, stopping = false, takeovers = 0,
    started_at = NULL, queued_at = now(), finished_at = NULL,
    answer = '', citations = '[]', cached = false, refused = NULL, trace = '{}', deliver_at = NULL
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND question <> %(question)s AND question <> ''
    AND (edited_at > CAST(%(edited)s AS timestamptz)) IS NOT TRUE
RETURNING thread_uid
"""

_FORGET = f"""
UPDATE turns SET question = '', state = 'cancelled', fence = fence + 1,
    holder = CASE WHEN state IN ('queued', 'running') OR withdrawn_at IS NOT NULL OR deliver_at IS NOT NULL
        THEN coalesce(nullif(holder, {ANYBODY}), CAST(%(holder)s AS integer)) ELSE CAST(%(holder)s AS integer) END,
    withdrawn_at = now(), lease_until = NULL, finished_at = least(finished_at, now()),
    answer = '', citations = '[]', cached = false, refused = %(refused)s, trace = '{{}}', deliver_at = NULL
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s
RETURNING thread_uid
"""  # noqa: S608


def noting_an_edit(*, tenant_id: str, turn_id: str, question: str, edited_at: datetime | None) -> Statement:
    """Record when the question got the text that it has already, so that an earlier edit that arrives later is late."""
    return Statement(_NOTE_EDIT, {**_named(tenant_id, turn_id), "question": question, "edited": edited_at})


def beginning_anew(
    *,
    tenant_id: str,
    turn_id: str,
    question: str,
    audience: Audience,
    holder: int | None,
    edited_at: datetime | None = None,
) -> Statement:
    """Queue the turn again with an edited question; its lease is lost. ``following_an_edit`` must follow.

    Returns the thread's ``thread_uid``. Returns no row if the text is unchanged, if the question was deleted, or if it
    was edited after ``edited_at``, since events can arrive out of order.
    """
    given = {"question": question, "readers": audience.readers, "tenant_wide": audience.tenant_wide, "holder": holder}
    return Statement(_BEGIN_ANEW, {**_named(tenant_id, turn_id), **given, "edited": edited_at})


def following_an_edit(
    *, tenant_id: str, turn_id: str, thread_uid: uuid.UUID, question: str, tokens: int
) -> list[Statement]:
    """Replace the question in its thread, and erase everything derived from the first one."""
    given = {**_named(tenant_id, turn_id), "thread": thread_uid}
    said = {**given, "question": question, "tokens": tokens, "title": title(question)}
    # The messages come before their vectors, because a vector of the old question may be stored while its message
    # waits for a lock.
    return [
        *_locks(given),
        Statement(_REPLACE_QUESTION, said),
        Statement(_DELETE_ANSWER, given),
        Statement(_DELETE_MESSAGES_TO_SUMMARIZE, given),
        *_erasures(given),
        Statement(_TITLE_OF_FIRST, said),
        turn_queue.telling(Notice("moved", turn_id)),
    ]


def forgetting(*, tenant_id: str, turn_id: str, holder: int | None) -> Statement:
    """End the turn and erase its question and answer. ``following_a_deletion`` must follow. Its ledger rows stay.

    Its reply messages must still be removed, by the process that holds the turn, because it may be posting one at the
    moment, or else by the process ``holder``. Returns the thread's ``thread_uid``.
    """
    return Statement(_FORGET, {**_named(tenant_id, turn_id), "holder": holder, "refused": FORGOTTEN})


def following_a_deletion(*, tenant_id: str, turn_id: str, thread_uid: uuid.UUID) -> list[Statement]:
    """Erase the deleted question from its thread, with everything derived from it."""
    given = {**_named(tenant_id, turn_id), "thread": thread_uid}
    return [
        *_locks(given),
        *_erasures(given),
        Statement("DELETE FROM messages WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s", given),
        Statement("DELETE FROM attachments WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s", given),
        Statement(_TITLE_OF_REST, given),
        turn_queue.telling(Notice("moved", turn_id)),
    ]


def _named(tenant_id: str, turn_id: str) -> dict[str, Any]:
    return {"tenant": tenant_id, "turn": uuid.UUID(turn_id)}


_OWN = "(SELECT seq FROM turns WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s)"
_LATER = f"tenant_id = %(tenant)s AND thread_uid = %(thread)s AND seq > {_OWN} AND trace <> '{{}}'"

_NOTED = "'{query,searched,recalled,facts,notes,restarts}'::text[]"
"""The keys of a trace that may repeat earlier messages of the thread."""

_FORGET_IN_LATER_TRACES = f"UPDATE turns SET trace = trace - {_NOTED} WHERE {_LATER}"  # noqa: S608


def _locks(given: dict[str, Any]) -> list[Statement]:
    """Lock later turns and the thread, and remove from the later turns what they recorded about this one.

    The lock of the thread means that no summary of the turn's messages is stored after this.
    """
    return [
        Statement(lock_order.turns_where(_LATER), given),
        Statement(_FORGET_IN_LATER_TRACES, given),
        Statement(lock_order.THREADS, {"tenant": given["tenant"], "threads": [given["thread"]]}),
    ]


_DELETE_VECTORS = """
DELETE FROM message_vectors USING messages
WHERE message_vectors.tenant_id = %(tenant)s AND messages.tenant_id = %(tenant)s AND messages.turn_id = %(turn)s
    AND message_vectors.thread_uid = messages.thread_uid AND message_vectors.seq = messages.seq
"""

_CLEAR_SUMMARY = f"""
UPDATE threads SET summary = '', summary_upto = 0
WHERE tenant_id = %(tenant)s AND thread_uid = %(thread)s AND summary_upto >= {_OWN}
"""  # noqa: S608


def _erasures(given: dict[str, Any]) -> list[Statement]:
    """Erase what was derived from the turn.

    This includes cache entries, ratings and the judgment of the answer, the notice that it is out of date, facts stated
    by the question, the claim that others wait for, vectors of its messages, and a summary that includes it. The
    summary is written again from the remaining messages.
    """
    of_turn = "DELETE FROM {} WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s"
    return [
        *(
            Statement(of_turn.format(table), given)
            for table in ("answers", "facts", "feedback", "changed_answer_notices")
        ),
        similar_answer_statements.landing(tenant_id=given["tenant"], turn_id=given["turn"].hex),
        judgments.withdrawing(tenant_id=given["tenant"], turn_id=given["turn"]),
        Statement(_DELETE_VECTORS, given),
        Statement(_CLEAR_SUMMARY, given),
    ]


_REPLACE_QUESTION = """
UPDATE messages SET text = %(question)s, tokens = %(tokens)s
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND role = 'user'
"""

_DELETE_ANSWER = "DELETE FROM messages WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND role = 'assistant'"

_DELETE_MESSAGES_TO_SUMMARIZE = """
DELETE FROM attachments WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND kind = 'messages'
"""
"""An edited command does not run again, so the new text of a wish for a summary is a question about documents."""

_TITLE_OF_FIRST = """
UPDATE threads SET title = %(title)s
WHERE tenant_id = %(tenant)s AND thread_uid = %(thread)s AND NOT named AND %(turn)s = (
    SELECT turn_id FROM turns WHERE tenant_id = %(tenant)s AND thread_uid = %(thread)s ORDER BY seq LIMIT 1
)
"""

_TITLE_OF_REST = f"""
UPDATE threads SET title = CASE WHEN named AND first.title IS NOT NULL THEN threads.title
    ELSE coalesce(first.title, '') END
FROM (SELECT (
    SELECT {TITLE_OF_TEXT} FROM messages
    WHERE tenant_id = %(tenant)s AND thread_uid = %(thread)s AND role = 'user' ORDER BY seq LIMIT 1
) AS title) AS first
WHERE tenant_id = %(tenant)s AND thread_uid = %(thread)s
"""  # noqa: S608


_TAKEN_AWAY = f"""
UPDATE turns SET withdrawn_at = NULL
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s
    AND (holder IS NULL OR holder IN ({ANYBODY}, %(holder)s) OR withdrawn_at < now() - %(lease)s)
RETURNING seq
"""  # noqa: S608


async def taken_away(session: AsyncSession, *, tenant_id: str, turn_id: str, holder: int | None) -> bool:
    """Record that a deleted question's reply is gone. Return False if another process must record it."""
    given = {**_named(tenant_id, turn_id), "holder": holder or ANYBODY, "lease": LEASE}
    (done,) = await send(session, Statement(_TAKEN_AWAY, given))
    if not done:
        return False
    await reply_parts.drop(session, tenant_id=tenant_id, turn_id=turn_id)
    return True


_FORGET_IN_TRACES = f"""
UPDATE turns SET trace = trace - {_NOTED}
WHERE tenant_id = %(tenant)s AND thread_uid = ANY(%(threads)s) AND trace <> '{{}}'
"""  # noqa: S608


async def forget_in_traces(session: AsyncSession, tenant_id: str, thread_uids: Sequence[uuid.UUID]) -> None:
    """Remove from the traces of the threads' turns what they recorded about earlier messages.

    The caller has locked these turns.
    """
    await send(session, Statement(_FORGET_IN_TRACES, {"tenant": tenant_id, "threads": list(thread_uids)}))
