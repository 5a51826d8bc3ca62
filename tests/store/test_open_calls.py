"""Each provider call is recorded before it is sent, so a crash loses no cost."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from bot.errors import LeaseLost, OverBudget
from bot.jobs import maintenance
from bot.store.budgets import budget_reservations, ledger
from bot.store.budgets.budget_counters import Defaults
from bot.store.budgets.budget_reservations import Owners
from bot.store.database.session import Database
from bot.store.maintenance import look
from bot.types.conversation import Author
from bot.types.turns import Turn
from bot.types.usage import Call, Usage
from tests.store.test_turns import NOON, accepted, call, done, incoming, store_of
from tests.superuser_access import until_blocked


def opened(tokens: int = 80) -> Call:
    made = call(tokens)
    usage = Usage(input_tokens=tokens)
    return replace(made, usage=usage, status="open", estimated=True, id=uuid.uuid4().hex)


def settled(begun: Call, tokens: int = 100) -> Call:
    return replace(call(tokens), id=begun.id)


async def rows(database: Database, turn: Turn) -> list[Any]:
    async with database.tenant("slack:T1") as session:
        return await ledger.of_turn(session, tenant_id="slack:T1", turn_id=turn.id)


async def charge_lost_calls(database: Database) -> None:
    found = await look(database, "slack:T1", now=NOON)
    await maintenance.charge_lost_calls(database, "slack:T1", found.lost)


async def release_orphaned_reservations(database: Database) -> None:
    found = await look(database, "slack:T1", now=NOON)
    await maintenance.release_reservations(database, "slack:T1", found.orphaned)


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


async def test_an_estimate_that_is_being_settled_is_not_counted_beside_the_real_tokens(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    begun = opened(80)
    await stores.budgets.open_call(turn, begun, None)
    owners = Owners("slack:T1", "U1", "member", "C1", NOON.date(), Defaults(0, 0, 0))
    async with database.work("slack:T1") as work:
        await work.ask(ledger.left("slack:T1", turn.id, count_free=False))
        await work.ask(budget_reservations.settle(owners, None, (), 80))
        billing = asyncio.create_task(stores.budgets.bill(turn, [settled(begun, 130)], None))
        await until_blocked(database)
        await work.last()
    await billing
    assert (await stores.budgets.budget("slack:T1", "U1")).used == 130


async def test_a_call_that_nobody_settles_is_charged_when_it_is_old(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    await stores.budgets.open_call(turn, opened(), None)
    await stores.budgets.open_call(turn, opened(30), None)
    await charge_lost_calls(database)
    assert {row.status for row in await rows(database, turn)} == {"open"}
    async with database.tenant("slack:T1") as session:
        await session.execute(text("UPDATE ledger SET created_at = now() - interval '31 minutes'"))
    await charge_lost_calls(database)
    assert {(row.status, row.error, row.estimated) for row in await rows(database, turn)} == {
        ("error", ledger.LEFT_BEHIND, True)
    }
    assert [state.used for state in await stores.budgets.budgets("slack:T1", "C1", turn.author)] == [110, 110, 110]


@pytest.mark.parametrize("busy", ["U1", "U2"])
@pytest.mark.parametrize("step", [charge_lost_calls, release_orphaned_reservations])
async def test_maintenance_waits_for_a_persons_day_without_locking_the_tenants(
    database: Database, busy: str, step: Callable[[Database], Coroutine[None, None, None]]
) -> None:
    stores = store_of(database)
    for user in ("U1", "U2"):
        turn = await stores.inbox.accept(replace(incoming(user), author=Author(user, user)))
        assert turn is not None
        await stores.budgets.reserve(turn, 500)
        await stores.budgets.open_call(turn, opened(), None)
    async with database.tenant("slack:T1") as session:
        await session.execute(text("UPDATE turns SET state = 'failed'"))
        await session.execute(text("UPDATE reservations SET created_at = now() - interval '1 day'"))
        await session.execute(text("UPDATE ledger SET created_at = now() - interval '1 day'"))
    add = text("UPDATE budget_days SET used = used + 1 WHERE subject = :subject")
    async with database.tenant("slack:T1") as session:
        await session.execute(add, {"subject": f"user:{busy}"})
        running = asyncio.create_task(step(database))
        await until_blocked(database)
        await session.execute(text("SET LOCAL lock_timeout = '2s'"))
        await session.execute(add, {"subject": "tenant"})
    await running


async def test_the_reservation_of_a_deleted_turn_is_released(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    await stores.budgets.reserve(turn, 500)
    async with database.tenant("slack:T1") as session:
        await session.execute(text("DELETE FROM turns"))
    await release_orphaned_reservations(database)
    assert (await stores.budgets.budget("slack:T1", "U1")).reserved == 500
    async with database.tenant("slack:T1") as session:
        await session.execute(text("UPDATE reservations SET created_at = now() - interval '6 minutes'"))
    await release_orphaned_reservations(database)
    assert (await stores.budgets.budget("slack:T1", "U1")).reserved == 0
