"""The next question of a thread brings its late replies forward, whatever other transactions do with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from bot.engine.ports.stores import Stores
from bot.store.adapters import inbox
from bot.store.database.session import Database
from bot.types.turns import Turn
from tests.store.test_lock_order import ended_or_blocked
from tests.store.test_turns import THREAD, accepted, done, store_of
from tests.superuser_access import as_superuser


async def _late(stores: Stores, message: str) -> Turn:
    """Answer a question whose reply is to be shown in an hour."""
    turn = await accepted(stores, message)
    lease = await stores.leases.lease(turn)
    assert lease is not None
    await stores.leases.finish(turn, lease, replace(done(turn), deliver_in=5.0), reservation=None, cache_key=None)
    await stores.late_replies.postpone(turn, lease, wait=3600.0)
    return turn


async def _is_due(database: Database, turn: Turn) -> bool:
    async with database.tenant(THREAD.tenant_id) as session:
        statement = text("SELECT deliver_at <= now() FROM turns WHERE turn_id = CAST(:turn AS uuid)")
        return bool(await session.scalar(statement, {"turn": turn.id}))


@asynccontextmanager
async def _locked(database: Database) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Lock the turns as an insertion of a row that refers to them does, until the context ends."""
    url = as_superuser(database.engine.url.render_as_string(hide_password=False))
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("SELECT FROM turns FOR NO KEY UPDATE")
        yield connection


async def test_a_late_reply_that_another_transaction_has_locked_is_brought_forward(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "HURRY_SECONDS", 60.0)
    monkeypatch.setattr(inbox, "ACCEPT_SECONDS", 60.0)
    stores = store_of(database)
    late = await _late(stores, "1")
    async with _locked(database) as locking:
        accepting = asyncio.create_task(accepted(stores, "2"))
        url = as_superuser(database.engine.url.render_as_string(hide_password=False))
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as watcher:
            await ended_or_blocked(accepting, watcher)
        await locking.commit()
        await accepting
    assert await _is_due(database, late)


async def test_a_question_is_accepted_although_the_late_reply_above_it_stays_locked(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "HURRY_SECONDS", 0.05)
    monkeypatch.setattr(inbox, "ACCEPT_SECONDS", 60.0)
    stores = store_of(database)
    late = await _late(stores, "1")
    async with _locked(database):
        second = await accepted(stores, "2")
    assert not await _is_due(database, late)
    assert [turn.id for turn in await stores.queue.ready_turns("slack")] == [], "it waits for the late reply"
    assert await stores.inbox.turn(THREAD.tenant_id, second.id) is not None
