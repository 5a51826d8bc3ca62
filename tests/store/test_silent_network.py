"""A network that goes silent: the deadlines hold, nothing waits for a cancellation, and the connections are dropped."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psycopg
import pytest
from procrastinate.exceptions import ConnectorException
from sqlalchemy import text

from bot.errors import StoreAway
from bot.store.adapters.transactions import Transactions
from bot.store.database import connections, retry
from bot.store.database.connections import BoundedConnection
from bot.store.database.job_queue import Queue
from bot.store.database.notifications import Notifications
from bot.store.database.pipelined_transactions import Statement
from bot.store.database.session import Database
from bot.types.turns import Notice
from tests.doubles.faulty_network import FaultyNetwork
from tests.superuser_access import superuser_connection

ROOT = Path(__file__).parents[2]
ONE = Statement("SELECT 1 AS one")
FAR_LONGER = 30.0
"""Seconds after which a deadline of a second or two counts as missed, on a machine under load."""


@pytest.fixture
async def network(database_url: str) -> AsyncIterator[FaultyNetwork]:
    async with FaultyNetwork(database_url) as network:
        yield network


@pytest.fixture
async def behind(network: FaultyNetwork) -> AsyncIterator[Database]:
    database = Database(network.url)
    yield database
    await database.aclose()


async def in_time(work: Awaitable[object]) -> None:
    """Run the work, which fails because the database is away. Raise TimeoutError if it does not end in time.

    The work is not canceled, because the wait for that could hang too.
    """
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=FAR_LONGER)
    if not done:
        raise TimeoutError("the deadline did not hold")
    with pytest.raises(StoreAway) as away:
        await task
    assert "no answer within" in away.value.detail


async def until_asleep(database: Database, number: int) -> None:
    """Wait until so many statements of this database sleep."""
    sleeping = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = :name")
    async with asyncio.timeout(FAR_LONGER):
        while True:
            async with superuser_connection(database) as connection:
                if await connection.scalar(sleeping, {"name": database.engine.url.database}) == number:
                    return
            await asyncio.sleep(0.01)


async def test_a_write_with_patience_ends_when_its_patience_does(network: FaultyNetwork, behind: Database) -> None:
    await behind.flush("slack:A", ONE)
    network.silent = True
    transactions = Transactions(behind, retry_seconds=1.0)
    await in_time(transactions.send("slack:A", ONE))

    async def read(session: object, again: bool) -> None:
        await session.execute(text("SELECT 1"))  # type: ignore[attr-defined]

    await in_time(transactions.session("slack:A", read))


@pytest.mark.parametrize("kind", ["pipeline", "session"])
async def test_without_patience_each_round_trip_is_bounded(
    network: FaultyNetwork, behind: Database, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.database.session.ROUND_TRIP_SECONDS", 1.0)

    async def pipeline() -> None:
        async with behind.work("slack:A") as work:
            await work.ask(ONE)
            network.silent = True
            await work.last(ONE)

    async def session() -> None:
        async with behind.tenant("slack:A", seconds=1.0) as session:
            await session.execute(text("SELECT 1"))
            network.silent = True
            await session.execute(text("SELECT 1"))

    await in_time(pipeline() if kind == "pipeline" else session())
    network.silent = False
    assert [[tuple(row) for row in rows] for rows in await behind.flush("slack:A", ONE)] == [[(1,)]]


async def test_a_silent_idle_connection_is_replaced(
    network: FaultyNetwork, behind: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.database.session.SURELY_ALIVE", 0.0)
    monkeypatch.setattr("bot.store.database.session.QUICK_SECONDS", 0.5)
    await behind.flush("slack:A", ONE)
    network.silence_open_connections()
    async with asyncio.timeout(FAR_LONGER):
        assert len(await behind.flush("slack:A", ONE)) == 1
        async with behind.tenant("slack:A") as session:
            assert await session.scalar(text("SELECT 1")) == 1


async def test_a_canceled_statement_does_not_wait_for_its_cancellation(
    network: FaultyNetwork,
    behind: Database,
    database: Database,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = asyncio.create_task(behind.flush("slack:A", Statement("SELECT pg_sleep(600)")))
    await until_asleep(database, 1)
    dropped: list[BoundedConnection] = []
    shut_down = BoundedConnection.shut_down

    def noted(connection: BoundedConnection) -> None:
        dropped.append(connection)
        shut_down(connection)

    monkeypatch.setattr(BoundedConnection, "shut_down", noted)
    network.silent = True
    asked.cancel()
    await asyncio.wait({asked}, timeout=FAR_LONGER)
    assert asked.cancelled()
    assert len(dropped) == 1, "psycopg alone waits 5 s for the cancellation and 5 s for its effect"
    assert "Traceback" not in caplog.text


async def test_a_canceled_statement_ends_on_the_server(database: Database) -> None:
    async with database.work("slack:A") as work:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await work.ask(Statement("SELECT pg_sleep(600)"))
    await until_asleep(database, 0)


async def test_the_listening_connection_notices_and_reconnects(
    network: FaultyNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.database.notifications.ROUND_TRIP_SECONDS", 0.5)
    notifications, heard = Notifications(network.url, beat=0.05), asyncio.Queue[Notice]()
    serving = asyncio.create_task(notifications.serve(heard.put_nowait))
    async with asyncio.timeout(FAR_LONGER):
        assert (await heard.get()).kind == "connected"
        network.silent = True
        while notifications.holder is not None:
            await asyncio.sleep(0.01)
        network.silent = False
        await notifications.connected()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_the_job_queue_is_bounded_too(network: FaultyNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.store.database.job_queue.QueueConnection.round_trip_seconds", 1.0)
    queue = Queue(network.url, seconds=2.0)
    await queue.has_worker()
    network.silent = True
    asked = asyncio.create_task(queue.has_worker())
    await asyncio.wait({asked}, timeout=FAR_LONGER)
    assert asked.done(), "the deadline did not hold"
    with pytest.raises(ConnectorException):
        await asked
    await queue.aclose()


@pytest.mark.parametrize("which", ["pool", "session", "listening", "queue", "migrations", "move"])
async def test_every_connection_over_tcp_has_keepalives_and_a_user_timeout(
    network: FaultyNetwork, behind: Database, which: str
) -> None:
    seen: dict[str, int] = {}

    def look(connection: psycopg.AsyncConnection[object] | psycopg.Connection[object]) -> None:
        with socket.socket(fileno=socket.dup(connection.fileno())) as copied:
            seen["keepalive"] = copied.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            seen["idle"] = copied.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            seen["user timeout"] = copied.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        seen["prepares"] = connection.prepare_threshold is not None

    openers: dict[str, Callable[[], Awaitable[None]]] = {}

    async def pool() -> None:
        async with behind.engine.connect() as pooled:
            look((await pooled.get_raw_connection()).driver_connection)  # type: ignore[arg-type]

    async def session() -> None:
        async with behind.session_engine.connect() as pooled:
            look((await pooled.get_raw_connection()).driver_connection)  # type: ignore[arg-type]

    async def listening() -> None:
        connection = await connections.connect(network.url)
        look(connection)
        await connection.close()

    async def queue() -> None:
        made = Queue(network.url)
        await made.opened()
        async with made.connector.pool.connection() as connection:
            assert isinstance(connection, BoundedConnection)
            look(connection)
        await made.aclose()

    async def migrations() -> None:
        engine = connections.migration_engine(network.url)

        def opened() -> None:
            with engine.connect() as connection:
                look(connection.connection.driver_connection)  # type: ignore[arg-type]

        await asyncio.to_thread(opened)
        engine.dispose()

    async def move() -> None:
        connection = await asyncio.to_thread(connections.connect_blocking, network.url)
        look(connection)
        connection.close()

    openers = {
        **{"pool": pool, "session": session, "listening": listening},
        **{"queue": queue, "migrations": migrations, "move": move},
    }
    await openers[which]()
    assert seen == {"keepalive": 1, "idle": 5, "user timeout": 10_000, "prepares": False}


def test_connections_are_opened_in_one_place() -> None:
    opened = re.compile(r"\b(psycopg|Connection|psycopg_pool)\.connect\(|\bcreate_(async_)?engine\(")
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("bot", "knowledge")
        for path in (ROOT / folder).rglob("*.py")
        if opened.search(path.read_text())
    }
    # The pools of session.py open their connections with connections.connect; roles.py connects to a socket file.
    assert found == {
        "bot/store/database/connections.py",
        "bot/store/database/session.py",
        "bot/store/embedded/roles.py",
    }


async def test_a_timeout_of_the_work_itself_is_not_the_database_s(database: Database) -> None:
    async def late(again: bool) -> None:
        raise TimeoutError("a model, not the database")

    with pytest.raises(TimeoutError, match="a model"):
        await retry.patiently(late, 5.0)
