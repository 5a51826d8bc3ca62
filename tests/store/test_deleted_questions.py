"""Deleted questions on a real database: their messages are removed even if processes die meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from bot.errors import LeaseLost
from bot.store.database.pipelined_transactions import send
from bot.store.database.session import Database
from bot.store.turns import question_changes
from bot.types.audience import MEMBERS
from tests.store.test_question_changes import answered
from tests.store.test_turn_queue import asked, on_the_line, store_of
from tests.store.test_turns import incoming
from tests.superuser_access import until_blocked


async def silenced(database: Database, process: int, seconds: float) -> None:
    async with database.queue() as session:
        await session.execute(
            text("UPDATE processes SET beat_at = now() - make_interval(secs => :s) WHERE process_id = :p"),
            {"s": seconds, "p": process},
        )


async def test_who_deletes_takes_the_answer_away_and_who_dies_at_it_leaves_that_to_others(
    database: Database, database_url: str
) -> None:
    mine, other = store_of(database, 11), store_of(database, 12)
    async with on_the_line(database_url, 11):
        turn = await answered(mine, "1")
        await mine.retractions.forget(turn)
        assert [owed.parts for owed in await mine.retractions.withdrawn("slack")] == [("m0",)]
        assert await mine.retractions.withdrawn("slack", known=[turn.id]) == []
        assert await mine.retractions.withdrawn("discord") == []
        assert await other.retractions.withdrawn("slack") == [], "its process lives"
    await silenced(database, 11, 2.0)
    await other.queue.ready_turns("slack")
    (owed,) = await other.retractions.withdrawn("slack")
    assert (owed.id, owed.question, owed.parts) == (turn.id, "", ("m0",))
    assert await other.retractions.mark_removed(owed)
    assert await other.retractions.withdrawn("slack") == []
    stored = await other.inbox.turn("slack:T1", turn.id)
    assert stored is not None
    assert (stored.parts, stored.recorded) == ((), 0)


async def test_who_runs_the_turn_has_the_last_word_on_what_it_posts(database: Database, database_url: str) -> None:
    mine, other = store_of(database, 11), store_of(database, 12)
    async with on_the_line(database_url, 11), on_the_line(database_url, 12):
        turn = await asked(mine, "1")
        lease = await mine.leases.lease(turn)
        assert lease is not None
        await mine.leases.record_part(turn, lease, 0, None)
        await other.retractions.forget(turn)
        assert not await other.retractions.mark_removed(turn), "its holder may be posting just now"
        with pytest.raises(LeaseLost):
            await mine.leases.record_part(turn, lease, 0, "m0")
        assert [owed.recorded for owed in await mine.retractions.withdrawn("slack")] == [1]
        assert await mine.retractions.mark_removed(turn)


async def test_whoever_is_paused_is_not_waited_for_longer_than_a_lease(database: Database, database_url: str) -> None:
    mine, other = store_of(database, 11), store_of(database, 12)
    async with on_the_line(database_url, 11):
        turn = await asked(mine, "1")
        assert await mine.leases.lease(turn)
        await other.retractions.forget(turn)
        async with database.tenant("slack:T1") as session:
            await session.execute(text("UPDATE turns SET withdrawn_at = now() - interval '31 seconds'"))
        assert [owed.id for owed in await other.retractions.withdrawn("slack")] == [turn.id]
        assert await other.retractions.mark_removed(turn)


async def test_a_deletion_that_comes_before_an_edit_stands(database: Database) -> None:
    stores = store_of(database, 11)
    turn = await answered(stores, "1")
    await stores.retractions.forget(turn)
    assert await stores.inbox.replace_question(turn, "What is the new limit?", MEMBERS) is None
    assert await stores.retractions.is_forgotten(turn)


async def test_of_two_posts_of_one_message_the_first_on_record_stays(database: Database) -> None:
    stores = store_of(database, 11)
    turn = await stores.inbox.accept(incoming("1"))
    assert turn is not None
    old = await stores.leases.lease(turn)
    new = await stores.leases.lease(turn)
    assert old is not None
    assert new is not None
    assert await stores.leases.record_part(turn, new, 0, None) is None
    assert await stores.retractions.offer_part(turn, 0, "theirs") == "theirs"
    assert await stores.leases.record_part(turn, new, 0, "mine") == "theirs"
    assert await stores.retractions.offer_part(turn, 0, "third") == "theirs"
    await stores.retractions.forget(turn)
    assert await stores.retractions.offer_part(turn, 1, "late") is None
    stored = await stores.inbox.turn("slack:T1", turn.id)
    assert stored is not None
    assert stored.recorded == 1


async def test_a_message_is_not_recorded_for_a_question_that_is_being_deleted(database: Database) -> None:
    stores = store_of(database, 11)
    turn = await asked(stores, "1")
    async with database.tenant("slack:T1") as session:
        await send(session, question_changes.forgetting(tenant_id="slack:T1", turn_id=turn.id, holder=11))
        offering = asyncio.create_task(stores.retractions.offer_part(turn, 0, "m0"))
        await asyncio.wait({offering, asyncio.create_task(until_blocked(database))}, return_when="FIRST_COMPLETED")
    assert await offering is None
