"""Lists what people were not content with: answers with a thumb down, and questions that no document answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.schema import feedback, turns
from bot.store.schema.conversations import COPIED
from bot.store.turns import answer_ids
from bot.types.conversation import PRIVATE_THREAD

UNANSWERED = "no document answers it"


@dataclass(frozen=True, slots=True)
class Rating:
    """One rating of an answer, or an unanswered question that nobody rated. ``turn_id`` is short.

    ``value`` is 1 for a thumb up, -1 for a thumb down and None without a rating. ``trace`` is what the engine recorded.
    """

    turn_id: str
    user_id: str
    question: str
    answer: str
    value: int | None
    reason: str
    at: datetime
    unanswered: bool
    trace: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the rating as the command line prints it, with the part of the trace that tells why."""
        return {
            "turn_id": self.turn_id,
            "question": self.question,
            "value": self.value,
            "reason": self.reason,
            "at": self.at.isoformat(),
            "answer": self.answer,
            "unanswered": self.unanswered,
            "trace": {
                "query": self.trace.get("query", ""),
                "confidence": self.trace.get("confidence"),
                "route": self.trace.get("route"),
                "passages": [passage["place"] for passage in self.trace.get("passages", ())],
            },
        }


@dataclass(frozen=True, slots=True)
class RatingCounts:
    """How many thumbs down, thumbs up and unanswered questions there are."""

    down: int
    up: int
    unanswered: int


async def count_ratings(
    session: AsyncSession, *, tenant_id: str, start: datetime, thumbs_up: bool = False, reader: str | None = None
) -> RatingCounts:
    """Count what ``ratings`` lists for the same arguments."""
    wanted = _wanted(tenant_id, start, thumbs_up, reader)
    kinds = {"down": feedback.c.value == -1, "up": feedback.c.value == 1, "unanswered": _IS_UNANSWERED}
    counts = (func.count().filter(kind).label(name) for name, kind in kinds.items())
    row: Any = (await session.execute(wanted.with_only_columns(*counts))).one()
    return RatingCounts(row.down, row.up, row.unanswered)


async def ratings(
    session: AsyncSession,
    *,
    tenant_id: str,
    start: datetime,
    thumbs_up: bool = False,
    reader: str | None = None,
    most: int | None = None,
) -> list[Rating]:
    """Return the thumbs down and the unanswered questions since ``start``, the latest first.

    ``thumbs_up`` adds the thumbs up. With ``reader``, the private questions of other people are left out. Deleted
    questions are not listed. ``most`` is the number of rows to return; None returns all.
    """
    statement = _wanted(tenant_id, start, thumbs_up, reader).order_by(_AT.desc(), turns.c.turn_id).limit(most)
    rows = (await session.execute(statement)).all()
    ids = await answer_ids.shortened(session, tenant_id=tenant_id, turn_ids=[str(row.turn_id) for row in rows])
    return [
        Rating(
            ids[str(row.turn_id)],
            row.user_id,
            row.question,
            row.answer,
            row.value,
            row.reason or (UNANSWERED if row.unanswered else ""),
            row.at,
            bool(row.unanswered),
            row.trace,
        )
        for row in rows
    ]


# A copy in a branch of a conversation asks nothing anew. A rating of a copy is one of its own.
_IS_UNANSWERED = and_(
    turns.c.trace["unanswered"].as_boolean().is_(True), turns.c.refused.is_(None), turns.c.kind != COPIED
)
_AT = func.coalesce(feedback.c.created_at, turns.c.created_at)


def _wanted(tenant_id: str, start: datetime, thumbs_up: bool, reader: str | None) -> Select[Any]:
    kept = or_(feedback.c.value.is_not(None) if thumbs_up else feedback.c.value < 0, _IS_UNANSWERED)
    rated = turns.outerjoin(
        feedback, and_(feedback.c.tenant_id == turns.c.tenant_id, feedback.c.turn_id == turns.c.turn_id)
    )
    statement = (
        select(turns, feedback.c.value, feedback.c.reason, _AT.label("at"), _IS_UNANSWERED.label("unanswered"))
        .select_from(rated)
        .where(turns.c.tenant_id == tenant_id, turns.c.withdrawn_at.is_(None), start <= _AT, kept)
    )
    if reader is not None:
        public = turns.c.thread_id.not_like(f"{PRIVATE_THREAD}%")
        statement = statement.where(or_(public, turns.c.user_id == reader))
    return statement
