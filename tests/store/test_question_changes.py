"""A question that was changed or deleted: nothing of the first one stays, except what it cost."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from bot.errors import LeaseLost
from bot.store import ledger
from bot.store.session import Database
from bot.store.store import PostgresStore
from bot.types.turns import Turn
from tests.store.test_turns import THREAD, accepted, call, done, incoming, store_of


async def answered(store: PostgresStore, message: str) -> Turn:
    turn = await accepted(store, message)
    lease = await store.lease(turn)
    assert lease is not None
    await store.record_part(turn, lease, 0, "m0")
    await store.finish(turn, lease, done(turn, call(100)), reservation=None, cache_key=f"key {message}")
    return turn


async def said(store: PostgresStore, before: Turn) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in (await store.history(before)).messages]


async def test_a_changed_question_is_asked_again_in_its_place(database: Database) -> None:
    store = store_of(database)
    turn = await answered(store, "1")
    later = await accepted(store, "2")
    changed = await store.begin_anew(turn, "What is the new limit?")
    assert changed is not None
    assert (changed.id, changed.question, changed.parts) == (turn.id, "What is the new limit?", ("m0",))
    assert await said(store, later) == [("user", "What is the new limit?")]
    assert await store.cached("slack:T1", "key 1") is None
    lease = await store.lease(changed)
    assert lease is not None
    await store.finish(changed, lease, done(changed, call(50)), reservation=None, cache_key=None)
    assert await said(store, later) == [("user", "What is the new limit?"), ("assistant", "It is 5 [1].")]
    assert (await store.budget("slack:T1", "U1")).used == 150


async def test_a_change_that_says_the_same_changes_nothing(database: Database) -> None:
    store = store_of(database)
    turn = await answered(store, "1")
    assert await store.begin_anew(turn, turn.question) is None
    assert await store.cached("slack:T1", "key 1") is not None


async def test_whoever_answers_the_first_question_has_lost_it(database: Database) -> None:
    store = store_of(database)
    turn = await accepted(store, "1")
    old = await store.lease(turn)
    assert old is not None
    changed = await store.begin_anew(turn, "Something else?")
    assert changed is not None
    with pytest.raises(LeaseLost):
        await store.finish(turn, old, done(turn, call(100)), reservation=None, cache_key="k")
    assert (await store.budget("slack:T1", "U1")).used == 100
    assert await store.lease(changed) is not None


async def test_a_deleted_question_leaves_nothing_but_its_cost(database: Database) -> None:
    store = store_of(database)
    turn = await answered(store, "1")
    later = await accepted(
        store,
        "2",
    )
    due = (await store.history(later)).messages
    assert await store.summarize(later, since=0, due=due, summary="They asked of limits.")
    await store.forget(turn)
    assert await store.taken_away(turn)
    history = await store.history(later)
    assert (history.summary, history.messages) == ("", ())
    assert await store.cached("slack:T1", "key 1") is None
    assert await store.is_forgotten(turn)
    async with database.tenant("slack:T1") as session:
        row = (await session.execute(text("SELECT * FROM turns WHERE message_id = '1'"))).one()
        left = await session.scalar(text("SELECT count(*) FROM reply_parts"))
        rows = await ledger.of_turn(session, tenant_id="slack:T1", turn_id=turn.id)
        title = await session.scalar(text("SELECT title FROM threads"))
    assert (row.question, row.answer, row.citations, row.trace, row.state) == ("", "", [], {}, "cancelled")
    assert (left, len(rows)) == (0, 1)
    assert title == later.question
    assert await store.accept(incoming("1")) is None, "it does not come back by a redelivery"


async def test_a_deleted_question_that_waits_is_not_answered(database: Database) -> None:
    store = store_of(database)
    first, second = await accepted(store, "1"), await accepted(store, "2")
    await store.forget(first)
    with pytest.raises(LeaseLost):
        await store.lease(first)
    assert await store.lease(second) is not None


async def test_what_asked_the_message_again_is_known_with_it(database: Database) -> None:
    store = store_of(database)
    turn, again = await accepted(store, "1.5"), await accepted(store, "1.5:again")
    await accepted(store, "1.55")
    assert [found.id for found in await store.turns_of(THREAD, "1.5")] == [turn.id, again.id]
