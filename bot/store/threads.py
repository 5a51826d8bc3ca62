"""Reads and writes threads: their titles, their history, their summaries and their tier."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import UUID, bindparam, func, select, update
from sqlalchemy import exists as any_row
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.database import lock_order
from bot.store.database.pipelined_transactions import Statement, Template, send
from bot.store.schema import messages as message_table
from bot.store.schema import threads, turns
from bot.types.conversation import History, PastMessage, ThreadKey
from bot.types.display import Citation
from bot.types.usage import Tier

_NAMESPACE = uuid.UUID("5b1b5f0e-6d9f-4c1e-9a52-3f0f5a7c2d11")
TITLE_CHARS = 80


def thread_uid(key: ThreadKey) -> uuid.UUID:
    """Return the stored identity of a thread. It is derived from the platform's ids, so it needs no look-up."""
    return uuid.uuid5(_NAMESPACE, "\x1f".join((key.tenant_id, key.platform, key.channel_id, key.thread_id)))


def title(text: str) -> str:
    """Return the title of a thread that starts with this question."""
    return " ".join(text.split())[:TITLE_CHARS]


TITLE_OF_TEXT = rf"""left(btrim(regexp_replace(text, '\s+', ' ', 'g'), ' '), {TITLE_CHARS})"""
"""The SQL expression for ``title`` of a column ``text``."""


async def follows(session: AsyncSession, *, key: ThreadKey) -> bool:
    """Return whether the bot was ever asked in this thread, and nobody told it to be quiet there."""
    quiet = await session.scalar(
        select(threads.c.quiet).where(threads.c.tenant_id == key.tenant_id, threads.c.thread_uid == thread_uid(key))
    )
    return quiet is False


async def set_quiet(session: AsyncSession, *, key: ThreadKey, quiet: bool) -> bool:
    """Set whether the bot answers mentions alone in the thread. Return False if it was never asked there."""
    changed = await session.scalar(
        update(threads)
        .where(threads.c.tenant_id == key.tenant_id, threads.c.thread_uid == thread_uid(key))
        .values(quiet=quiet)
        .returning(threads.c.thread_uid)
    )
    return changed is not None


_ANSWER = """
INSERT INTO messages (tenant_id, thread_uid, turn_id, role, author_id, author, text, tokens)
VALUES (%(tenant)s, %(thread)s, %(turn)s, 'assistant', 'parley', 'Parley', %(text)s, %(tokens)s)
"""
"""Appends an answer to its thread."""


def answering(key: ThreadKey, *, turn_id: str, text: str, tokens: int) -> Statement:
    """Append the turn's answer to the thread's history."""
    return Statement(
        _ANSWER,
        {
            "tenant": key.tenant_id,
            "thread": thread_uid(key),
            "turn": uuid.UUID(turn_id),
            "text": text,
            "tokens": tokens,
        },
    )


async def history(session: AsyncSession, *, key: ThreadKey, before_turn: str) -> History:
    """Return the thread's messages between the summary and the turn, in the order of their turns.

    A question may be stored before the answer to the previous one.
    """
    return history_in(*await send(session, *history_read(key, before_turn)))


def history_read(key: ThreadKey, before_turn: str) -> tuple[Statement, Statement]:
    """Return the statements whose rows ``history_in`` takes: the thread and its messages."""
    named = {"tenant": key.tenant_id, "thread": thread_uid(key)}
    return _THREAD(**named), _SAID(**named, turn=uuid.UUID(before_turn))


def history_in(thread: Sequence[Any], said: Sequence[Any]) -> History:
    """Build a history from its rows."""
    past = tuple(past_message(row) for row in said)
    return next((History(r.summary, r.summary_upto, past, r.tier, r.tenant_wide) for r in thread), History("", 0, ()))


def past_message(row: Any) -> PastMessage:
    """Build a message of the history from its row, with ``turn_seq`` and ``tenant_wide`` of its turn."""
    wide = row.role == "assistant" and row.tenant_wide
    return PastMessage(row.turn_seq, row.role, row.author, row.text, row.tokens, row.created_at, wide)


