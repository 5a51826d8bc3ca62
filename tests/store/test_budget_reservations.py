"""What is set aside when a question is accepted: with the question or not at all, and given back however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from bot.config import Settings
from bot.store.pipeline import Rows, Statement, Work
from bot.store.session import Database
from bot.store.store import PostgresStore
from bot.types.conversation import Author
from bot.types.turns import Turn
from bot.types.usage import Call, Usage
from tests.store.test_turns import THREAD, accepted, call, done, incoming

EXPECTED = 700
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def store_of(database: Database, **limits: int) -> PostgresStore:
    made = Settings(_env_file=None, **{"daily_tokens": 2000, **limits})  # type: ignore[arg-type]
    return PostgresStore(database, made, count_tokens=len, clock=lambda: NOW, expected=lambda _: EXPECTED)


async def days(store: PostgresStore) -> list[tuple[int, int]]:
    """Used and reserved, of the person, the channel and the tenant."""
    states = await store.budgets("slack:T1", "C1", Author("U1", "Ann"))
    return [(state.used, state.reserved) for state in states]


async def held(store: PostgresStore, turn: Turn) -> int:
    reservation = (await store.brief(turn)).reservation
    return reservation.tokens if reservation else 0


async def test_a_question_is_accepted_with_its_tokens_set_aside_once(database: Database) -> None:
    store = store_of(database)
    copies = await asyncio.gather(*(store.accept(incoming("1")) for _ in range(5)))
    (turn,) = [one for one in copies if one is not None]
    assert await days(store) == [(0, EXPECTED)] * 3
    assert await held(store, turn) == EXPECTED


async def test_its_own_tokens_do_not_count_against_a_turn(database: Database) -> None:
    store = store_of(database)
    await accepted(store, "1")
    turn = await accepted(store, "2")
    assert [state.reserved for state in (await store.brief(turn)).budgets] == [EXPECTED] * 3


@pytest.mark.parametrize("limits", [{"daily_tokens": 600}, {"channel_daily_tokens": 600}, {"tenant_daily_tokens": 600}])
async def test_a_question_that_does_not_fit_is_accepted_and_nothing_is_held_for_it(
    database: Database, limits: dict[str, int]
) -> None:
    store = store_of(database, **limits)
    turn = await accepted(store, "1")
    assert await days(store) == [(0, 0)] * 3
    assert (await store.brief(turn)).reservation is None


async def test_many_at_once_never_set_more_aside_than_there_is(database: Database) -> None:
    store = store_of(database, daily_tokens=10_000, channel_daily_tokens=3 * EXPECTED + 50)
    asked = [replace(incoming(str(n)), author=Author(f"U{n}", "P")) for n in range(12)]
    turns = await asyncio.gather(*(store.accept(one) for one in asked))
    assert all(turns), "each is accepted all the same"
    _, channel, tenant = await days(store)
    assert channel == tenant
    assert channel[1] in {0, EXPECTED, 2 * EXPECTED, 3 * EXPECTED}
    assert sum([await held(store, turn) for turn in turns if turn]) == channel[1]


async def test_the_first_call_gives_back_what_its_prompt_does_not_need(database: Database) -> None:
    store = store_of(database)
    turn = await accepted(store, "1")
    lease = await store.lease(turn)
    assert lease is not None
    reservation = (await store.brief(turn)).reservation
    begun = Call("answer", "p", "m", "cheap", Usage(200), None, "", "open", 0.0, id="0" * 32)
    await store.open_call(turn, begun, reservation, tokens=300)
    assert await days(store) == [(0, 300)] * 3
    await store.open_call(turn, begun, reservation, tokens=300)
    assert await days(store) == [(0, 300)] * 3, "once more changes nothing"
    over = replace(call(250), id=begun.id)
    await store.finish(turn, lease, done(turn, over), reservation=reservation, cache_key=None)
    assert await days(store) == [(250, 0)] * 3


async def test_a_longer_prompt_sets_more_aside_or_leaves_what_there_was(database: Database) -> None:
    store = store_of(database)
    turn = await accepted(store, "1")
    reservation = (await store.brief(turn)).reservation
    assert reservation is not None
    more = await store.change(turn, reservation, 2000)
    assert await days(store) == [(0, 2000)] * 3
    with pytest.raises(Exception, match="token budget"):
        await store.change(turn, more, 2001)
    assert await days(store) == [(0, 2000)] * 3


async def test_an_end_gives_back_what_is_held_though_the_run_never_heard_of_it(database: Database) -> None:
    store = store_of(database)
    ended, back = await accepted(store, "1"), await store.accept(incoming("2", replace(THREAD, thread_id="9")))
    assert back is not None
    for turn in (ended, back):
        lease = await store.lease(turn)
        assert lease is not None
        if turn is ended:
            await store.finish(turn, lease, done(turn, call(100)), reservation=None, cache_key=None)
        else:
            await store.hand_back(turn, lease, (), reservation=None)
    assert await days(store) == [(100, 0)] * 3


async def test_a_deleted_question_gives_its_tokens_back_and_a_changed_one_holds_its_own(database: Database) -> None:
    store = store_of(database)
    turn, other = await accepted(store, "1"), await accepted(store, "2")
    await store.forget(turn)
    assert await days(store) == [(0, EXPECTED)] * 3
    before = (await store.brief(other)).reservation
    changed = await store.begin_anew(other, "What else?")
    assert changed is not None
    after = (await store.brief(changed)).reservation
    assert before is not None
    assert after is not None
    assert before.id != after.id
    assert await days(store) == [(0, EXPECTED)] * 3
    await store.bill(other, [call(40)], before)
    assert await days(store) == [(40, EXPECTED)] * 3, "an old run pays for itself and leaves the new one its tokens"


async def test_a_run_that_died_leaves_nothing_held(database: Database) -> None:
    store = store_of(database)
    turn = await accepted(store, "1")
    assert await store.lease(turn)
    async with database.tenant("slack:T1") as session:
        await session.execute(text("UPDATE turns SET lease_until = now() - interval '1 second'"))
    assert await store.lease(turn)
    assert await days(store) == [(0, 0)] * 3


async def test_whoever_is_stopped_at_the_commit_of_a_reservation_leaves_nothing_held(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(database)
    turn = await accepted(store, "1")
    whole, stopping = database.work, asyncio.Event()

    @asynccontextmanager
    async def slow(tenant_id: str) -> AsyncIterator[Work]:
        """A transaction that is committed, whose end is long in coming."""
        async with whole(tenant_id) as work:
            yield work
        if work.done and not stopping.is_set():
            stopping.set()
            await asyncio.sleep(60)

    monkeypatch.setattr(database, "work", slow)
    reserving = asyncio.create_task(store.reserve(turn, 300))
    await stopping.wait()
    reserving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reserving
    assert await days(store) == [(0, EXPECTED)] * 3


async def test_no_day_stays_locked_while_a_process_makes_up_its_mind(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every turn of a tenant locks its day, acceptances too: what locks it is sent with its commit."""
    asked: list[str] = []
    ask = Work.ask

    async def heard(self: Work, *statements: Statement) -> list[Rows]:
        asked.extend(one.sql for one in statements)
        return await ask(self, *statements)

    monkeypatch.setattr(Work, "ask", heard)
    store = store_of(database)
    turn = await accepted(store, "1")
    assert await store.lease(turn)
    await store.change(turn, await store.reserve(turn, 100), 300)
    async with database.tenant("slack:T1") as session:
        await session.execute(text("UPDATE turns SET lease_until = now() - interval '1 second'"))
    lease = await store.lease(turn)
    assert lease is not None
    await store.finish(turn, lease, done(turn, call(100)), reservation=None, cache_key=None)
    assert await store.begin_anew(turn, "What else?")
    await store.forget(turn)
    assert asked
    assert [sql for sql in asked if "INTO budget_days" in sql or "UPDATE budget_days" in sql] == []
