"""Tokens reserved when a question is accepted: with the question or not at all, and released in every ending."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from bot.config import Settings
from bot.engine.ports.stores import Stores
from bot.store.budgets import ledger
from bot.store.database.pipelined_transactions import Rows, Statement, Work
from bot.store.database.session import Database
from bot.store.stores import open_stores
from bot.types.audience import MEMBERS
from bot.types.conversation import Author
from bot.types.turns import Turn
from bot.types.usage import NO_MODEL, Call, Usage
from tests.store.test_turns import THREAD, accepted, call, done, incoming

EXPECTED = 700
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def store_of(database: Database, **limits: int) -> Stores:
    made = Settings(_env_file=None, **{"daily_tokens": 2000, **limits})  # type: ignore[arg-type]
    return open_stores(database, made, count_tokens=len, clock=lambda: NOW, expected=lambda _: EXPECTED)


async def days(stores: Stores) -> list[tuple[int, int]]:
    """Return used and reserved tokens of the person, the channel and the tenant."""
    states = await stores.budgets.budgets("slack:T1", "C1", Author("U1", "Ann"))
    return [(state.used, state.reserved) for state in states]


async def held(stores: Stores, turn: Turn) -> int:
    reservation = (await stores.conversation.turn_record(turn)).reservation
    return reservation.tokens if reservation else 0


async def test_a_question_is_accepted_with_its_tokens_set_aside_once(database: Database) -> None:
    stores = store_of(database)
    copies = await asyncio.gather(*(stores.inbox.accept(incoming("1")) for _ in range(5)))
    (turn,) = [one for one in copies if one is not None]
    assert await days(stores) == [(0, EXPECTED)] * 3
    assert await held(stores, turn) == EXPECTED


async def test_its_own_tokens_do_not_count_against_a_turn(database: Database) -> None:
    stores = store_of(database)
    await accepted(stores, "1")
    turn = await accepted(stores, "2")
    assert [state.reserved for state in (await stores.conversation.turn_record(turn)).budgets] == [EXPECTED] * 3


@pytest.mark.parametrize("limits", [{"daily_tokens": 600}, {"channel_daily_tokens": 600}, {"tenant_daily_tokens": 600}])
async def test_a_question_that_does_not_fit_is_accepted_and_nothing_is_held_for_it(
    database: Database, limits: dict[str, int]
) -> None:
    stores = store_of(database, **limits)
    turn = await accepted(stores, "1")
    assert await days(stores) == [(0, 0)] * 3
    assert (await stores.conversation.turn_record(turn)).reservation is None


async def test_many_at_once_never_set_more_aside_than_there_is(database: Database) -> None:
    stores = store_of(database, daily_tokens=10_000, channel_daily_tokens=3 * EXPECTED + 50)
    asked = [replace(incoming(str(n)), author=Author(f"U{n}", "P")) for n in range(12)]
    turns = await asyncio.gather(*(stores.inbox.accept(one) for one in asked))
    assert all(turns), "each is accepted all the same"
    _, channel, tenant = await days(stores)
    assert channel == tenant
    assert channel[1] in {0, EXPECTED, 2 * EXPECTED, 3 * EXPECTED}
    assert sum([await held(stores, turn) for turn in turns if turn]) == channel[1]


async def test_the_first_call_gives_back_what_its_prompt_does_not_need(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    lease = await stores.leases.lease(turn)
    assert lease is not None
    reservation = (await stores.conversation.turn_record(turn)).reservation
    begun = Call("answer", "p", "m", "cheap", Usage(200), None, "", "open", 0.0, id="0" * 32)
    await stores.budgets.open_call(turn, begun, reservation, tokens=300)
    assert await days(stores) == [(0, 300)] * 3
    await stores.budgets.open_call(turn, begun, reservation, tokens=300)
    assert await days(stores) == [(0, 300)] * 3, "once more changes nothing"
    over = replace(call(250), id=begun.id)
    await stores.leases.finish(turn, lease, done(turn, over), reservation=reservation, cache_key=None)
    assert await days(stores) == [(250, 0)] * 3


async def test_a_longer_prompt_sets_more_aside_or_leaves_what_there_was(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    reservation = (await stores.conversation.turn_record(turn)).reservation
    assert reservation is not None
    more = await stores.budgets.change_reservation(turn, reservation, 2000)
    assert await days(stores) == [(0, 2000)] * 3
    with pytest.raises(Exception, match="token budget"):
        await stores.budgets.change_reservation(turn, more, 2001)
    assert await days(stores) == [(0, 2000)] * 3


async def test_an_end_gives_back_what_is_held_though_the_run_never_heard_of_it(database: Database) -> None:
    stores = store_of(database)
    ended, back = await accepted(stores, "1"), await stores.inbox.accept(incoming("2", replace(THREAD, thread_id="9")))
    assert back is not None
    for turn in (ended, back):
        lease = await stores.leases.lease(turn)
        assert lease is not None
        if turn is ended:
            await stores.leases.finish(turn, lease, done(turn, call(100)), reservation=None, cache_key=None)
        else:
            await stores.leases.hand_back(turn, lease, (), reservation=None)
    assert await days(stores) == [(100, 0)] * 3


async def test_a_deleted_question_gives_its_tokens_back_and_a_changed_one_holds_its_own(database: Database) -> None:
    stores = store_of(database)
    turn, other = await accepted(stores, "1"), await accepted(stores, "2")
    await stores.retractions.forget(turn)
    assert await days(stores) == [(0, EXPECTED)] * 3
    before = (await stores.conversation.turn_record(other)).reservation
    changed = await stores.inbox.replace_question(other, "What else?", MEMBERS)
    assert changed is not None
    after = (await stores.conversation.turn_record(changed)).reservation
    assert before is not None
    assert after is not None
    assert before.id != after.id
    assert await days(stores) == [(0, EXPECTED)] * 3
    await stores.budgets.bill(other, [call(40)], before)
    assert await days(stores) == [(40, EXPECTED)] * 3, "an old run pays for itself and leaves the new one its tokens"


async def test_a_run_that_died_leaves_nothing_held(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    assert await stores.leases.lease(turn)
    async with database.tenant("slack:T1") as session:
        await session.execute(text("UPDATE turns SET lease_until = now() - interval '1 second'"))
    assert await stores.leases.lease(turn)
    assert await days(stores) == [(0, 0)] * 3


async def test_whoever_is_stopped_at_the_commit_of_a_reservation_leaves_nothing_held(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    whole, stopping = database.work, asyncio.Event()

    @asynccontextmanager
    async def slow(tenant_id: str) -> AsyncIterator[Work]:
        """A transaction that is committed, but confirmed late."""
        async with whole(tenant_id) as work:
            yield work
        if work.done and not stopping.is_set():
            stopping.set()
            await asyncio.sleep(60)

    monkeypatch.setattr(database, "work", slow)
    reserving = asyncio.create_task(stores.budgets.reserve(turn, 300))
    await stopping.wait()
    reserving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reserving
    assert await days(stores) == [(0, EXPECTED)] * 3


async def test_no_day_stays_locked_while_a_process_makes_up_its_mind(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every turn and acceptance of a tenant locks its day, so the locking statement is sent with its commit."""
    asked: list[str] = []
    ask = Work.ask

    async def heard(self: Work, *statements: Statement) -> list[Rows]:
        asked.extend(one.sql for one in statements)
        return await ask(self, *statements)

    monkeypatch.setattr(Work, "ask", heard)
    stores = store_of(database)
    turn = await accepted(stores, "1")
    assert await stores.leases.lease(turn)
    await stores.budgets.change_reservation(turn, await stores.budgets.reserve(turn, 100), 300)
    async with database.tenant("slack:T1") as session:
        await session.execute(text("UPDATE turns SET lease_until = now() - interval '1 second'"))
    lease = await stores.leases.lease(turn)
    assert lease is not None
    await stores.leases.finish(turn, lease, done(turn, call(100)), reservation=None, cache_key=None)
    assert await stores.inbox.replace_question(turn, "What else?", MEMBERS)
    await stores.retractions.forget(turn)
    assert asked
    assert [sql for sql in asked if "INTO budget_days" in sql or "UPDATE budget_days" in sql] == []


