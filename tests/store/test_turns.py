"""Accepting, leasing and finishing turns on a real database."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text

from bot.config import Settings
from bot.engine.ports.stores import Stores
from bot.errors import LeaseLost, OverBudget
from bot.store.browser_page import page_conversations
from bot.store.budgets import ledger
from bot.store.database.session import Database
from bot.store.stores import open_stores
from bot.types.audience import MEMBERS
from bot.types.conversation import Author, Incoming, ThreadKey
from bot.types.turns import Outcome, Turn
from bot.types.usage import Call, Route, Usage

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
THREAD = ThreadKey("slack:T1", "slack", "C1", "100.1")


def store_of(database: Database, now: datetime = NOON, **settings: object) -> Stores:
    made = Settings(_env_file=None, **settings)  # type: ignore[arg-type]
    return open_stores(database, made, count_tokens=lambda text: len(text.split()), clock=lambda: now)


def incoming(message: str, thread: ThreadKey = THREAD, text: str = "What is the limit?") -> Incoming:
    return Incoming(thread, message, Author("U1", "Ann"), text, "mention", NOON, audience=MEMBERS)


def call(tokens: int, cost: str | None = "0.001") -> Call:
    usage = Usage(input_tokens=tokens - 10, completion_tokens=10)
    price = Decimal(cost) if cost is not None else None
    return Call("answer", "anthropic", "claude-haiku-5-5", "cheap", usage, price, "table 1", "ok", 12.0, 5.0)


def done(turn: Turn, *calls: Call) -> Outcome:
    return Outcome(
        turn.id, turn.thread, "done", answer="It is 5 [1].", route=Route("cheap", "m", "simple"), calls=calls
    )


async def accepted(stores: Stores, message: str, thread: ThreadKey = THREAD) -> Turn:
    turn = await stores.inbox.accept(incoming(message, thread))
    assert turn is not None
    return turn


async def test_a_message_is_accepted_once_however_often_it_comes(database: Database) -> None:
    stores = store_of(database)
    found = await asyncio.gather(*(stores.inbox.accept(incoming("1.1")) for _ in range(11)))
    assert len([turn for turn in found if turn]) == 1
    other = await stores.inbox.accept(incoming("1.1", replace(THREAD, tenant_id="slack:T2")))
    assert other is not None


async def test_one_turn_of_a_thread_runs_at_a_time_and_in_order(database: Database) -> None:
    stores = store_of(database)
    first, second = await accepted(stores, "1"), await accepted(stores, "2")
    assert await stores.leases.lease(second) is None
    leases = await asyncio.gather(*(stores.leases.lease(first) for _ in range(5)))
    (lease,) = [lease for lease in leases if lease]
    assert await stores.leases.lease(second) is None
    await stores.leases.finish(first, lease, done(first), reservation=None, cache_key=None)
    assert await stores.leases.lease(second) is not None
    with pytest.raises(LeaseLost):
        await stores.leases.lease(first)


async def test_a_lapsed_lease_is_taken_over_and_the_old_holder_can_write_no_more(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    old = await stores.leases.lease(turn)
    assert old is not None
    reservation = await stores.budgets.reserve(turn, 500)
    async with database.tenant("slack:T1") as session:
        await session.execute(text("UPDATE turns SET lease_until = now() - interval '1 second'"))
    assert [waiting.id for waiting in await stores.queue.ready_turns("slack")] == [turn.id]
    taken = await stores.leases.lease(turn)
    assert taken is not None
    assert taken.fence == old.fence + 1
    assert (await stores.budgets.budget("slack:T1", "U1")).reserved == 0
    with pytest.raises(LeaseLost):
        await stores.leases.record_part(turn, old, 0, None)
    with pytest.raises(LeaseLost):
        await stores.leases.finish(turn, old, done(turn, call(100)), reservation=reservation, cache_key=None)
    assert (await stores.budgets.budget("slack:T1", "U1")).used == 100
    await stores.leases.finish(turn, taken, done(turn, call(40)), reservation=None, cache_key=None)
    assert (await stores.budgets.budget("slack:T1", "U1")).used == 140


async def test_parts_are_known_after_a_restart(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    lease = await stores.leases.lease(turn)
    assert lease is not None
    await stores.leases.record_part(turn, lease, 0, None)
    await stores.leases.record_part(turn, lease, 0, "ts-1")
    await stores.leases.record_part(turn, lease, 1, None)
    await stores.leases.hand_back(turn, lease, [call(30)], reservation=None)
    again = await stores.inbox.turn("slack:T1", turn.id)
    assert again is not None
    assert again.parts == ("ts-1",)
    assert (await stores.budgets.budget("slack:T1", "U1")).used == 30


async def test_the_message_that_takes_the_place_of_another_one_is_recorded_once(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    lease = await stores.leases.lease(turn)
    assert lease is not None
    await stores.leases.record_part(turn, lease, 0, "ts-1")
    assert await stores.leases.record_part(turn, lease, 0, None) == "ts-1"
    assert await stores.leases.record_part(turn, lease, 0, "ts-2", replaced="ts-1") == "ts-2"
    assert await stores.leases.record_part(turn, lease, 0, "ts-2", replaced="ts-1") == "ts-2", "the same, repeated"
    assert await stores.leases.record_part(turn, lease, 0, "ts-3", replaced="ts-1") == "ts-2", "the first one wins"


async def test_history_ends_before_the_question_and_knows_the_answer(database: Database) -> None:
    stores = store_of(database)
    first, second = await accepted(stores, "1"), await accepted(stores, "2")
    lease = await stores.leases.lease(first)
    assert lease is not None
    await stores.leases.finish(first, lease, done(first), reservation=None, cache_key=None)
    assert (await stores.conversation.history(first)).messages == ()
    past = await stores.conversation.history(second)
    assert [(message.role, message.author) for message in past.messages] == [("user", "Ann"), ("assistant", "Parley")]
    assert past.tier == "cheap"
    due = past.messages
    assert await stores.conversation.summarize(second, since=0, due=due, summary="Asked about limits.")
    assert not await stores.conversation.summarize(second, since=0, due=due, summary="Twice.")
    later = await stores.conversation.history(second)
    assert (later.summary, later.messages) == ("Asked about limits.", ())


async def test_every_call_is_a_row_and_an_unknown_price_stays_unknown(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    lease = await stores.leases.lease(turn)
    assert lease is not None
    reservation = await stores.budgets.reserve(turn, 1000)
    await stores.leases.finish(
        turn, lease, done(turn, call(200), call(50, None)), reservation=reservation, cache_key="k"
    )
    state = await stores.budgets.budget("slack:T1", "U1")
    assert (state.used, state.reserved) == (250, 0)
    async with database.tenant("slack:T1") as session:
        rows = await ledger.of_turn(session, tenant_id="slack:T1", turn_id=turn.id)
        shown = await page_conversations.messages(session, tenant_id="slack:T1", thread=THREAD)
    assert sorted((row.cost_usd for row in rows), key=lambda cost: cost is None) == [Decimal("0.0010000000"), None]
    assert [message.role for message in shown] == ["user", "assistant"]
    cached = await stores.answers.cached("slack:T1", "k")
    assert cached is not None
    assert cached.answer == "It is 5 [1]."
    assert await stores.answers.cached("slack:T2", "k") is None


async def test_reservations_at_once_never_pass_the_limit(database: Database) -> None:
    stores = store_of(database, daily_tokens=1000)
    turns = [await accepted(stores, str(n), replace(THREAD, thread_id=str(n))) for n in range(20)]
    results = await asyncio.gather(*(stores.budgets.reserve(turn, 300) for turn in turns), return_exceptions=True)
    granted = [result for result in results if not isinstance(result, BaseException)]
    assert len(granted) == 3
    assert all(isinstance(result, OverBudget) for result in results if isinstance(result, BaseException))
    state = await stores.budgets.budget("slack:T1", "U1")
    assert (state.used, state.reserved) == (0, 900)


async def test_a_reservation_is_settled_once(database: Database) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    reservation = await stores.budgets.reserve(turn, 300)
    await stores.budgets.bill(turn, [call(100)], reservation)
    await stores.budgets.bill(turn, [], reservation)
    state = await stores.budgets.budget("slack:T1", "U1")
    assert (state.used, state.reserved) == (100, 0)


async def test_the_day_is_the_tenants_own(database: Database) -> None:
    late = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
    tokyo = store_of(database, late, timezone="Asia/Tokyo")
    state = await tokyo.budgets.budget("slack:T1", "U1")
    assert state.resets_at.isoformat() == "2026-11-25T00:00:00+09:00"
    turn = await accepted(tokyo, "1")
    assert (await tokyo.budgets.reserve(turn, 10)).day.isoformat() == "2026-11-24"
