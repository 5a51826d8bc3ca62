"""Stores which answers are judged, and what the judge said. What the judge wrote is not kept.

Every function runs inside its caller's transaction and tenant.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.database.pipelined_transactions import Statement
from bot.types.conversation import PRIVATE_THREAD


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer that may be judged. ``passages`` are those that it was written from."""

    turn_id: str
    question: str
    answer: str
    passages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WaitingBatch:
    """A batch whose verdicts are awaited: when it was submitted, and the answers, with their places in it."""

    submitted_at: datetime
    turns: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The judgment of one answer. ``passed`` is None if it was not judged, for the ``cause``."""

    turn_id: str
    passed: bool | None
    score: float | None
    cause: str = ""


@dataclass(frozen=True, slots=True)
class JudgedDay:
    """The judgments of the answers that were chosen on one day."""

    day: date
    judged: int
    passed: int
    not_judged: int
    waiting: int


_MODELS = text("""
    SELECT DISTINCT model FROM ledger
    WHERE tenant_id = :tenant AND created_at >= :start AND purpose = 'answer' AND status = 'ok'
        AND provider <> 'extractive'
    ORDER BY model
""")


async def answer_models(session: AsyncSession, *, tenant_id: str, start: datetime) -> list[str]:
    """Return the names of the models that wrote answers since ``start``."""
    return list(await session.scalars(_MODELS, {"tenant": tenant_id, "start": start}))


# Answers that a model wrote. Private ones are sent to no further provider. The first 32 bits of a digest of the turn's
# ID decide about the sample, so an answer is in it or not however often it is looked at.
_CANDIDATES = text("""
    SELECT CAST(turn_id AS text) AS turn_id, question, answer, ARRAY(
        SELECT passage ->> 'text' FROM jsonb_array_elements(
            CASE WHEN jsonb_typeof(trace -> 'passages') = 'array' THEN trace -> 'passages' ELSE '[]' END
        ) AS passage
    ) AS passages
    FROM turns, LATERAL (
        SELECT array_agg(model) AS models FROM ledger
        WHERE ledger.tenant_id = :tenant AND ledger.turn_id = turns.turn_id AND purpose = 'answer' AND status = 'ok'
            AND provider <> 'extractive'
    ) AS written
    WHERE tenant_id = :tenant AND created_at >= :start AND state = 'done' AND refused IS NULL AND answer <> ''
        AND withdrawn_at IS NULL AND NOT cached AND kind <> 'copied' AND NOT starts_with(thread_id, :private)
        AND CAST(CAST('x' || left(md5('judge ' || CAST(turn_id AS text)), 8) AS bit(32)) AS bigint)
            < CAST(:share AS float) * 4294967296
        AND NOT EXISTS (
            SELECT FROM judgments WHERE judgments.tenant_id = :tenant AND judgments.turn_id = turns.turn_id
        )
        AND NOT models && CAST(:excluded AS text[])
    ORDER BY created_at, turn_id LIMIT :most
""")


async def candidates(
    session: AsyncSession, *, tenant_id: str, start: datetime, share: float, excluded: Sequence[str], most: int
) -> list[Candidate]:
    """Return up to ``most`` answers since ``start`` that were not chosen before, oldest first.

    ``share`` of all answers, from 0 to 1, are in the sample. Answers that a model of ``excluded`` wrote are left out.
    """
    values = {"tenant": tenant_id, "start": start, "private": PRIVATE_THREAD, "share": share, "most": most}
    rows = await session.execute(_CANDIDATES, values | {"excluded": list(excluded)})
    return [Candidate(row.turn_id, row.question, row.answer, tuple(row.passages)) for row in rows]


_CHOOSE = text("""
    INSERT INTO judgments (tenant_id, turn_id, model, batch, place, tokens, state)
    SELECT :tenant, chosen.id, :model, :batch, chosen.place, chosen.tokens, 'waiting'
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:places AS bigint[]), CAST(:tokens AS bigint[])
    ) AS chosen (id, place, tokens)
    WHERE EXISTS (SELECT FROM turns WHERE turns.tenant_id = :tenant AND turns.turn_id = chosen.id)
    ON CONFLICT DO NOTHING
    RETURNING turn_id
