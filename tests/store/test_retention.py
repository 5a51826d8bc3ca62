"""Conversations older than the retention period are deleted in batches; later ones and the ledger stay."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import text

from bot.store.budgets.budget_counters import Defaults
from bot.store.budgets.budget_reservations import Owners
from bot.store.database.session import Database
from bot.store.privacy import retention
from bot.store.privacy.retention import Expired
from bot.store.turns import turns
from tests.store.test_turn_queue import asked, store_of
from tests.store.test_turns import NOON, THREAD, call, done, incoming
from tests.superuser_access import until_blocked

TENANT = "slack:T1"


async def answered(database: Database, message: str, days_ago: int) -> None:
    stores = store_of(database)
    turn = await asked(stores, message)
    lease = await stores.leases.lease(turn)
    assert lease is not None
    reservation = await stores.budgets.reserve(turn, 500)
    await stores.leases.finish(turn, lease, done(turn, call(100)), reservation=reservation, cache_key=message)
    async with database.tenant(TENANT) as session:
        await session.execute(
            text("UPDATE turns SET created_at = now() - make_interval(days => :days) WHERE message_id = :message"),
            {"days": days_ago, "message": message},
        )


def counts(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        found = {}
        for table in ("turns", "threads", "messages", "inbox", "answers", "ledger"):
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            assert row is not None
            found[table] = row[0]
        return found


@pytest.mark.parametrize(("named", "title"), [(False, "What is the later limit? And why?"), (True, "Limits")])
async def test_a_thread_that_goes_on_keeps_its_name_or_gets_that_of_its_first_question(
    database: Database, named: bool, title: str
) -> None:
    stores = store_of(database)
    for question, days_ago in (("What is the limit?", 31), ("What is the  later\n limit?\n\nAnd why?", 1)):
        turn = await stores.inbox.accept(incoming(question, text=question))
        assert turn is not None
        lease = await stores.leases.lease(turn)
        assert lease is not None
        await stores.leases.finish(turn, lease, done(turn, call(100)), reservation=None, cache_key=None)
        async with database.tenant(TENANT) as session:
            ago = {"days": days_ago, "turn": uuid.UUID(turn.id)}
            await session.execute(
                text("UPDATE turns SET created_at = now() - make_interval(days => :days) WHERE turn_id = :turn"), ago
            )
    if named:
        async with database.tenant(TENANT) as session:
            await session.execute(text("UPDATE threads SET title = 'Limits', named = true"))
    before = datetime.now(UTC) - timedelta(days=30)
    assert await retention.delete_expired(database, TENANT, before=before) == Expired(1, 0)
    async with database.tenant(TENANT) as session:
        assert await session.scalar(text("SELECT title FROM threads")) == title


async def test_old_conversations_go_in_batches(database: Database, admin_url: str) -> None:
    for number in range(5):
        await answered(database, f"old {number}", days_ago=31)
    await answered(database, "new", days_ago=29)
    open_turn = await asked(store_of(database), "open")
    async with database.tenant(TENANT) as session:
        await session.execute(
            text("UPDATE turns SET created_at = now() - interval '1 year' WHERE state = 'queued'"),
        )
    before = datetime.now(UTC) - timedelta(days=30)
    first = await retention.delete_expired(database, TENANT, before=before, most=2)
    assert first == Expired(2, 2)
    assert await retention.delete_expired(database, TENANT, before=before) == Expired(3, 3)
    assert await retention.delete_expired(database, TENANT, before=before) == Expired()
    assert await retention.delete_expired(database, "slack:other", before=before) == Expired()
    left = counts(admin_url)
    assert (left["turns"], left["threads"], left["inbox"], left["answers"]) == (2, 2, 2, 1)
    assert left["ledger"] == 6, "the books stay"
    assert open_turn.id in {turn.id for turn in await store_of(database, 7).queue.ready_turns("slack")} | {open_turn.id}


async def test_a_question_that_is_asked_while_its_thread_expires_is_kept(database: Database, admin_url: str) -> None:
    await answered(database, "old", days_ago=31)
    again = incoming("again", replace(THREAD, thread_id="old"))
    owners = Owners(TENANT, "U1", "member", "C1", NOON.date(), Defaults(0, 0, 0))
    statements = turns.accepting(
        again, turn_id=uuid.uuid4().hex, tokens=4, holder=None, owners=owners, reservation_id=uuid.uuid4().hex, need=0
    )
    async with database.work(TENANT) as work:
        await work.ask(*statements)
        before = datetime.now(UTC) - timedelta(days=30)
        deleting = asyncio.create_task(retention.delete_expired(database, TENANT, before=before))
        await until_blocked(database)
        await work.last()
    assert await deleting == Expired(1, 0)
    left = counts(admin_url)
    assert (left["turns"], left["threads"], left["messages"]) == (1, 1, 1)


async def test_traces_of_later_turns_keep_nothing_of_deleted_ones(database: Database) -> None:
    await answered(database, "old", days_ago=31)
    later = await store_of(database).inbox.accept(incoming("later", replace(THREAD, thread_id="old")))
    assert later is not None
    async with database.tenant(TENANT) as session:
        trace = '{"query": "old words", "restarts": ["old words"], "route": "cheap"}'
        await session.execute(text("UPDATE turns SET trace = CAST(:trace AS jsonb)"), {"trace": trace})
    await retention.delete_expired(database, TENANT, before=datetime.now(UTC) - timedelta(days=30))
    async with database.tenant(TENANT) as session:
        assert await session.scalar(text("SELECT trace FROM turns")) == {"route": "cheap"}


async def test_the_deletion_waits_for_an_answer_that_is_being_stored_without_locking_its_thread(
    database: Database,
) -> None:
    await answered(database, "old", days_ago=31)
    later = await store_of(database).inbox.accept(incoming("later", replace(THREAD, thread_id="old")))
    assert later is not None
    async with database.tenant(TENANT) as session:
        await session.execute(text("UPDATE turns SET trace = jsonb_build_object('query', 'old words')"))
    async with database.tenant(TENANT) as session:
        await session.execute(text("UPDATE turns SET answer = 'It is 5.' WHERE message_id = 'later'"))
        before = datetime.now(UTC) - timedelta(days=30)
        deleting = asyncio.create_task(retention.delete_expired(database, TENANT, before=before))
        await until_blocked(database)
        await session.execute(text("SET LOCAL lock_timeout = '2s'"))
        await session.execute(text("UPDATE threads SET tier = 'cheap'"))
    assert await deleting == Expired(1, 0)
