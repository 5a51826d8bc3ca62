"""The list of ratings: however many there are, all are counted and the latest are loaded."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands.feedback import MAX_ROWS, reply_of
from bot.reports.feedback import RatingCounts, count_ratings
from bot.store.database.session import Database
from bot.store.schema import feedback, threads, turns
from bot.store.turns import answer_ids
from tests.reports.test_slo import NOW, TENANT, THREAD, turn

UNANSWERED = MAX_ROWS + 50


async def test_all_ratings_are_counted_and_the_latest_are_loaded(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    unanswered = [turn(n, None, trace={"unanswered": True}) for n in range(1, UNANSWERED + 1)]
    rated = [turn(UNANSWERED + n, None, created_at=NOW - timedelta(days=1)) for n in (1, 2, 3)]
    loaded: list[str] = []
    shortened = answer_ids.shortened

    async def counting(session: AsyncSession, *, tenant_id: str, turn_ids: Iterable[str]) -> dict[str, str]:
        loaded.extend(turn_ids)
        return await shortened(session, tenant_id=tenant_id, turn_ids=loaded)

    monkeypatch.setattr(answer_ids, "shortened", counting)
    async with database.tenant(TENANT) as session:
        await session.execute(insert(threads).values(THREAD))
        await session.execute(insert(turns), unanswered)
        await session.execute(insert(turns), rated)
        values = [
            {"tenant_id": TENANT, "turn_id": one["turn_id"], "user_id": "U1", "value": value, "created_at": NOW}
            for one, value in zip(rated, (1, -1, -1), strict=True)
        ]
        await session.execute(insert(feedback), values)
        start = NOW - timedelta(days=7)
        assert await count_ratings(session, tenant_id=TENANT, start=start, thumbs_up=True) == RatingCounts(
            2, 1, UNANSWERED
        )
        assert await count_ratings(session, tenant_id=TENANT, start=start) == RatingCounts(2, 0, UNANSWERED)
        reply = await reply_of(session, tenant_id=TENANT, start=start, thumbs_up=False)
    assert f"{UNANSWERED} questions" in reply.text
    assert reply.table is not None
    assert len(reply.table.rows) == len(loaded) == MAX_ROWS
