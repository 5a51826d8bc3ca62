"""Records the messages of a reply: each before it is posted, and its reference afterwards.

The first reference wins: if two processes posted the same message, the later one gets the reference of the first.
"""

from __future__ import annotations

import uuid

from sqlalchemy import and_, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.database.pipelined_transactions import Statement, send
from bot.store.schema import reply_parts, turns
from bot.types.conversation import Platform
from bot.types.turns import Turn


async def refs(session: AsyncSession, *, tenant_id: str, turn_id: str) -> tuple[str, ...]:
    """Return the references of the posted reply messages, in order."""
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


async def turn_shown_in(
    session: AsyncSession, *, tenant_id: str, platform: Platform, ref: str, channel_id: str | None
) -> str | None:
    """Return the ID of the turn that a message of the bot belongs to.

    ``channel_id`` is None if the reference names the channel itself.
    """
    places = [turns.c.tenant_id == tenant_id, turns.c.turn_id == reply_parts.c.turn_id, turns.c.platform == platform]
    if channel_id is not None:
        places.append(turns.c.channel_id == channel_id)
    found = await session.scalar(
        select(reply_parts.c.turn_id)
        .join(turns, and_(*places))
        .where(reply_parts.c.tenant_id == tenant_id, reply_parts.c.ref == ref)
        .limit(1)
    )
    return str(found) if found else None


async def recorded(session: AsyncSession, *, tenant_id: str, turn_id: str) -> int:
    """Return how many reply messages are recorded, including one that is about to be posted."""
    found = await session.scalar(
        select(func.count()).where(reply_parts.c.tenant_id == tenant_id, reply_parts.c.turn_id == uuid.UUID(turn_id))
    )
    return int(found or 0)


async def note(session: AsyncSession, turn: Turn, index: int, ref: str | None) -> str | None:
    """Record a reply message. Return the recorded reference."""
    statement = insert(reply_parts).values(
        tenant_id=turn.thread.tenant_id, turn_id=uuid.UUID(turn.id), part=index, ref=ref
    )
    noted: str | None = await session.scalar(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "turn_id", "part"],
            set_={"ref": func.coalesce(reply_parts.c.ref, statement.excluded.ref)},
        ).returning(reply_parts.c.ref)
    )
    return noted


_KEEP_QUESTION = "SELECT FROM turns WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s FOR SHARE"
"""Waits for a deletion that is not committed yet, because the deletion's removal would not find the reference."""

_OFFER = """
INSERT INTO reply_parts AS known (tenant_id, turn_id, part, ref)
SELECT tenant_id, turn_id, %(part)s, CAST(%(ref)s AS text) FROM turns
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND question <> ''
ON CONFLICT (tenant_id, turn_id, part) DO UPDATE SET ref = coalesce(known.ref, excluded.ref)
RETURNING ref
"""
"""Records a reference for a turn that this process lost, unless its question was deleted."""


async def offer(session: AsyncSession, turn: Turn, index: int, ref: str) -> str | None:
    """Record the message of a process that lost the turn between posting and recording it.

    Return the recorded reference, or None if the question was deleted. If it differs from the offered one, the
    process's message is a duplicate.
    """
    given = {"tenant": turn.thread.tenant_id, "turn": uuid.UUID(turn.id), "part": index, "ref": ref}
    _, recorded = await send(session, Statement(_KEEP_QUESTION, given), Statement(_OFFER, given))
    return recorded[0].ref if recorded else None


async def drop(session: AsyncSession, *, tenant_id: str, turn_id: str) -> None:
    """Delete the records of a turn's reply messages after the messages were removed."""
    await session.execute(
        delete(reply_parts).where(reply_parts.c.tenant_id == tenant_id, reply_parts.c.turn_id == uuid.UUID(turn_id))
    )
