"""Counts unprompted answers, and how many of them people rejected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.schema import feedback, threads, turns

UNMENTIONED = ("follow_up", "overheard")
"""Kinds of messages that do not mention the bot."""


@dataclass(frozen=True, slots=True)
class UnpromptedAnswers:
    """Answers without a mention, and those that were unwanted.

    Unwanted are answers that somebody stopped or rated down, and the last one in a thread that somebody made quiet.
    """

    answered: int = 0
    unwanted: int = 0


NO_UNPROMPTED_ANSWERS = UnpromptedAnswers()


async def tally(session: AsyncSession, *, tenant_id: str, since: datetime) -> UnpromptedAnswers:
    """Count the answers without a mention since a moment."""
    rated_down = exists().where(
        feedback.c.tenant_id == turns.c.tenant_id, feedback.c.turn_id == turns.c.turn_id, feedback.c.value < 0
    )
    later = turns.alias()
    made_quiet = exists().where(
        threads.c.tenant_id == turns.c.tenant_id, threads.c.thread_uid == turns.c.thread_uid, threads.c.quiet
    ) & ~exists().where(
        later.c.tenant_id == turns.c.tenant_id,
        later.c.thread_uid == turns.c.thread_uid,
        later.c.kind.in_(UNMENTIONED),
        later.c.seq > turns.c.seq,
    )
    unwanted = (turns.c.state == "cancelled") | rated_down | made_quiet
    row = (
        await session.execute(
            select(func.count(), func.count().filter(unwanted)).where(
                turns.c.tenant_id == tenant_id, turns.c.created_at >= since, turns.c.kind.in_(UNMENTIONED)
            )
        )
    ).one()
    return UnpromptedAnswers(*(int(value) for value in row))
