"""The turn queue on a real database: which turn is next, which process holds it, and how turns of dead processes are
freed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import psycopg
import pytest
from sqlalchemy import text

from bot.config import Settings
from bot.engine.ports.stores import Stores
from bot.errors import LeaseLost
from bot.store.database.notifications import Notifications, parsed, payload, telling
from bot.store.database.process_liveness import LOCKS, Evidence
from bot.store.database.session import Database
from bot.store.stores import open_stores
from bot.types.conversation import Author
from bot.types.display import Pacing
from bot.types.turns import Notice, TenantRoom, Turn
from tests.store.test_turns import NOON, THREAD, done, incoming
from tests.superuser_access import as_superuser


def store_of(database: Database, holder: int | None = None) -> Stores:
    made = Settings(_env_file=None)
    return open_stores(
        database,
        made,
        count_tokens=len,
        clock=lambda: NOON,
        holder=lambda: holder,
        evidence=lambda: Evidence(settling=0.0),
        retry_seconds=5.0,
    )


async def asked(stores: Stores, message: str, *, tenant: str = "slack:T1", user: str = "U1") -> Turn:
    key = replace(THREAD, tenant_id=tenant, thread_id=message)
    turn = await stores.inbox.accept(replace(incoming(message, key), author=Author(user, user)))
    assert turn is not None
    return turn


@asynccontextmanager
async def on_the_line(url: str, process_id: int) -> AsyncIterator[list[Notice]]:
    """A process that others see as alive, and the notices that it receives."""
    heard: list[Notice] = []
    notifications = Notifications(url, process_id=process_id, beat=0.05, settling=0.0)
    task = asyncio.create_task(notifications.serve(heard.append))
    await asyncio.wait_for(notifications.connected(), 10)
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: _has_let_go(url, process_id))


async def _has_let_go(url: str, process_id: int) -> bool:
    """Return whether the server has noticed that the process closed its connection, which takes a moment."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        held = await connection.execute(
            "SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s", (LOCKS, process_id)
        )
        return await held.fetchone() is None


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    for _ in range(600):
        if await condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came about")


async def test_tenants_take_turns_and_so_do_their_people(database: Database) -> None:
    stores = store_of(database, holder=7)
    for n in range(4):
        await asked(stores, f"a{n}", user="U1")
    await asked(stores, "b", user="U2")
    await asked(stores, "other", tenant="slack:T2")
    found = await stores.queue.ready_turns("slack")
    assert [turn.message_id for turn in found] == ["a0", "other", "b", "a1", "a2", "a3"]


async def test_who_runs_much_already_comes_later(database: Database) -> None:
    stores = store_of(database, holder=7)
    running = await asked(stores, "a0", user="U1")
    assert await stores.leases.lease(running)
    await asked(stores, "a1", user="U1")
    await asked(stores, "b", user="U2")
    await asked(stores, "other", tenant="slack:T2")
    found = await stores.queue.ready_turns("slack", known=[running.id])
    assert [turn.message_id for turn in found] == ["other", "b", "a1"]


async def test_turns_of_a_tenant_at_its_limit_are_left_to_other_processes(database: Database) -> None:
    mine, other = store_of(database, holder=7), store_of(database, holder=8)
    for stores, tenant in ((mine, "slack:noisy"), (mine, "slack:quiet")):
        turn = await asked(stores, tenant, tenant=tenant)
        await stores.queue.release(turn)
    found = await mine.queue.ready_turns("slack", room=TenantRoom({"slack:noisy": 0}, otherwise=8))
    assert [turn.message_id for turn in found] == ["slack:quiet"]
    assert "slack:noisy" in [turn.message_id for turn in await other.queue.ready_turns("slack")]


async def test_a_tenant_just_below_its_limit_gets_only_the_turns_that_it_has_room_for(database: Database) -> None:
    mine, other = store_of(database, holder=7), store_of(database, holder=8)
    for number in range(3):
        for tenant in ("slack:noisy", "slack:quiet"):
            turn = await asked(mine, f"{tenant} {number}", tenant=tenant)
            await mine.queue.release(turn)
    found = await mine.queue.ready_turns("slack", room=TenantRoom({"slack:noisy": 1}, otherwise=2))
    assert [turn.message_id for turn in found] == ["slack:noisy 0", "slack:quiet 0", "slack:quiet 1"]
    left = {turn.message_id for turn in await other.queue.ready_turns("slack")}
    assert left >= {"slack:noisy 1", "slack:noisy 2", "slack:quiet 2"}


