"""SQL of the semantic answer cache: finds entries, records verdicts on hits, and lets one turn answer for several."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgvector import HalfVector
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.answer_cache import validity
from bot.store.database.pipelined_transactions import Statement, send
from bot.store.schema import answer_hits, answers, turns
from bot.store.threads import thread_uid
from bot.types.answer_cache import CachedAnswer
from bot.types.conversation import ThreadKey

CANDIDATES = 8
"""Maximum number of entries whose questions are compared word by word."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A cached answer in the same context: its question, and the cosine of the two questions."""

    key: str
    question: str
    similarity: float
    answer: CachedAnswer


async def describe(
    session: AsyncSession,
    *,
    tenant_id: str,
    key: str,
    turn_id: str,
    ground: str,
    question: str,
    model: str,
    vector: Sequence[float],
) -> None:
    """Make the answer that a turn stored under ``key`` findable by meaning."""
    await session.execute(
        update(answers)
        .where(answers.c.tenant_id == tenant_id, answers.c.key == key, answers.c.turn_id == uuid.UUID(turn_id))
        .values(ground=ground, question=question, model=model, vector=HalfVector(list(vector)))
    )


async def nearest(
    session: AsyncSession, *, tenant_id: str, ground: str, model: str, vector: Sequence[float]
) -> list[Entry]:
    """Return the most similar unexpired entries in the same context, most similar first."""
    given = {"tenant": tenant_id, "ground": ground, "model": model, "vector": HalfVector(list(vector)).to_text()}
    (rows,) = await send(session, Statement(_NEAREST, given))
    return [
        Entry(
            row.key,
            row.question,
            1.0 - float(row.distance),
            validity.cached(row),
        )
        for row in rows
    ]


_NEAREST = f"""
SELECT key, turn_id, answer, citations, created_at, question, evidence,
    {validity.CURRENT} AS current, {validity.INTACT} AS intact, vector <=> CAST(%(vector)s AS halfvec) AS distance
FROM answers
WHERE tenant_id = %(tenant)s AND ground = %(ground)s AND model = %(model)s AND expires_at > now()
ORDER BY distance LIMIT {CANDIDATES}
"""  # noqa: S608


async def verdicts(
    session: AsyncSession, *, tenant_id: str, keys: Sequence[str]
) -> Mapping[str, list[tuple[float, bool]]]:
    """Return the judged hits of each entry: the cosine, and whether the answer was right."""
    rows = await session.execute(
        select(answer_hits.c.key, answer_hits.c.similarity, answer_hits.c.verdict).where(
            answer_hits.c.tenant_id == tenant_id, answer_hits.c.key.in_(keys), answer_hits.c.verdict.is_not(None)
        )
    )
    found: dict[str, list[tuple[float, bool]]] = {key: [] for key in keys}
    for row in rows:
        found[row.key].append((float(row.similarity), row.verdict > 0))
    return found


async def note(
    session: AsyncSession,
    *,
    tenant_id: str,
    turn_id: str,
    key: str,
    similarity: float,
    shadow: bool,
    right: bool | None = None,
) -> None:
    """Record that a turn hit an entry. A shadow hit was answered again and compared."""
    verdict = None if right is None else 1 if right else -1
    values = {"key": key, "similarity": similarity, "shadow": shadow, "verdict": verdict}
    await session.execute(
        insert(answer_hits)
        .values(tenant_id=tenant_id, turn_id=uuid.UUID(turn_id), **values)
        .on_conflict_do_update(index_elements=["tenant_id", "turn_id"], set_=values)
    )


async def judge(session: AsyncSession, *, tenant_id: str, turn_id: str, right: bool | None) -> None:
    """Record what a person thought of a cached answer; do nothing if the turn's answer was not cached.

    None withdraws what was recorded.
    """
    await session.execute(
        update(answer_hits)
        .where(
            answer_hits.c.tenant_id == tenant_id,
            answer_hits.c.turn_id == uuid.UUID(turn_id),
            answer_hits.c.shadow.is_(False),
        )
        .values(verdict=None if right is None else 1 if right else -1)
    )


async def reject_earlier(session: AsyncSession, *, thread: ThreadKey, question: str) -> None:
    """Mark the cached answers to this question in the thread as wrong: the asker asked for a new answer."""
    asked = select(turns.c.turn_id).where(
        turns.c.tenant_id == thread.tenant_id,
        turns.c.thread_uid == thread_uid(thread),
        turns.c.question == question,
    )
    await session.execute(
        update(answer_hits)
        .where(
            answer_hits.c.tenant_id == thread.tenant_id,
            answer_hits.c.turn_id.in_(asked),
            answer_hits.c.shadow.is_(False),
            answer_hits.c.verdict.is_(None),
        )
        .values(verdict=-1)
    )


async def claim_question(session: AsyncSession, *, tenant_id: str, key: str, turn_id: str, most: timedelta) -> bool:
    """Return whether this turn is the one that answers the question now. The claim expires after ``most``."""
    given = {"tenant": tenant_id, "key": key, "turn": uuid.UUID(turn_id), "most": most}
    _, taken = await send(session, Statement(_END_EXPIRED_CLAIM, given), Statement(_CLAIM, given))
    return bool(taken)


_END_EXPIRED_CLAIM = "DELETE FROM answer_flights WHERE tenant_id = %(tenant)s AND key = %(key)s AND until < now()"

_CLAIM = """
INSERT INTO answer_flights AS claim (tenant_id, key, turn_id, until)
VALUES (%(tenant)s, %(key)s, %(turn)s, now() + %(most)s)
ON CONFLICT (tenant_id, key) DO UPDATE SET until = excluded.until WHERE claim.turn_id = excluded.turn_id
RETURNING key
"""
"""Claims a question that no other turn has claimed, or extends the turn's own claim."""


def landing(*, tenant_id: str, turn_id: str) -> Statement:
    """Notify the turns that wait for this turn's answer that it has ended."""
    return Statement(_LAND, {"tenant": tenant_id, "turn": uuid.UUID(turn_id)})


_LAND = "DELETE FROM answer_flights WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s"


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of hits by meaning since a moment, and of wrong hits as judged by people and by the shadow sample."""

    hits: int
    judged: int
    wrong: int
    sampled: int
    sampled_wrong: int


async def tally(session: AsyncSession, *, tenant_id: str, since: datetime) -> Tally:
    """Count the hits since a moment and how they were judged."""
    hits = answer_hits.c
    wrong, judged = hits.verdict < 0, hits.verdict.is_not(None)
    row = (
        await session.execute(
            select(
                func.count().filter(~hits.shadow),
                func.count().filter(~hits.shadow & judged),
                func.count().filter(~hits.shadow & wrong),
                func.count().filter(hits.shadow & judged),
                func.count().filter(hits.shadow & wrong),
            ).where(hits.tenant_id == tenant_id, hits.created_at >= since)
        )
    ).one()
    return Tally(*(int(value) for value in row))
