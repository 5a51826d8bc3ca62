"""A real PgBouncer in transaction mode: statements never mix, sessions go past it, and its absence there is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from bot.app import open_app
from bot.config import Settings
from bot.health import Health
from bot.store.database import connections
from bot.store.database.advisory_locks import is_free, only_one
from bot.store.database.notifications import Notifications
from bot.store.database.pipelined_transactions import Statement
from bot.store.database.poolers import keeps_session
from bot.store.database.session import Database
from bot.store.diagnostics import check
from bot.types.turns import Notice
from tests.app.conftest import ask
from tests.pgbouncer import pgbouncer, requires_pgbouncer

pytestmark = requires_pgbouncer


@pytest.fixture
async def pooled_url(database_url: str, tmp_path: Path) -> AsyncIterator[str]:
    folder = tmp_path / "pgbouncer"
    folder.mkdir()
    async with pgbouncer(database_url, folder) as url:
        yield url


def settings_with(folder: Path, url: str, listen: str | None = None) -> Settings:
    return Settings(
        _env_file=None,
        database_url=SecretStr(url),
        listen_database_url=SecretStr(listen) if listen else None,
        data_dir=folder,
    )


async def test_statements_of_many_clients_never_mix(pooled_url: str) -> None:
    databases = [Database(pooled_url) for _ in range(3)]

    async def asks(number: int) -> None:
        database = databases[number % len(databases)]
        for again in range(8):
            names = ", ".join(f"%(p{one})s::int AS p{one}" for one in range(number % 5 + 1))
            given = {f"p{one}": number * one + again for one in range(number % 5 + 1)}
            (rows,) = await database.flush("slack:A", Statement(f"SELECT {names}", given))
            assert tuple(rows[0]) == tuple(given.values())
            async with database.tenant("slack:B") as session:
                asked = text(f"SELECT current_setting('parley.tenant_id'), CAST(:n AS int) + {number % 7}")
                assert tuple((await session.execute(asked, {"n": again})).one()) == ("slack:B", again + number % 7)

    try:
        await asyncio.gather(*(asks(number) for number in range(12)))
    finally:
        for database in databases:
            await database.aclose()


async def test_a_question_is_answered_through_the_pooler(pooled_url: str, database_url: str, tmp_path: Path) -> None:
    async with open_app(settings_with(tmp_path, pooled_url, database_url)) as app:
        outcome = await ask(app, "How many days of leave do I have?")
        assert outcome.state == "done"
        assert await app.services.queue.has_worker() is False
        assert app.services.health.faults == {}
        async with only_one(app.database, "a lock") as taken, only_one(app.database, "a lock") as again:
            assert (taken, again) == (True, False)
            assert not await is_free(app.database, "a lock")


async def test_a_pooler_in_session_mode_needs_no_second_address(database_url: str, tmp_path: Path) -> None:
    async with pgbouncer(database_url, tmp_path, mode="session", size=40) as url:
        async with open_app(settings_with(tmp_path, url)) as app:
            outcome = await ask(app, "How many days of leave do I have?")
            assert outcome.state == "done"
            assert app.services.health.faults == {}
        assert all(one.ok for one in await check(url, url, "DATABASE_URL"))


@pytest.mark.parametrize(("mode", "keeps"), [("transaction", False), ("session", True)])
async def test_whether_a_pooler_keeps_sessions_is_found_out(
    database_url: str, tmp_path: Path, mode: str, keeps: bool
) -> None:
    async with pgbouncer(database_url, tmp_path, mode=mode) as url:
        for one, expected in ((url, keeps), (database_url, True)):
            connection = await connections.connect(one)
            assert await keeps_session(connection, one) is expected
            await connection.close()


async def test_notifications_through_a_transaction_pooler_are_a_fault(
    pooled_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    health, heard = Health(), asyncio.Queue[Notice]()
    notifications = Notifications(pooled_url, health=health)
    serving = asyncio.create_task(notifications.serve(heard.put_nowait))
    async with asyncio.timeout(30):
        while not health.faults:
            await asyncio.sleep(0.01)
    assert "PARLEY_LISTEN_DATABASE_URL" in health.faults["notifications"]
    assert notifications.holder is None, "a lock that is not its own would prove nothing"
    assert heard.empty()
    assert caplog.text.count("PARLEY_LISTEN_DATABASE_URL") == 1
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    async with await psycopg.AsyncConnection.connect(pooled_url, prepare_threshold=None) as other:
        left = await other.execute("SELECT current_setting('parley.tenant_id', true)")
        assert await left.fetchone() in ((None,), ("",)), "no server connection keeps what a session was to keep"


async def test_a_shared_server_connection_keeps_no_setting_of_parley_and_each_transaction_has_its_own(
    pooled_url: str,
) -> None:
    limit = text("SELECT current_setting('idle_in_transaction_session_timeout')")
    database = Database(pooled_url)
    async with database.tenant("slack:A") as session:
        assert await session.scalar(limit) == "5min"
    (rows,) = await database.flush("slack:A", Statement(str(limit)))
    assert rows[0][0] == "5min"
    async with database.work("slack:A") as work:
        (rows,) = await work.ask(Statement(str(limit)))
        assert rows[0][0] == "5min"
    settings = "SELECT name FROM pg_settings WHERE source = 'session' AND name ~ 'tcp_|idle_'"
    async with await psycopg.AsyncConnection.connect(pooled_url, prepare_threshold=None, autocommit=True) as other:
        for _ in range(4):
            assert await (await other.execute(settings)).fetchall() == []
    await database.aclose()


@pytest.mark.parametrize("listens_directly", [False, True])
async def test_doctor_notices_a_transaction_pooler_where_a_session_is_needed(
    pooled_url: str, database_url: str, listens_directly: bool
) -> None:
    checks = await check(
        f"{pooled_url}?pgbouncer=true", database_url if listens_directly else pooled_url, "DATABASE_URL"
    )
    found = {one.name: one for one in checks}
    assert found["sessions"].ok is listens_directly
    assert listens_directly or "PARLEY_LISTEN_DATABASE_URL" in found["sessions"].fix
    assert all(one.ok for one in checks if one.name != "sessions"), checks


@pytest.mark.parametrize("query", ["pgbouncer=true", "pgbouncer=true&sslmode=prefer", "sslmode=disable"])
async def test_what_hosting_services_put_into_addresses_is_accepted(pooled_url: str, query: str) -> None:
    database = Database(f"{pooled_url}?{query}")
    async with database.tenant("slack:A") as session:
        assert await session.scalar(text("SELECT 1")) == 1
    assert len(await database.flush("slack:A", Statement("SELECT 1"))) == 1
    await database.aclose()