async def test_only_the_first_of_a_thread_is_next_and_only_of_the_platform(database: Database) -> None:
    stores = store_of(database, holder=7)
    first = await stores.inbox.accept(incoming("1"))
    await stores.inbox.accept(incoming("2"))
    assert [turn.id for turn in await stores.queue.ready_turns("slack")] == [first.id if first else ""]
    assert await stores.queue.ready_turns("discord") == []


async def test_a_turn_is_its_processes_own_until_that_lets_go(database: Database, database_url: str) -> None:
    mine, other = store_of(database, 11), store_of(database, 12)
    async with on_the_line(database_url, 11):
        turn = await asked(mine, "1")
        assert await other.queue.ready_turns("slack") == []
        assert await other.leases.lease(turn) is None
        assert not await other.queue.hold(turn)
        await mine.queue.release(turn)
        assert [found.id for found in await other.queue.ready_turns("slack")] == [turn.id]
        assert await other.leases.lease(turn) is not None
        with pytest.raises(LeaseLost):
            await mine.queue.record_waiting(turn, 0, "m0")


async def test_what_tells_an_asker_to_wait_is_known_to_whoever_answers(database: Database) -> None:
    mine, other = store_of(database, 11), store_of(database, 12)
    turn = await asked(mine, "1")
    await mine.queue.record_waiting(turn, 0, None)
    await mine.queue.record_waiting(turn, 0, "m0")
    await mine.queue.release(turn)
    lease = await other.leases.lease(turn)
    assert lease is not None
    assert lease.recorded == 1
    stored = await other.inbox.turn("slack:T1", turn.id)
    assert stored is not None
    assert stored.parts == ("m0",)


async def test_the_dead_are_told_by_their_lock_and_their_beat(database: Database, database_url: str) -> None:
    mine, other = store_of(database, 11), store_of(database, 12)
    async with on_the_line(database_url, 11):
        turn = await asked(mine, "1")
        lease = await mine.leases.lease(turn)
        assert lease is not None
        assert await other.queue.ready_turns("slack") == []
    assert await other.queue.ready_turns("slack") == [], "its beat has only just stopped"
    async with database.queue() as session:
        await session.execute(text("UPDATE processes SET beat_at = now() - interval '5 seconds'"))
    (found,) = await other.queue.ready_turns("slack")
    taken = await other.leases.lease(found)
    assert taken is not None
    assert (taken.fence, taken.takeovers) == (lease.fence + 2, 1)
    with pytest.raises(LeaseLost):
        await mine.leases.renew(turn, lease)


async def test_a_turn_leased_while_the_line_was_down_is_its_processes_once_the_line_stands(
    database: Database, database_url: str
) -> None:
    unseen, mine, other = store_of(database), store_of(database, 11), store_of(database, 12)
    turn = await asked(unseen, "1")
    lease = await unseen.leases.lease(turn)
    assert lease is not None
    async with on_the_line(database_url, 11):
        await mine.leases.renew(turn, lease)
        assert await other.queue.ready_turns("slack") == []
    async with database.queue() as session:
        await session.execute(text("UPDATE processes SET beat_at = now() - interval '5 seconds'"))
    assert [found.id for found in await other.queue.ready_turns("slack")] == [turn.id]


async def test_a_process_that_lost_its_connection_for_a_moment_is_not_dead(
    database: Database, database_url: str
) -> None:
    mine, other = store_of(database, 11), store_of(database, 12)
    async with on_the_line(database_url, 11) as heard:
        turn = await asked(mine, "1")
        assert await mine.leases.lease(turn)
        before = heard.count(Notice("connected"))
        with psycopg.connect(as_superuser(database_url)) as server:
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 11")
        assert await other.queue.ready_turns("slack") == []

        async def again() -> bool:
            return heard.count(Notice("connected")) > before

        await until(again)
        assert await other.queue.ready_turns("slack") == []