@pytest.mark.parametrize(("count_free", "used"), [(False, 100), (True, 400)])
async def test_a_call_that_costs_nothing_counts_only_if_the_operator_says_so(
    database: Database, count_free: bool, used: int
) -> None:
    stores = store_of(database, count_free=count_free)
    turn = await accepted(stores, "1")
    quoted = replace(call(50, "0"), provider=NO_MODEL, model=NO_MODEL)
    calls = [replace(one, id=uuid.uuid4().hex) for one in (call(100), call(300, "0"), quoted)]
    for _ in range(2):
        await stores.budgets.bill(turn, calls, None)
        assert [one for one, _ in await days(stores)] == [used] * 3


@pytest.mark.parametrize(("count_free", "used"), [(False, 0), (True, 300)])
async def test_a_lost_call_that_costs_nothing_counts_only_if_the_operator_says_so(
    database: Database, count_free: bool, used: int
) -> None:
    stores = store_of(database, count_free=count_free)
    turn = await accepted(stores, "1")
    began = replace(call(300, "0"), status="open", id=uuid.uuid4().hex)
    await stores.budgets.open_call(turn, began, None)
    async with database.work("slack:T1") as work:
        (rows,) = await work.ask(ledger.left("slack:T1", turn.id, count_free=count_free))
        await work.last()
    assert sum(row.tokens for row in rows) == used
