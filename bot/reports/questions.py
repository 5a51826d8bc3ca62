"""Lists questions, newest first, by text and by how they went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.reports.slo import TARGETS_MS
from bot.store.turns import answer_ids
from bot.types.conversation import PRIVATE_THREAD
from knowledge.search import evidence_confidence

Filter = Literal["all", "down", "unanswered", "low", "slow", "refused", "failed", "outdated", "cached"]
FILTERS: tuple[Filter, ...] = get_args(Filter)
SCANNED = 20_000
"""Questions that one search looks at; older ones are reached with ``before``."""


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """One question. ``turn_id`` is short. Times are in milliseconds; None stands for what did not happen."""

    turn_id: str
    at: datetime
    user_id: str
    user_name: str
    channel_id: str
    question: str
    state: str
    confidence: float | None
    total_ms: float | None
    rating: int | None
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class FoundQuestions:
    """Found questions. ``before`` is the time from which an older search goes on; None if there are none."""

    rows: Sequence[AskedQuestion]
    before: datetime | None


_TOTAL = "(trace #>> '{timings_ms,total}')::float"
_FIRST = "(trace #>> '{timings_ms,ttft}')::float"
_IS: dict[Filter, str] = {
    "all": "true",
    "down": "EXISTS (SELECT FROM feedback WHERE feedback.tenant_id = newest.tenant_id "
    "AND feedback.turn_id = newest.turn_id AND feedback.value < 0)",
    "unanswered": "refused IS NULL AND (trace ->> 'unanswered')::boolean",
    "low": "NOT coalesce((trace ->> 'unanswered')::boolean, false) AND (trace ->> 'confidence')::float < :weak",
    "slow": f"({_TOTAL} > :longest OR {_FIRST} > :latest)",
    "refused": "refused IS NOT NULL",
    "failed": "state = 'failed'",
    "cached": "cached",
    "outdated": "trace ? 'outdated'",
}
# The newest questions are numbered before they are filtered, so that a filter that few pass ends after so many. Other
# people's private questions are nobody's business, an admin's neither. Deleted questions have no text.
_FOUND = """
    WITH newest AS MATERIALIZED (
        SELECT tenant_id, turn_id, created_at, user_id, user_name, channel_id, question, state, trace, refused,
            cached, citations
        FROM turns
        WHERE tenant_id = :tenant AND created_at >= :start AND created_at < :before AND question <> ''
            AND kind <> 'copied'
            AND (thread_id NOT LIKE :private OR user_id = :reader)
            AND (CAST(:user AS text) IS NULL OR user_id = :user)
            AND (CAST(:ids AS uuid[]) IS NULL OR turn_id = ANY(CAST(:ids AS uuid[])))
        ORDER BY created_at DESC LIMIT :scanned
    ), found AS (
        SELECT * FROM newest
        WHERE {condition} AND (:words = '' OR question ILIKE :pattern)
            AND (CAST(:source AS text) IS NULL
                OR citations @> jsonb_build_array(jsonb_build_object('source', CAST(:source AS text))))
        ORDER BY created_at DESC LIMIT :most
    )
    SELECT turn_id, created_at, user_id, user_name, channel_id, question, state,
        (trace ->> 'confidence')::float AS confidence, {total} AS total_ms,
        (SELECT min(value) FROM feedback
            WHERE feedback.tenant_id = found.tenant_id AND feedback.turn_id = found.turn_id) AS rating,
        (SELECT sum(cost_usd)::float FROM ledger
            WHERE ledger.tenant_id = found.tenant_id AND ledger.turn_id = found.turn_id) AS cost_usd,
        (SELECT count(*) FROM newest) AS scanned, (SELECT min(created_at) FROM newest) AS oldest
    FROM found ORDER BY created_at DESC
"""
_SEARCH = {name: text(_FOUND.format(condition=condition, total=_TOTAL)) for name, condition in _IS.items()}
_REACH = text("""
    SELECT count(*) AS scanned, min(created_at) AS oldest
    FROM (
        SELECT created_at FROM turns
        WHERE tenant_id = :tenant AND created_at >= :start AND created_at < :before AND question <> ''
            AND kind <> 'copied'
            AND (thread_id NOT LIKE :private OR user_id = :reader)
            AND (CAST(:user AS text) IS NULL OR user_id = :user)
        ORDER BY created_at DESC LIMIT :scanned
    ) AS newest
""")


async def search(
    session: AsyncSession,
    *,
    tenant_id: str,
    reader: str,
    start: datetime,
    before: datetime,
    kind: Filter = "all",
    words: str = "",
    user_id: str | None = None,
    source: str | None = None,
    turn_ids: Sequence[str] | None = None,
    most: int = 50,
) -> FoundQuestions:
    """Return the newest questions from ``start`` to ``before``, without the private ones of others than ``reader``.

    ``words`` is a part of the question, in upper or lower case. ``source`` is one that the answer cites. With
    ``turn_ids``, only these are looked at.
    """
    escaped = words.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    values = {
        "tenant": tenant_id,
        "reader": reader,
        "private": f"{PRIVATE_THREAD}%",
        "start": start,
        "before": before,
        "words": words,
        "pattern": f"%{escaped}%",
        "user": user_id,
        "source": source,
        "ids": None if turn_ids is None else list(turn_ids),
        "weak": evidence_confidence.shipped().weak_below,
        "longest": TARGETS_MS["whole answer"][1],
        "latest": TARGETS_MS["first token"][1],
        "scanned": SCANNED,
        "most": most,
    }
    rows = (await session.execute(_SEARCH[kind], values)).all()
    ids = await answer_ids.shortened(session, tenant_id=tenant_id, turn_ids=[str(row.turn_id) for row in rows])
    found = [AskedQuestion(ids[str(row.turn_id)], *row[1:11]) for row in rows]
    if len(found) == most:
        return FoundQuestions(found, found[-1].at)
    reach = rows[0] if rows else (await session.execute(_REACH, values)).one()
    return FoundQuestions(found, reach.oldest if reach.scanned == SCANNED else None)
