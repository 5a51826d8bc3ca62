"""After a restart of the server, the living get time to reconnect, by how long the reader itself needed; the dead do
not keep their turns for longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from benchmarks.chaos.postgres import Postgres, crashing_postgres
from bot.store.database.notifications import Notifications
from bot.store.database.process_liveness import LONGEST_SETTLING, SETTLING, SHORTEST_SETTLING, settling_after
from bot.store.database.session import Database
from bot.types.turns import Notice
from tests.doubles.faulty_network import FaultyNetwork
from tests.store.test_turn_queue import asked, store_of

PATIENCE = 150.0
"""Seconds after which something counts as never happening, on a busy machine."""
HERE, CUT_OFF = 11, 12
_UP_FOR = "SELECT CAST(extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) AS float8)"


@asynccontextmanager
async def listening(notifications: Notifications, heard: asyncio.Queue[Notice]) -> AsyncIterator[None]:
    task = asyncio.create_task(notifications.serve(heard.put_nowait))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def next_of(heard: asyncio.Queue[Notice], kind: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await heard.get()).kind != kind:
            pass


async def seconds_up(postgres: Postgres) -> float:
    async with await psycopg.AsyncConnection.connect(postgres.admin_url) as connection:
        row = await (await connection.execute(_UP_FOR)).fetchone()
    assert row is not None
    return float(row[0])


@pytest.mark.parametrize(
    ("own", "others"), [(0.0, SHORTEST_SETTLING), (1.5, 6.0), (60.0, LONGEST_SETTLING), (10.0**6, LONGEST_SETTLING)]
)
def test_the_slower_a_process_reconnects_itself_the_longer_it_waits_for_others(own: float, others: float) -> None:
    assert settling_after(own) == others


@pytest.mark.timeout(400)
async def test_a_process_that_cannot_reconnect_is_left_its_turns_until_the_others_have_had_their_time() -> None:
    with crashing_postgres() as postgres:
        async with FaultyNetwork(postgres.url) as network:
            here, cut_off = Notifications(postgres.url, process_id=HERE), Notifications(network.url, process_id=CUT_OFF)
            heard: asyncio.Queue[Notice] = asyncio.Queue()
            assert here.evidence.settling == SETTLING
            async with listening(here, heard), listening(cut_off, asyncio.Queue()):
                await asyncio.wait_for(asyncio.gather(here.connected(), cut_off.connected()), PATIENCE)
                database = Database(postgres.url)
                turn = await asked(store_of(database, CUT_OFF), "1.1")
                assert turn
                await network.cut()
                await postgres.crash(0.2)
                await next_of(heard, "connected")
                await next_of(heard, "dead")
                assert await seconds_up(postgres) >= here.evidence.settling
                assert SHORTEST_SETTLING <= here.evidence.settling <= LONGEST_SETTLING
                await database.aclose()
