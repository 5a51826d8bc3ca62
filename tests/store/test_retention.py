"""Conversations older than the retention period are deleted in batches; later ones and the ledger stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
from sqlalchemy import text

from bot.store import retention
from bot.store.retention import Expired
from bot.store.session import Database
from tests.store.test_turn_queue import asked, store_of
from tests.store.test_turns import call, done

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