""")


async def choose(
    session: AsyncSession, *, tenant_id: str, model: str, batch: str, turn_ids: Sequence[str], tokens: Sequence[int]
) -> bool:
    """Record that a batch judges these answers, in this order; ``tokens`` are estimates.

    Return False, and record nothing, if one of them was chosen or deleted meanwhile.
    """
    values = {"tenant": tenant_id, "model": model, "batch": batch, "tokens": list(tokens)}
    values |= {"ids": [uuid.UUID(one) for one in turn_ids], "places": list(range(len(turn_ids)))}
    if len((await session.execute(_CHOOSE, values)).all()) == len(turn_ids):
        return True
    await release(session, tenant_id=tenant_id, batch=batch)
    return False


async def rename(session: AsyncSession, *, tenant_id: str, batch: str, to: str) -> None:
    """Record the name of a batch that was submitted."""
    await session.execute(
        text("UPDATE judgments SET batch = :to WHERE tenant_id = :tenant AND batch = :batch AND state = 'waiting'"),
        {"tenant": tenant_id, "batch": batch, "to": to},
    )


async def release(session: AsyncSession, *, tenant_id: str, batch: str) -> None:
    """Forget that answers were chosen, because their batch was not submitted."""
    await session.execute(
        text("DELETE FROM judgments WHERE tenant_id = :tenant AND batch = :batch AND state = 'waiting'"),
        {"tenant": tenant_id, "batch": batch},
    )


async def tokens_since(session: AsyncSession, *, tenant_id: str, start: datetime) -> int:
    """Return the estimated tokens of the answers that were chosen since ``start``."""
    found = await session.scalar(
        text("SELECT coalesce(sum(tokens), 0) FROM judgments WHERE tenant_id = :tenant AND created_at >= :start"),
        {"tenant": tenant_id, "start": start},
    )
    return int(found or 0)


async def waiting(session: AsyncSession, *, tenant_id: str) -> dict[str, WaitingBatch]:
    """Return the batches whose verdicts are awaited, by name."""
    rows = await session.execute(
        text(
            "SELECT batch, created_at, CAST(turn_id AS text) AS turn_id, place FROM judgments "
            "WHERE tenant_id = :tenant AND state = 'waiting' ORDER BY batch, place"
        ),
        {"tenant": tenant_id},
    )
    found: dict[str, WaitingBatch] = {}
    for row in rows:
        found.setdefault(row.batch, WaitingBatch(row.created_at, [])).turns.append((row.turn_id, row.place))
    return found


# A judgment with a cause that still waits was taken back: its verdict is fetched for its costs alone.
_STORE = """
UPDATE judgments SET state = CASE WHEN cause <> '' OR CAST(%(passed)s AS boolean) IS NULL THEN 'not judged'
        ELSE 'judged' END,
    passed = CASE WHEN cause = '' THEN CAST(%(passed)s AS boolean) END,
    score = CASE WHEN cause = '' THEN CAST(%(score)s AS double precision) END,
    cause = CASE WHEN cause = '' THEN CAST(%(cause)s AS text) ELSE cause END
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s AND state = 'waiting'
"""
_WITHDRAW = """
UPDATE judgments SET state = CASE WHEN state = 'waiting' THEN state ELSE 'not judged' END,
    passed = NULL, score = NULL, cause = 'changed'
WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s
"""


def storing(*, tenant_id: str, verdicts: Sequence[Verdicts]) -> list[Statement]:
    """Store what came of the judging of answers that still wait for it."""
    return [
        Statement(
            _STORE,
            {"tenant": tenant_id, "turn": uuid.UUID(one.turn_id)}
            | {"passed": one.passed, "score": one.score, "cause": one.cause},
        )
        for one in verdicts
    ]


def withdrawing(*, tenant_id: str, turn_id: uuid.UUID) -> Statement:
    """Take back the judgment of an answer whose question was edited or deleted. Its tokens still count.

    One that waits for its verdict goes on waiting, since the batch must be paid.
    """
    return Statement(_WITHDRAW, {"tenant": tenant_id, "turn": turn_id})


_DAYS = text("""
    SELECT CAST(created_at AT TIME ZONE 'UTC' AS date) AS day,
        count(*) FILTER (WHERE passed IS NOT NULL) AS judged, count(*) FILTER (WHERE passed) AS passed,
        count(*) FILTER (WHERE state = 'not judged') AS not_judged, count(*) FILTER (WHERE state = 'waiting') AS waiting
    FROM judgments WHERE tenant_id = :tenant AND created_at >= :start GROUP BY 1 ORDER BY 1
""")


async def days(session: AsyncSession, *, tenant_id: str, start: datetime) -> list[JudgedDay]:
    """Return the judgments since ``start`` by the day on which the answers were chosen, oldest first."""
    return [JudgedDay(*row) for row in await session.execute(_DAYS, {"tenant": tenant_id, "start": start})]


async def failed(session: AsyncSession, *, tenant_id: str, start: datetime, most: int) -> list[Any]:
    """Return the answers that the judge did not let pass, the latest first."""
    rows = await session.execute(
        text(
            "SELECT CAST(turn_id AS text) AS turn_id, turns.created_at, question, score, model, "
            "trace ->> 'prompt_version' AS prompt_version FROM judgments JOIN turns USING (tenant_id, turn_id) "
            "WHERE tenant_id = :tenant AND judgments.created_at >= :start AND passed = false "
            "AND withdrawn_at IS NULL ORDER BY turns.created_at DESC LIMIT :most"
        ),
        {"tenant": tenant_id, "start": start, "most": most},
    )
    return list(rows)
