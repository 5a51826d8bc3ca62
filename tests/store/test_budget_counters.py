"""Budgets of people, channels and the tenant on a real database: reserved together, settled once, never exceeded."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from bot.engine.ports.stores import Stores
from bot.errors import OverBudget
from bot.store.budgets import budget_counters
from bot.store.database.session import Database
from bot.types.conversation import Author
from bot.types.turns import Turn
from bot.types.usage import UNLIMITED, BudgetState
from tests.store.test_turns import THREAD, accepted, call, done, incoming, store_of

TENANT = "slack:T1"
BOSS = Author("U9", "Boss", is_admin=True)


async def set_limit(database: Database, subject: str, tokens: int) -> None:
    async with database.tenant(TENANT) as session:
        await budget_counters.set_limit(session, tenant_id=TENANT, subject=subject, daily_tokens=tokens, set_by="U9")


async def days(stores: Stores, turn: Turn) -> list[tuple[str, int, int]]:
    states = await stores.budgets.budgets(TENANT, turn.thread.channel_id, turn.author)
    return [(state.whose, state.used, state.reserved) for state in states]


async def limit_of(stores: Stores, author: Author) -> int:
    own, _, _ = await stores.budgets.budgets(TENANT, "C1", author)
    return own.limit


async def asked_by(stores: Stores, author: Author, message: str) -> Turn:
    turn = await stores.inbox.accept(replace(incoming(message), author=author))
    assert turn is not None
    return turn


async def test_a_reservation_stands_on_three_days_and_is_settled_on_each(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    reservation = await stores.budgets.reserve(turn, 300)
    assert await days(stores, turn) == [("user", 0, 300), ("channel", 0, 300), ("tenant", 0, 300)]
    await stores.budgets.bill(turn, [call(120)], reservation)
    await stores.budgets.bill(turn, [], reservation)
    assert await days(stores, turn) == [("user", 120, 0), ("channel", 120, 0), ("tenant", 120, 0)]


async def test_calls_without_a_reservation_count_on_three_days(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    await stores.budgets.bill(turn, [call(50)], None)
    assert await days(stores, turn) == [("user", 50, 0), ("channel", 50, 0), ("tenant", 50, 0)]


@pytest.mark.parametrize(
    ("limits", "whose"),
    [
        ({"daily_tokens": 100}, "user"),
        ({"channel_daily_tokens": 100}, "channel"),
        ({"tenant_daily_tokens": 100}, "tenant"),
    ],
)
async def test_the_limit_that_is_full_is_named_and_nothing_stays_reserved_on_the_others(
    database: Database, limits: dict[str, int], whose: str
) -> None:
    stores = store_of(database, **limits)  # type: ignore[arg-type]
    turn = await accepted(stores, "1")
    with pytest.raises(OverBudget) as refused:
        await stores.budgets.reserve(turn, 101)
    assert (refused.value.whose, refused.value.limit) == (whose, 100)
    assert await days(stores, turn) == [("user", 0, 0), ("channel", 0, 0), ("tenant", 0, 0)]
    await stores.budgets.reserve(turn, 100)


async def test_people_of_one_channel_at_once_never_pass_the_channels_limit(database: Database) -> None:
    stores = store_of(database, channel_daily_tokens=1000)
    people = [Author(f"U{n}", f"P{n}") for n in range(20)]
    turns = [await asked_by(stores, person, person.id) for person in people]
    results = await asyncio.gather(*(stores.budgets.reserve(turn, 300) for turn in turns), return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 3
    assert {type(result) for result in results if isinstance(result, BaseException)} == {OverBudget}
    _, channel, tenant = await stores.budgets.budgets(TENANT, "C1", people[0])
    assert (channel.reserved, tenant.reserved) == (900, 900)


async def test_many_people_and_channels_at_once_do_not_block_each_other(database: Database) -> None:
    stores = store_of(database)
    turns = []
    for n in range(24):
        thread = replace(THREAD, channel_id=f"C{n % 3}", thread_id=str(n))
        asked = replace(incoming(str(n), thread), author=Author(f"U{n % 4}", "P"))
        turns.append(await stores.inbox.accept(asked))

    async def once(turn: Turn) -> None:
        reservation = await stores.budgets.reserve(turn, 100)
        await stores.budgets.bill(turn, [call(60)], reservation)

    await asyncio.gather(*(once(turn) for turn in turns if turn))
    _, _, tenant = await stores.budgets.budgets(TENANT, "C0", Author("U0", "P"))
    assert (tenant.used, tenant.reserved) == (24 * 60, 0)


async def test_what_an_interrupted_run_held_is_given_back_on_every_day(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    assert await stores.leases.lease(turn) is not None
    await stores.budgets.reserve(turn, 300)
    await stores.budgets.reserve(turn, 200)
    async with database.tenant(TENANT) as session:
        await session.execute(text("UPDATE turns SET lease_until = now() - interval '1 second'"))
    lease = await stores.leases.lease(turn)
    assert lease is not None
    assert await days(stores, turn) == [("user", 0, 0), ("channel", 0, 0), ("tenant", 0, 0)]
    await stores.leases.finish(turn, lease, done(turn, call(40)), reservation=None, cache_key=None)
    assert await days(stores, turn) == [("user", 40, 0), ("channel", 40, 0), ("tenant", 40, 0)]


async def test_a_persons_limit_wins_over_the_roles_and_that_over_everybodys(database: Database) -> None:
    stores = store_of(database, daily_tokens=10)
    ann = Author("U1", "Ann")
    assert [await limit_of(stores, who) for who in (ann, BOSS)] == [10, 10]
    await set_limit(database, budget_counters.EVERYBODY, 20)
    assert [await limit_of(stores, who) for who in (ann, BOSS)] == [20, 20]
    await set_limit(database, budget_counters.of_role("admin"), 500)
    assert [await limit_of(stores, who) for who in (ann, BOSS)] == [20, 500]
    await set_limit(database, budget_counters.of_user("U9"), UNLIMITED)
    assert [await limit_of(stores, who) for who in (ann, BOSS)] == [20, UNLIMITED]
    async with database.tenant(TENANT) as session:
        await budget_counters.remove_limit(session, tenant_id=TENANT, subject=budget_counters.of_user("U9"))
    assert await limit_of(stores, BOSS) == 500


async def test_a_channels_own_limit_wins_over_that_of_every_channel(database: Database) -> None:
    stores = store_of(database, channel_daily_tokens=10)
    await set_limit(database, budget_counters.EVERY_CHANNEL, 20)
    await set_limit(database, budget_counters.of_channel("C2"), 30)
    limits = [(await stores.budgets.budgets(TENANT, name, BOSS))[1].limit for name in ("C1", "C2")]
    assert limits == [20, 30]


async def test_no_limit_still_counts(database: Database) -> None:
    stores = store_of(database, daily_tokens=0)
    turn = await accepted(stores, "1")
    reservation = await stores.budgets.reserve(turn, 10**9)
    await stores.budgets.bill(turn, [call(77)], reservation)
    states = await stores.budgets.budgets(TENANT, "C1", turn.author)
    assert [(state.used, state.unlimited) for state in states] == [(77, True)] * 3


async def test_the_role_is_that_of_the_asker_also_after_a_restart(database: Database) -> None:
    stores = store_of(database, daily_tokens=10)
    await set_limit(database, budget_counters.of_role("admin"), 500)
    stored = await stores.inbox.turn(TENANT, (await asked_by(stores, BOSS, "1")).id)
    assert stored is not None
    assert stored.author.is_admin
    await stores.budgets.reserve(stored, 400)
    assert await stores.budgets.budget(TENANT, "U9") == BudgetState(
        0, 400, 500, (await stores.budgets.budget(TENANT, "U1")).resets_at
    )
