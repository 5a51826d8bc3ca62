"""Provider calls are recorded before they are sent; a process that dies in between loses no row and no token."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from bot.errors import LeaseLost, OverBudget
from bot.store import ledger
from bot.store.session import Database
from bot.types.turns import Turn
from bot.types.usage import Call, Usage
from tests.store.test_turns import accepted, call, done, store_of


def opened(tokens: int = 80) -> Call:
    made = call(tokens)
    usage = Usage(input_tokens=tokens)
    return replace(made, usage=usage, status="open", estimated=True, id=uuid.uuid4().hex)


def settled(begun: Call, tokens: int = 100) -> Call:
    return replace(call(tokens), id=begun.id)


async def rows(database: Database, turn: Turn) -> list[Any]:
    async with database.tenant("slack:T1") as session:
        return await ledger.of_turn(session, tenant_id="slack:T1", turn_id=turn.id)


async def take_over(database: Database) -> None:
    async with database.tenant("slack:T1") as session:
        await session.execute(text("UPDATE turns SET lease_until = now() - interval '1 second'"))


async def test_a_call_is_one_row_from_its_beginning_to_its_end(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    lease = await stores.leases.lease(turn)
    assert lease is not None
    reservation = await stores.budgets.reserve(turn, 1000)
    begun = opened()
    await stores.budgets.open_call(turn, begun, reservation)
    await stores.budgets.open_call(turn, begun, reservation)
    (row,) = await rows(database, turn)
    assert (row.status, row.estimated, row.input_tokens) == ("open", True, 80)
    assert (await stores.budgets.budget("slack:T1", "U1")).used == 0
    await stores.leases.finish(turn, lease, done(turn, settled(begun)), reservation=reservation, cache_key=None)
    (row,) = await rows(database, turn)
    assert (row.status, row.estimated, row.input_tokens, row.completion_tokens) == ("ok", False, 90, 10)
    state = await stores.budgets.budget("slack:T1", "U1")
    assert (state.used, state.reserved) == (100, 0)


async def test_whoever_takes_a_turn_over_settles_what_the_dead_had_under_way(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    assert await stores.leases.lease(turn)
    reservation = await stores.budgets.reserve(turn, 1000)
    await stores.budgets.open_call(turn, opened(), reservation)
    await take_over(database)
    taken = await stores.leases.lease(turn)
    assert taken is not None
    (row,) = await rows(database, turn)
    assert (row.status, row.error, row.estimated) == ("error", ledger.LEFT_BEHIND, True)
    state = await stores.budgets.budget("slack:T1", "U1")
    assert (state.used, state.reserved) == (80, 0)
    await stores.leases.finish(turn, taken, done(turn, call(40)), reservation=None, cache_key=None)
    assert (await stores.budgets.budget("slack:T1", "U1")).used == 120


async def test_a_process_that_was_only_slow_corrects_the_estimate(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    slow = await stores.leases.lease(turn)
    assert slow is not None
    reservation = await stores.budgets.reserve(turn, 1000)
    begun = opened(80)
    await stores.budgets.open_call(turn, begun, reservation)
    await take_over(database)
    assert await stores.leases.lease(turn)
    with pytest.raises(LeaseLost):
        await stores.leases.finish(turn, slow, done(turn, settled(begun, 130)), reservation=reservation, cache_key=None)
    (row,) = await rows(database, turn)
    assert (row.status, row.estimated, row.error) == ("ok", False, "")
    assert (await stores.budgets.budget("slack:T1", "U1")).used == 130


async def test_a_bill_that_comes_twice_counts_once(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    over = replace(call(100), id=uuid.uuid4().hex)
    await stores.budgets.bill(turn, [over], None)
    await stores.budgets.bill(turn, [over], None)
    assert len(await rows(database, turn)) == 1
    assert (await stores.budgets.budget("slack:T1", "U1")).used == 100


async def test_another_attempt_sets_more_aside_or_is_not_made(database: Database) -> None:
    stores = store_of(database, daily_tokens=1000)
    turn = await accepted(stores, "1")
    reservation = await stores.budgets.reserve(turn, 600)
    await stores.budgets.open_call(turn, opened(), reservation, tokens=900)
    assert (await stores.budgets.budget("slack:T1", "U1")).reserved == 900
    with pytest.raises(OverBudget):
        await stores.budgets.open_call(turn, opened(), replace(reservation, tokens=900), tokens=1100)
    assert len(await rows(database, turn)) == 1, "a call that may not be sent is not on record"
    await stores.budgets.bill(turn, [call(700)], reservation)
    state = await stores.budgets.budget("slack:T1", "U1")
    assert (state.used, state.reserved) == (700, 0)


async def test_what_nobody_settles_is_settled_when_it_is_old(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    await stores.budgets.open_call(turn, opened(), None)
    async with database.tenant("slack:T1") as session:
        assert await ledger.settle_old(session, tenant_id="slack:T1", older=timedelta(minutes=5)) == []
        await session.execute(text("UPDATE ledger SET created_at = now() - interval '6 minutes'"))
        (left,) = await ledger.settle_old(session, tenant_id="slack:T1", older=timedelta(minutes=5))
    assert (left.user_id, left.channel_id, left.tokens) == ("U1", "C1", 80)
