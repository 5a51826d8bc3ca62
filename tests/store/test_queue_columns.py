"""What a queue transaction can read: the queue's columns of every tenant, and no question, answer or trace."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from bot.store.database import migrate
from bot.store.database.pipelined_transactions import Statement
from bot.store.database.session import NO_TENANT, Database
from tests.store.test_turn_queue import asked, store_of
from tests.store.test_turns import call, done

SECRETS = ("question", "answer", "trace", "citations", "refused", "user_name", "message_id")
HAND_WRITTEN = "SELECT tenant_id, turn_id, state FROM turns WHERE state IN ('queued', 'running') ORDER BY seq"
"""How the previous version reads the queue."""


@pytest.fixture(params=["app role", "plain owner"])
async def queue_database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """A migrated database, used under the application's role or as an owner that may not take it."""
    if request.param == "app role":
        url = request.getfixturevalue("database_url")
    else:
        url = request.getfixturevalue("owned_url")
        migrate.upgrade(url)
    database = Database(url)
    yield database
    await database.aclose()


async def answered(database: Database, tenant: str, message: str) -> None:
    stores = store_of(database)
    turn = await asked(stores, message, tenant=tenant)
    lease = await stores.leases.lease(turn)
    assert lease is not None
    reservation = await stores.budgets.reserve(turn, 500)
    await stores.leases.finish(turn, lease, done(turn, call(100)), reservation=reservation, cache_key=f"k{message}")


async def test_a_queue_transaction_sees_no_row_of_turns(queue_database: Database) -> None:
    for tenant in ("slack:A", "slack:B"):
        await answered(queue_database, tenant, "1")
        await asked(store_of(queue_database), "2", tenant=tenant)
    for column in SECRETS:
        async with queue_database.queue() as session:
            assert (await session.execute(text(f"SELECT {column} FROM turns"))).all() == []
        assert await queue_database.flush(NO_TENANT, Statement(f"SELECT {column} FROM turns")) == [[]]
    for table in ("messages", "answers", "documents", "chunks", "facts", "attachments", "feedback", "ledger"):
        async with queue_database.queue() as session:
            assert (await session.execute(text(f"SELECT * FROM {table}"))).all() == []


async def test_the_queue_function_has_the_columns_of_the_queue_alone(queue_database: Database) -> None:
    await answered(queue_database, "slack:A", "1")
    waiting = await asked(store_of(queue_database), "2", tenant="slack:B")
    async with queue_database.queue() as session:
        rows = (await session.execute(text("SELECT * FROM queued_turns()"))).mappings().all()
    assert [(row["tenant_id"], str(row["turn_id"]), row["state"]) for row in rows] == [
        ("slack:B", waiting.id, "queued")
    ]
    assert not {*SECRETS, "channel_id", "thread_id", "wish"} & rows[0].keys()


async def test_a_tenants_transaction_stays_bound_after_it_called_the_queue_function(queue_database: Database) -> None:
    await asked(store_of(queue_database), "1", tenant="slack:A")
    async with queue_database.tenant("slack:B") as session:
        assert len((await session.execute(text("SELECT * FROM queued_turns()"))).all()) == 1
        assert (await session.execute(text("SELECT question FROM turns"))).all() == []


async def test_no_transaction_opens_for_all_tenants(database: Database) -> None:
    with pytest.raises(ValueError, match="across tenants"):
        async with database.tenant("*"):
            pass
    with pytest.raises(ValueError, match="across tenants"):
        await database.flush("*", Statement("SELECT 1"))


async def test_the_version_before_still_finds_the_queue_and_no_answer(queue_database: Database) -> None:
    await answered(queue_database, "slack:A", "1")
    waiting = await asked(store_of(queue_database), "2", tenant="slack:B")
    url = queue_database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    role = "parley_app" if make_url(url).username == "parley" else None
    with psycopg.connect(url) as connection:
        if role:
            connection.execute(f"SET LOCAL ROLE {role}")
        connection.execute("SET LOCAL parley.tenant_id = '*'")
        found = connection.execute(HAND_WRITTEN).fetchall()
        answers = connection.execute("SELECT answer FROM turns WHERE answer <> ''").fetchall()
    assert [(row[0], str(row[1])) for row in found] == [("slack:B", waiting.id)]
    assert answers == []
