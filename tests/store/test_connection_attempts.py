"""Connections that never come about leave nothing behind, and the server lets go of clients that have gone."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from bot.errors import StoreAway
from bot.store.database import connections
from bot.store.database.connections import BoundedConnection
from bot.store.database.job_queue import Queue
from bot.store.database.pipelined_transactions import Statement
from bot.store.database.session import Database
from tests.doubles.faulty_network import FaultyNetwork

PATIENCE = 120.0
"""Seconds after which something counts as never happening, on a busy machine."""
STAGES = range(12)
"""How many pieces of the server's greeting arrive before the attempt is canceled."""


@pytest.fixture
async def network(database_url: str) -> AsyncIterator[FaultyNetwork]:
    async with FaultyNetwork(database_url) as network:
        yield network


@pytest.fixture
def without_collection() -> Iterator[None]:
    """Keep the garbage collector from closing what the code left open."""
    gc.disable()
    yield
    gc.enable()


async def until_closed(network: FaultyNetwork) -> None:
    async with asyncio.timeout(PATIENCE):
        while network.open_connections:
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("without_collection")
@pytest.mark.parametrize("opener", ["connection", "pipeline", "session", "jobs"])
async def test_a_canceled_attempt_to_connect_closes_its_socket(network: FaultyNetwork, opener: str) -> None:
    async def work() -> None:
        database, queue = Database(network.url), Queue(network.url)
        try:
            if opener == "connection":
                await connections.connect(network.url)
            elif opener == "pipeline":
                await database.flush("slack:A", Statement("SELECT 1"))
            elif opener == "session":
                async with database.tenant("slack:A") as session:
                    await session.execute(text("SELECT 1"))
            else:
                await queue.has_worker()
        finally:
            await queue.aclose()
            await database.aclose()

    network.silent = True
    before, attempt = network.accepted, asyncio.create_task(work())
    async with asyncio.timeout(PATIENCE):
        while network.accepted == before or not network.open_connections:
            await asyncio.sleep(0.01)
    attempt.cancel()
    await asyncio.gather(attempt, return_exceptions=True)
    await until_closed(network)


@pytest.mark.usefixtures("without_collection")
async def test_an_attempt_that_is_canceled_at_any_stage_leaves_no_session_on_the_server(
    network: FaultyNetwork, admin_url: str
) -> None:
    for stage in STAGES:
        network.delay = 0.005
        attempt = asyncio.create_task(connections.connect(network.url))
        await asyncio.sleep(stage * network.delay)
        attempt.cancel()
        for opened in await asyncio.gather(attempt, return_exceptions=True):
            if isinstance(opened, psycopg.AsyncConnection):
                await opened.close()
        await until_closed(network)
    statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    async with await psycopg.AsyncConnection.connect(admin_url, autocommit=True) as connection:
        async with asyncio.timeout(PATIENCE):
            while (await (await connection.execute(statement, [make_url(admin_url).database])).fetchone()) != (0,):
                await asyncio.sleep(0.02)


@pytest.mark.usefixtures("without_collection")
async def test_an_attempt_that_times_out_closes_its_socket(network: FaultyNetwork) -> None:
    network.silent = True
    limited = make_url(network.url).update_query_dict({"connect_timeout": "2"}).render_as_string(hide_password=False)
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        await connections.connect(limited)
    await until_closed(network)


async def test_the_server_rolls_back_the_transaction_of_a_client_that_has_gone_without_a_word(
    network: FaultyNetwork, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_TRANSACTION_SECONDS", 2)
    behind, lock = Database(network.url), "SELECT pg_advisory_xact_lock(7)"

    async def lock_and_go() -> None:
        async with behind.tenant("slack:A") as session:
            await session.execute(text(lock))
            network.end_one_side("client")
            await session.execute(text(lock))

    with pytest.raises(StoreAway):
        await lock_and_go()
    async with asyncio.timeout(PATIENCE):
        await database.flush("slack:A", Statement(lock))
    await behind.aclose()


@pytest.mark.parametrize("through", ["pool", "jobs"])
async def test_the_server_looks_after_its_clients(database: Database, database_url: str, through: str) -> None:
    statement = "SELECT name FROM pg_settings WHERE source = 'session' AND name ~ 'tcp_keepalives|idle_in_transaction'"
    if through == "pool":
        rows = await database.flush("slack:A", Statement(statement))
        found = {row.name for row in rows[0]}
    else:
        queue = Queue(database_url)
        await queue.opened()
        found = {row["name"] for row in await queue.connector.execute_query_all_async(statement)}
        await queue.aclose()
    keepalives = {f"tcp_keepalives_{name}" for name in ("idle", "interval", "count")}
    assert found == {"idle_in_transaction_session_timeout", *keepalives}


async def test_the_server_gets_the_keepalives_of_the_address(database_url: str) -> None:
    asked: list[dict[str, object]] = []

    class Watched(BoundedConnection):
        async def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
            asked.append(params)
            return await super().execute(query, params, **more)

    given = make_url(database_url).update_query_dict({"keepalives_idle": "31", "keepalives_count": "7"})
    address = given.render_as_string(hide_password=False)
    connection = await Watched.connect(**connections.parameters(address), autocommit=True)
    await connection.close()
    (values,) = asked
    assert [values[f"keepalives_{name}"] for name in ("idle", "interval", "count")] == ["31", "2", "7"]
