"""Edited and deleted questions in the queue: nobody jumps it, nobody waits for a question that is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from bot.errors import StoreAway
from bot.store.answer_cache import similar_answer_statements
from bot.store.database.pipelined_transactions import Rows, Statement, Work, send
from bot.store.database.session import Database
from bot.store.turns import turns
from bot.types.audience import MEMBERS
from bot.types.turns import Turn
from tests.store.test_turn_queue import asked, store_of
from tests.store.test_turns import call, done
from tests.superuser_access import superuser_connection


async def answered(database: Database, message: str, user: str) -> Turn:
    stores = store_of(database, 11)
    turn = await asked(stores, message, user=user)
    lease = await stores.leases.lease(turn)
    assert lease is not None
    await stores.leases.finish(turn, lease, done(turn, call(100)), reservation=None, cache_key=None)
    return turn


def messages(turns: Sequence[Turn]) -> list[str]:
    return [turn.message_id for turn in turns]


async def test_an_edited_question_waits_behind_those_that_wait_already(database: Database) -> None:
    stores = store_of(database, 11)
    old = await answered(database, "old", "U1")
    for user in ("U2", "U3"):
        await asked(stores, f"new of {user}", user=user)
    assert await stores.inbox.replace_question(old, "And by train?", MEMBERS)
    assert messages(await stores.queue.ready_turns("slack")) == ["new of U2", "new of U3", "old"]


async def test_an_interrupted_answer_still_comes_first(database: Database) -> None:
    stores = store_of(database, 11)
    waiting, interrupted = await asked(stores, "waiting", user="U1"), await asked(stores, "interrupted", user="U2")
    lease = await stores.leases.lease(interrupted)
    assert lease is not None
    await stores.leases.hand_back(interrupted, lease, (), reservation=None)
    assert messages(await stores.queue.ready_turns("slack")) == ["interrupted", waiting.message_id]


@pytest.mark.parametrize("deleted", [True, False])
async def test_nobody_waits_for_the_answer_to_a_question_that_was_deleted_or_edited(
    database: Database, deleted: bool
) -> None:
    stores = store_of(database, 11)
    first, second = await asked(stores, "1", user="U1"), await asked(stores, "2", user="U2")

    async def claims(turn: Turn) -> bool:
        async with database.tenant(turn.thread.tenant_id) as session:
            return await similar_answer_statements.claim_question(
                session, tenant_id=turn.thread.tenant_id, key="k", turn_id=turn.id, most=timedelta(minutes=1)
            )

    assert await claims(first)
    assert not await claims(second)
    if deleted:
        await stores.retractions.forget(first)
    else:
        await stores.inbox.replace_question(first, "Something else?", MEMBERS)
    assert await claims(second)


async def age(database: Database) -> None:
    async with superuser_connection(database) as connection:
        await connection.execute(text("UPDATE turns SET queued_at = queued_at - interval '6 seconds'"))


async def test_a_question_whose_acceptance_was_answered_too_late_is_found(database: Database) -> None:
    stores, other = store_of(database, 11), store_of(database, 12)
    turn = await asked(stores, "1")
    assert not await stores.queue.has_work("slack"), "it is left to the process that accepts it for a moment"
    await age(database)
    assert await stores.queue.has_work("slack")
    assert not await other.queue.has_work("slack")
    assert not await stores.queue.has_work("discord")
    assert not await stores.queue.has_work("slack", known=[turn.id])
    assert messages(await stores.queue.ready_turns("slack")) == ["1"]
    assert await stores.leases.lease(turn)
    assert not await stores.queue.has_work("slack", known=[turn.id])
    await stores.retractions.forget(turn)
    assert await stores.queue.has_work("slack"), "its reply must be removed"


@pytest.mark.parametrize("committed", [True, False])
async def test_an_edit_is_made_as_a_whole_or_not_at_all(
    database: Database, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """A failure in the middle leaves the old question; one after the commit leaves a turn that is found."""
    stores, last = store_of(database, 11), Work.last
    turn = await answered(database, "1", "U1")

    async def broken(self: Work, *statements: Statement) -> list[Rows]:
        if len(statements) == 1:
            return await last(self, *statements)
        if committed:
            await last(self, *statements)
        raise StoreAway("the connection broke")

    monkeypatch.setattr(Work, "last", broken)
    with pytest.raises(StoreAway):
        await stores.inbox.replace_question(turn, "And by train?", MEMBERS)
    monkeypatch.undo()
    await age(database)
    stored = await stores.inbox.turn(turn.thread.tenant_id, turn.id)
    assert stored is not None
    assert stored.question == ("And by train?" if committed else turn.question)
    assert await stores.queue.has_work("slack") is committed


async def test_a_connection_survives_a_migration_that_adds_columns(database: Database) -> None:
    stores = store_of(database, 11)
    for number in range(12):
        await asked(stores, f"before {number}")
    async with superuser_connection(database) as connection:
        for table in ("turns", "threads", "messages", "reservations", "budget_days"):
            await connection.execute(text(f"ALTER TABLE {table} ADD COLUMN later integer"))
    turn = await asked(stores, "after")
    assert replace(turn, parts=()) == await stores.inbox.turn(turn.thread.tenant_id, turn.id)


async def test_looking_up_a_message_and_a_person_reads_an_index(database: Database) -> None:
    await asked(store_of(database, 11), "first")
    async with superuser_connection(database) as connection:
        for table in ("inbox", "turns"):
            columns = await connection.scalars(
                text(
                    "SELECT attname FROM pg_attribute WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 "
                    "AND NOT attisdropped AND attidentity = '' AND attname <> ALL (ARRAY['turn_id', 'message_id'])"
                ),
                {"table": table},
            )
            others = ", ".join(columns)
            await connection.execute(
                text(
                    f"INSERT INTO {table} (turn_id, message_id, {others}) SELECT gen_random_uuid(), n::text, {others} "
                    f"FROM {table}, generate_series(1, 5000) n"
                )
            )
            await connection.execute(text(f"ANALYZE {table}"))
    named = {"tenant": "slack:T1", "channel": "C1", "message": "1", "first": "1:", "end": "1;"}
    async with database.tenant("slack:T1") as session:
        (plan,) = await send(session, Statement(f"EXPLAIN {turns._OF_MESSAGE}", named))
        assert "inbox_of_prefix" in str(plan)
        last = "SELECT user_role FROM turns WHERE tenant_id = 'slack:T1' AND user_id = 'U9' ORDER BY seq DESC LIMIT 1"
        assert "turns_of_user" in str((await session.execute(text(f"EXPLAIN {last}"))).all())