_OF_THREAD = (threads.c.tenant_id == bindparam("tenant")) & (threads.c.thread_uid == bindparam("thread", type_=UUID()))
_SUMMARY_IS_TENANT_WIDE = (
    any_row()
    .where(
        turns.c.tenant_id == threads.c.tenant_id,
        turns.c.thread_uid == threads.c.thread_uid,
        turns.c.seq <= threads.c.summary_upto,
        turns.c.tenant_wide,
        turns.c.answer != "",
    )
    .label("tenant_wide")
)
"""Whether the summary covers an answer that may rest on documents of the whole tenant."""
_THREAD = Template(
    select(threads.c.summary, threads.c.summary_upto, threads.c.tier, _SUMMARY_IS_TENANT_WIDE).where(_OF_THREAD)
)
_SAID = Template(
    select(message_table, turns.c.seq.label("turn_seq"), turns.c.tenant_wide)
    .join(turns, (turns.c.tenant_id == message_table.c.tenant_id) & (turns.c.turn_id == message_table.c.turn_id))
    .where(
        message_table.c.tenant_id == bindparam("tenant"),
        message_table.c.thread_uid == bindparam("thread", type_=UUID()),
        turns.c.seq > select(threads.c.summary_upto).where(_OF_THREAD).scalar_subquery(),
        turns.c.seq
        < select(turns.c.seq)
        .where(turns.c.tenant_id == bindparam("tenant"), turns.c.turn_id == bindparam("turn", type_=UUID()))
        .scalar_subquery(),
    )
    .order_by(turns.c.seq, message_table.c.seq)
)


def answered_by(key: ThreadKey, tier: Tier) -> Statement:
    """Store which tier answered last."""
    return Statement(_TIER, {"tenant": key.tenant_id, "thread": thread_uid(key), "tier": tier})


_TIER = """
UPDATE threads SET tier = %(tier)s, updated_at = now() WHERE tenant_id = %(tenant)s AND thread_uid = %(thread)s
"""


async def lock(session: AsyncSession, *, key: ThreadKey) -> int | None:
    """Lock the thread's summary against changes until the transaction ends.

    Return the last turn that the summary covers, or None if the thread was deleted.
    """
    upto = await session.scalar(
        select(threads.c.summary_upto)
        .where(threads.c.tenant_id == key.tenant_id, threads.c.thread_uid == thread_uid(key))
        .with_for_update(key_share=True)
    )
    return None if upto is None else int(upto)


async def keep_turns(session: AsyncSession, *, key: ThreadKey, since: int, upto: int) -> None:
    """Lock the thread's turns after ``since`` and up to ``upto`` against their deletion. Call it before ``lock``."""
    named = {"tenant": key.tenant_id, "thread": thread_uid(key), "since": since, "upto": upto}
    await send(session, Statement(_KEEP_TURNS, named))


_KEEP_TURNS = lock_order.turns_where(
    "tenant_id = %(tenant)s AND thread_uid = %(thread)s AND seq > %(since)s AND seq <= %(upto)s", "KEY SHARE"
)


async def still_says(session: AsyncSession, *, key: ThreadKey, since: int, said: Sequence[PastMessage]) -> bool:
    """Return whether exactly these messages follow the turn ``since`` in the thread, up to the turn of the last one."""
    rows = await session.execute(
        select(turns.c.seq, message_table.c.role, message_table.c.text)
        .join(turns, (turns.c.tenant_id == message_table.c.tenant_id) & (turns.c.turn_id == message_table.c.turn_id))
        .where(
            message_table.c.tenant_id == key.tenant_id,
            message_table.c.thread_uid == thread_uid(key),
            turns.c.seq > since,
            turns.c.seq <= said[-1].seq,
        )
        .order_by(turns.c.seq, message_table.c.seq)
    )
    return [tuple(row) for row in rows] == [(one.seq, one.role, one.text) for one in said]


async def append_summary(session: AsyncSession, *, key: ThreadKey, since: int, summary: str, upto: int) -> bool:
    """Append to the summary if it still ends at ``since``. Return whether it was appended."""
    result = await session.execute(
        update(threads)
        .where(
            threads.c.tenant_id == key.tenant_id,
            threads.c.thread_uid == thread_uid(key),
            threads.c.summary_upto == since,
        )
        .values(summary=func.trim(threads.c.summary + "\n" + summary, "\n"), summary_upto=upto)
        .returning(threads.c.thread_uid)
    )
    return result.first() is not None


async def summary(session: AsyncSession, *, key: ThreadKey, tenant_wide: bool) -> str:
    """Return the summary of the thread's older turns, or an empty string.

    Unless ``tenant_wide``, a summary of answers that may rest on documents of the whole tenant is left out.
    """
    found = (
        await session.execute(
            select(threads.c.summary, _SUMMARY_IS_TENANT_WIDE).where(
                threads.c.tenant_id == key.tenant_id, threads.c.thread_uid == thread_uid(key)
            )
        )
    ).first()
    return found.summary if found and (tenant_wide or not found.tenant_wide) else ""


def citations_from(stored: list[dict[str, Any]]) -> tuple[Citation, ...]:
    """Return citations from their stored form."""
    return tuple(Citation(**{**item, "heading": tuple(item.get("heading", ()))}) for item in stored)
