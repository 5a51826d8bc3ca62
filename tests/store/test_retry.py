"""An unavailable database: reported in a message for users, waited for by running turns, and used again once it is
back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import StoreAway
from bot.store.database.pipelined_transactions import Statement, Work
from bot.store.database.retry import CONFLICT_ATTEMPTS, CONFLICT_PAUSE, patiently
from bot.store.database.session import Database
from tests.store.test_turns import THREAD, accepted, call, done, incoming, store_of

NOWHERE = "postgresql://parley@127.0.0.1:1/parley"


async def test_a_database_that_does_not_answer_is_told_apart_from_a_wrong_question(database: Database) -> None:
    away = Database(NOWHERE)
    with pytest.raises(StoreAway) as told:
        await store_of(away).inbox.accept(incoming("1"))
    assert "127.0.0.1" not in str(told.value), "the address is for the operator"
    assert "DATABASE_URL" in told.value.detail
    await away.aclose()
    with pytest.raises(Exception, match="nowhere") as wrong:
        async with database.tenant("slack:T1") as session:
            await session.execute(text("SELECT * FROM nowhere"))
    assert not isinstance(wrong.value, StoreAway)


async def test_a_full_pool_is_told_so(database_url: str) -> None:
    database = Database(database_url, pool_size=1, pool_overflow=0, pool_seconds=0.05)
    async with database.tenant("slack:T1"):
        with pytest.raises(StoreAway, match="does not answer at the moment"):
            async with database.tenant("slack:T2"):
                pass
    await database.aclose()


@pytest.mark.parametrize(
    ("message", "is_away"),
    [("failure on connection marked as essential: 10.0.0.2:5432", True), ("tuple concurrently updated", False)],
)
async def test_a_node_of_a_cluster_that_is_lost_is_told_apart_from_other_internal_errors(
    database: Database, message: str, is_away: bool
) -> None:
    raising = f"DO $$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = 'XX000'; END $$"
    with pytest.raises(Exception, match=message if not is_away else "does not answer") as by_pipeline:
        async with database.work("slack:T1") as work:
            await work.last(Statement(raising))
    with pytest.raises(Exception, match=message if not is_away else "does not answer") as by_session:
        async with database.tenant("slack:T1") as session:
            await session.execute(text(raising))
    assert isinstance(by_pipeline.value, StoreAway) == isinstance(by_session.value, StoreAway) == is_away


async def test_a_running_turn_outlives_connections_that_break(database: Database, database_url: str) -> None:
    stores = store_of(database)
    turn = await accepted(stores, "1")
    lease = await stores.leases.lease(turn)
    assert lease is not None
    reservation = await stores.budgets.reserve(turn, 500)
    with psycopg.connect(database_url) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await stores.leases.finish(turn, lease, done(turn, call(100)), reservation=reservation, cache_key=None)
    state = await stores.budgets.budget("slack:T1", "U1")
    assert (state.used, state.reserved) == (100, 0)


async def test_a_commit_that_nobody_heard_of_is_not_made_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores, whole, lost = store_of(database), database.work, [True]

    @asynccontextmanager
    async def deaf(tenant_id: str) -> AsyncIterator[Work]:
        """A transaction that is committed, but whose first confirmation is lost."""
        async with whole(tenant_id) as work:
            yield work
        if lost and work.done:
            lost.pop()
            raise StoreAway("the connection broke at the commit")

    assert await stores.inbox.accept(incoming("0", replace(THREAD, thread_id="another")))
    monkeypatch.setattr(database, "work", deaf)
    for port in (stores.inbox, stores.queue, stores.leases, stores.retractions):
        monkeypatch.setattr(port, "_holder", lambda: 7)
    turn = await accepted(stores, "1")
    assert lost == []
    lost.append(True)
    lease = await stores.leases.lease(turn)
    assert lease is not None
    lost.append(True)
    reservation = await stores.budgets.reserve(turn, 500)
    lost.append(True)
    await stores.budgets.open_call(turn, replace(call(100), status="open"), reservation, tokens=400)
    lost.append(True)
    await stores.leases.finish(turn, lease, done(turn, call(100)), reservation=reservation, cache_key=None)
    state = await stores.budgets.budget("slack:T1", "U1")
    assert (state.used, state.reserved) == (100, 0)
    assert lost == []
    assert len((await stores.conversation.history(await accepted(stores, "2"))).messages) == 2, "nothing was said twice"


async def test_patience_ends() -> None:
    moment, slept = [0.0], []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        moment[0] += seconds

    async def work(again: bool) -> None:
        assert again == bool(slept)
        raise StoreAway("gone")

    with pytest.raises(StoreAway):
        await patiently(work, 5.0, monotonic=lambda: moment[0], sleep=sleep)
    assert slept[:4] == [0.1, 0.2, 0.4, 0.8]
    assert sum(slept) <= 5.0


async def test_what_does_not_pass_is_not_tried_again() -> None:
    tries = 0

    async def work(again: bool) -> None:
        nonlocal tries
        tries += 1
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await patiently(work, 5.0, sleep=asyncio.sleep)
    assert tries == 1


class Conflict(Exception):
    sqlstate = "40P01"


async def test_a_transaction_in_the_way_of_another_is_run_again_at_once_whatever_the_patience() -> None:
    tries: list[bool] = []

    async def work(again: bool) -> str:
        tries.append(again)
        if len(tries) < CONFLICT_ATTEMPTS:
            raise Conflict
        return "done"

    async def sleep(seconds: float) -> None:
        assert seconds <= CONFLICT_PAUSE * 2 ** len(tries)

    assert await patiently(work, 0, sleep=sleep) == "done"
    assert tries == [False] * CONFLICT_ATTEMPTS, "it was rolled back, so nothing was committed"


async def test_conflicts_that_do_not_end_are_an_unavailable_database() -> None:
    async def work(again: bool) -> None:
        raise Conflict

    async def sleep(seconds: float) -> None:
        return None

    with pytest.raises(StoreAway):
        await patiently(work, 0, sleep=sleep)


@pytest.mark.parametrize("kind", ["session", "flush"])
async def test_a_deadlock_costs_neither_of_the_two_transactions(database: Database, kind: str) -> None:
    """Two transactions lock two rows in opposite order. PostgreSQL rolls one back, which is run again."""
    async with database.tenant("slack:T1") as session:
        for subject in ("a", "b"):
            await session.execute(
                text("INSERT INTO budget_days (tenant_id, subject, day) VALUES ('slack:T1', :subject, '2026-11-23')"),
                {"subject": subject},
            )
    both = asyncio.Barrier(2)
    add = "UPDATE budget_days SET used = used + 1 WHERE subject = "
    runs = 0

    async def in_order(first: str, second: str) -> None:
        async def work(session: AsyncSession) -> None:
            nonlocal runs
            runs += 1
            await session.execute(text(f"{add} '{first}'"))
            if runs <= 2:
                await both.wait()
            await session.execute(text(f"{add} '{second}'"))

        await database.run("slack:T1", work)

    if kind == "session":
        await asyncio.gather(in_order("a", "b"), in_order("b", "a"))
        assert runs == 3
    else:
        steps = [Statement(f"{add} '{subject}'") for subject in "ab"]
        await asyncio.gather(
            *(database.flush("slack:T1", *order) for order in [steps, steps[::-1]] * 10),
        )
    async with database.tenant("slack:T1") as session:
        used = list(await session.scalars(text("SELECT used FROM budget_days")))
    assert used == ([2, 2] if kind == "session" else [20, 20])