async def test_a_peer_hears_that_a_process_died(database: Database, database_url: str) -> None:
    mine = store_of(database, 11)
    async with on_the_line(database_url, 12) as heard:
        async with on_the_line(database_url, 11):
            assert await mine.leases.lease(await asked(mine, "1"))
        async with database.queue() as session:
            await session.execute(
                text("UPDATE processes SET beat_at = now() - interval '5 seconds' WHERE process_id = 11")
            )

        async def told() -> bool:
            return Notice("dead") in heard

        await until(told)


async def test_the_end_of_a_turn_calls_the_next_of_its_thread(database: Database, database_url: str) -> None:
    mine, other = store_of(database, 11), store_of(database, 12)
    async with on_the_line(database_url, 12) as heard:
        first, second = await mine.inbox.accept(incoming("1")), await other.inbox.accept(incoming("2"))
        assert first is not None
        assert second is not None
        lease = await mine.leases.lease(first)
        assert lease is not None
        await mine.leases.finish(first, lease, done(first), reservation=None, cache_key=None)

        async def told() -> bool:
            return Notice("ready", second.id, "slack", 12) in heard

        await until(told)
    assert await other.leases.lease(second) is not None


async def test_a_lease_whose_commit_nobody_heard_of_is_given_again(database: Database) -> None:
    mine = store_of(database, 11)
    turn = await asked(mine, "1")
    first = await mine.leases.lease(turn)
    again = await mine.leases.lease(turn)
    assert first is not None
    assert again is not None
    assert again.fence == first.fence + 1
    with pytest.raises(LeaseLost):
        await mine.leases.renew(turn, first)


async def test_a_stop_reaches_whoever_runs_the_turn(database: Database, database_url: str) -> None:
    mine, other = store_of(database, 11), store_of(database, 12)
    async with on_the_line(database_url, 11) as heard:
        turn = await asked(mine, "1")
        assert await other.queue.ask_to_stop(turn)

        async def told() -> bool:
            return Notice("stop", turn.id) in heard

        await until(told)
        lease = await mine.leases.lease(turn)
        assert lease is not None
        assert lease.stopping
        await mine.leases.finish(turn, lease, done(turn), reservation=None, cache_key=None)
    assert not await other.queue.ask_to_stop(turn)


async def test_a_message_that_is_no_turn_is_noted_once_among_all(database: Database) -> None:
    processes = [store_of(database, n) for n in range(1, 12)]
    noted = await asyncio.gather(*(stores.inbox.note_command(THREAD, "9.9") for stores in processes))
    assert sum(noted) == 1
    assert await processes[0].inbox.accept(incoming("9.9")) is None
    assert await processes[0].inbox.turns_of(THREAD, "9.9") == []


async def test_when_a_platform_was_last_served_is_known(database: Database, database_url: str) -> None:
    mine, other = store_of(database, 11), store_of(database, 12)
    assert await other.queue.last_served("discord") is None
    async with on_the_line(database_url, 11):
        await mine.queue.mark_serving("discord")
        await mine.queue.mark_serving("discord")
        assert await mine.queue.last_served("discord") is None, "it is asked about others"
        assert await other.queue.last_served("discord") is not None
        assert await other.queue.last_served("slack") is None


async def test_the_process_tells_where_it_runs(database: Database, database_url: str) -> None:
    async with on_the_line(database_url, 11):
        with psycopg.connect(as_superuser(database_url)) as connection:
            connection.execute("SET parley.tenant_id = '*'")
            row = connection.execute("SELECT process_id, pid, tenant_id FROM processes").fetchone()
    assert row == (11, os.getpid(), "*")


@pytest.mark.parametrize(
    "notice", [Notice("ready", "t", "slack", 0), Notice("stop", "t"), Notice("moved", "t", "discord", 4)]
)
def test_a_notice_travels(notice: Notice) -> None:
    assert parsed(payload(notice)) == notice


def test_what_is_told_of_edits_travels() -> None:
    pacing = Pacing("slack:T1", "slack", 7, 3, 2, 1.5, 0.25)
    (said,) = cast(list[str], telling([pacing]).given["payloads"])
    assert parsed(said) == pacing


@pytest.mark.parametrize(
    "said",
    [
        "",
        "ready",
        "later slack t 1",
        "ready slack t x",
        "ready slack t 1 more",
        "pace",
        "pace 7",
        'pace {"streams": 1}',
        'pace {"what": 1}',
    ],
)
def test_a_notice_of_another_version_is_not_heard(said: str) -> None:
    assert parsed(said) is None
