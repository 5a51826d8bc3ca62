"""Ratings of answers on a real database."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from bot.store.database.session import Database
from tests.store.test_turns import THREAD, accepted, store_of

REASON = "it is 45 euros since May"


@pytest.mark.parametrize(
    ("ratings", "stored"),
    [
        ([(-1, ""), (-1, REASON)], (-1, REASON)),
        ([(-1, REASON), (-1, "")], (-1, REASON)),
        ([(-1, REASON), (-1, "no, 50")], (-1, "no, 50")),
        ([(-1, REASON), (1, "")], (1, "")),
    ],
    ids=["reason last", "reason first", "another reason", "another value"],
)
async def test_a_reason_stays_until_the_rating_or_the_reason_changes(
    database: Database, ratings: list[tuple[int, str]], stored: tuple[int, str]
) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1.1")
    for value, reason in ratings:
        await stores.conversation.rate(turn, turn.author, value, reason)
    async with database.tenant(THREAD.tenant_id) as session:
        [row] = (await session.execute(text("SELECT value, reason FROM feedback"))).all()
    assert tuple(row) == stored
