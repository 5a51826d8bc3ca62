"""Tests how a chaos run reads from the database what an asker got instead of an answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from benchmarks.chaos.database_state import count_open, read_database
from bot.engine.user_messages import NOT_SHOWABLE, not_shown
from bot.llm.user_messages import NOTHING_FOUND_IN_OUTAGE, OUTAGE_INTRO
from bot.store.database.session import Database
from tests.store.test_turns import accepted, done, store_of


@pytest.mark.parametrize(
    ("answer", "note", "expected"),
    [
        ("Thirty days.", "", None),
        (f"{OUTAGE_INTRO} Thirty days.", "", OUTAGE_INTRO),
        (NOTHING_FOUND_IN_OUTAGE, "", NOTHING_FOUND_IN_OUTAGE),
        ("Thirty days.", not_shown(NOT_SHOWABLE), NOT_SHOWABLE),
    ],
)
async def test_what_an_asker_got_instead_of_an_answer(
    database: Database, admin_url: str, answer: str, note: str, expected: str | None
) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    lease = await stores.leases.lease(turn)
    assert lease is not None
    outcome = replace(done(turn), answer=answer, deliver_in=60.0)
    await stores.leases.finish(turn, lease, outcome, reservation=None, cache_key=None)
    assert await asyncio.to_thread(count_open, admin_url) == 1
    await stores.late_replies.end(turn, lease, note=note)
    assert await asyncio.to_thread(count_open, admin_url) == 0
    (row,) = (await asyncio.to_thread(read_database, admin_url)).turns
    assert (row.refused, row.state, row.late) == (expected, "done", False)
