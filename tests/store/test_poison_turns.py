"""Which turns a process death counts against, on a real database with processes that die."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import text

from bot.engine.answer.poison import MAX_DEATHS, SUSPECT_AFTER, is_poison, is_suspect
from bot.errors import StoreAway
from bot.store.database.pipelined_transactions import Rows, Statement
from bot.store.database.process_liveness import LOCKS
from bot.store.database.session import Database
from bot.types.turns import Turn
from tests.store.test_deleted_questions import silenced
from tests.store.test_turn_queue import asked, on_the_line, store_of
from tests.store.test_turns import done


async def noted(database: Database) -> dict[str, int]:
    async with database.tenant("slack:T1") as session:
        return {row.message_id: row.takeovers for row in await session.execute(text("SELECT * FROM turns"))}


async def note(database: Database, turn: Turn, deaths: int) -> None:
    async with database.tenant(turn.thread.tenant_id) as session:
        await session.execute(
            text("UPDATE turns SET takeovers = :deaths WHERE turn_id = CAST(:turn AS uuid)"),
            {"deaths": deaths, "turn": turn.id},
        )


async def test_a_death_is_noted_against_all_that_ran_and_against_nothing_that_waited(
    database: Database, database_url: str
) -> None:
    mine, other = store_of(database, 11), store_of(database, 12)
    async with on_the_line(database_url, 11):
        for message in ("a", "b"):
            assert await mine.leases.lease(await asked(mine, message))
        await asked(mine, "waits")
    await silenced(database, 11, 2.0)
    assert len(await other.queue.ready_turns("slack")) == 3
    assert await noted(database) == {"a": 1, "b": 1, "waits": 0}


async def test_where_a_suspect_ran_the_death_is_laid_to_it_alone(database: Database, database_url: str) -> None:
    mine, other = store_of(database, 11), store_of(database, 12)
    async with on_the_line(database_url, 11):
        suspect, innocent = await asked(mine, "suspect"), await asked(mine, "innocent")
        await note(database, suspect, SUSPECT_AFTER)
        assert await mine.leases.lease(suspect)
        assert await mine.leases.lease(innocent)
    await silenced(database, 11, 2.0)
    await other.queue.ready_turns("slack")
    assert await noted(database) == {"suspect": SUSPECT_AFTER + 1, "innocent": 0}


async def test_a_process_takes_one_suspect_up_at_a_time_and_any_number_of_others(database: Database) -> None:
    mine = store_of(database, 11)
    for message in ("s1", "s2", "i1", "i2"):
        turn = await asked(mine, message)
        await mine.queue.release(turn)
        await note(database, turn, SUSPECT_AFTER if message.startswith("s") else SUSPECT_AFTER - 1)
    assert sorted(turn.message_id for turn in await mine.queue.ready_turns("slack", suspects=False)) == ["i1", "i2"]
    found = await mine.queue.ready_turns("slack")
    assert sorted(turn.message_id for turn in found) == ["i1", "i2", "s1"]
    assert [is_suspect(turn.takeovers) for turn in found if turn.message_id == "s1"] == [True]


async def test_a_turn_that_its_own_process_takes_again_counts_each_time(database: Database) -> None:
    mine = store_of(database, 11)
    turn = await asked(mine, "1")
    for taken in range(MAX_DEATHS + 1):
        lease = await mine.leases.lease(turn)
        assert lease is not None
        assert lease.takeovers == taken
        assert is_poison(lease.takeovers) is (taken == MAX_DEATHS)


async def test_a_lease_whose_confirmation_was_lost_counts_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, whole, lost = store_of(database, 11), database.flush, [True]
    turn = await asked(mine, "1")

    async def deaf(tenant_id: str, *statements: Statement) -> list[Rows]:
        rows = await whole(tenant_id, *statements)
        if lost:
            lost.pop()
            raise StoreAway("the connection broke after the commit")
        return rows

    monkeypatch.setattr(database, "flush", deaf)
    lease = await mine.leases.lease(turn)
    assert lease is not None
    assert (lease.fence, lease.takeovers, lost) == (2, 0, [])


async def test_who_kills_its_processes_is_poison_and_who_ran_beside_it_is_not(
    database: Database, database_url: str
) -> None:
    """A poison turn among innocent turns that never finish: each process dies as soon as it runs them."""
    deaths = 0
    first = store_of(database, 1)
    async with on_the_line(database_url, 1):
        waiting = [await asked(first, message, user=message) for message in ("poison", "a", "b", "c")]
        for turn in waiting:
            await first.queue.release(turn)
    for process in range(20, 20 + 3 * MAX_DEATHS):
        stores = store_of(database, process)
        async with on_the_line(database_url, process):
            leases = {
                turn.message_id: await stores.leases.lease(turn) for turn in await stores.queue.ready_turns("slack")
            }
            poison = leases.get("poison")
            if poison is not None and is_poison(poison.takeovers):
                break
            deaths += poison is not None
        await silenced(database, process, 2.0)
    counts = await noted(database)
    assert deaths <= 2 * MAX_DEATHS
    assert is_poison(counts.pop("poison"))
    assert not any(is_poison(count) for count in counts.values()), counts


async def test_a_process_that_hangs_with_its_lock_counts_as_dead_after_as_long_as_a_lease(
    database: Database, database_url: str
) -> None:
    mine, other = store_of(database, 11), store_of(database, 12)
    async with on_the_line(database_url, 11):
        turn = await asked(mine, "1")
    with psycopg.connect(database_url, autocommit=True) as hanging:
        hanging.execute("SELECT pg_advisory_lock(%s, 11)", (LOCKS,))
        await silenced(database, 11, 20.0)
        assert await other.queue.ready_turns("slack") == [], "it may only be slow"
        await silenced(database, 11, 31.0)
        assert [found.id for found in await other.queue.ready_turns("slack")] == [turn.id]


async def test_a_reply_that_kills_the_processes_that_show_it_is_told_from_others(
    database: Database, database_url: str
) -> None:
    """A stored reply kills every process that shows it; others that are shown beside it are only unlucky."""
    async with on_the_line(database_url, 11):
        first = store_of(database, 11)
        for message in ("poison", "a", "b"):
            turn = await asked(first, message)
            lease = await first.leases.lease(turn)
            assert lease is not None
            await first.leases.finish(
                turn, lease, replace(done(turn), deliver_in=0.0), reservation=None, cache_key=None
            )
    await silenced(database, 11, 2.0)
    for process in range(20, 20 + 3 * MAX_DEATHS):
        stores = store_of(database, process)
        async with on_the_line(database_url, process):
            await stores.queue.ready_turns("slack")
            await as_due(database)
            found = {one.turn.message_id: one for one in (await stores.late_replies.claim("slack")).due}
            if "poison" in found:
                if is_poison(found["poison"].lease.takeovers):
                    break
            else:
                for one in found.values():
                    await stores.late_replies.end(one.turn, one.lease)
        await silenced(database, process, 2.0)
    counts = await noted(database)
    assert is_poison(counts.pop("poison"))
    assert not any(is_poison(count) for count in counts.values()), counts


async def as_due(database: Database) -> None:
    async with database.tenant("slack:T1") as session:
        await session.execute(text("UPDATE turns SET deliver_at = now() WHERE deliver_at IS NOT NULL"))


async def test_a_process_shows_one_suspect_at_a_time_and_any_number_of_others(database: Database) -> None:
    mine = store_of(database, 11)
    for message in ("s1", "s2", "i1", "i2"):
        turn = await asked(mine, message)
        lease = await mine.leases.lease(turn)
        assert lease is not None
        await mine.leases.finish(turn, lease, replace(done(turn), deliver_in=0.0), reservation=None, cache_key=None)
        await mine.late_replies.postpone(turn, lease, wait=None)
        await note(database, turn, SUSPECT_AFTER if message.startswith("s") else SUSPECT_AFTER - 1)
    assert (await mine.late_replies.claim("slack", known=[], suspects=False, most=1)).due[0].turn.message_id == "i1"
    found = (await mine.late_replies.claim("slack")).due
    assert sorted(one.turn.message_id for one in found) == ["i2", "s1"]
