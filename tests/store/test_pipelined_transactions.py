"""Pipelined transactions: bound to a tenant, atomic, and robust against broken connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from bot.errors import StoreAway
from bot.store.database import session as session_module
from bot.store.database.pipelined_transactions import APP_ROLE, Statement
from bot.store.database.session import Database
from bot.store.embedded.roles import APPLICATION

TENANTS = Statement("SELECT tenant_id FROM tenants ORDER BY tenant_id")


def keep(tenant: str) -> Statement:
    return Statement("INSERT INTO tenants (tenant_id, platform) VALUES (%(tenant)s, 'slack')", {"tenant": tenant})


def cut(postgres: str) -> None:
    """Terminate every connection to the test databases."""
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%'")


@asynccontextmanager
async def narrow(url: str, *, pool_seconds: float = 60.0) -> AsyncIterator[Database]:
    """Open a database with a pool of one connection."""
    database = Database(url, pool_size=1, pool_overflow=0, pool_seconds=pool_seconds)
    yield database
    await database.aclose()


def connections_to(postgres: str, url: str) -> int:
    with psycopg.connect(postgres, autocommit=True) as admin:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        ((number,),) = admin.execute(asked, (make_url(url).database,)).fetchall()
    return int(number)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds: the server ends a closed connection a little later."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_tenant_sees_and_writes_its_own_rows_alone(database: Database) -> None:
    for tenant in ("slack:A", "slack:B'; SET LOCAL parley.tenant_id = 'slack:A", "back\\slash"):
        await database.flush(tenant, keep(tenant))
        (rows,) = await database.flush(tenant, TENANTS)
        assert [row.tenant_id for row in rows] == [tenant]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await database.flush("slack:A", keep("slack:C"))


async def test_nothing_of_the_binding_outlives_its_transaction(database_url: str) -> None:
    async with narrow(database_url) as database:
        await database.flush("slack:A", keep("slack:A"))
        async with database.work("slack:A") as work:
            await work.ask(TENANTS)
        async with database.engine.connect() as connection:
            left = await connection.execute(text("SELECT current_user, current_setting('parley.tenant_id', true)"))
            assert tuple(left.one()) == (APPLICATION, "")


async def test_sessions_and_pipelines_take_the_role_that_is_bound_by_the_policies(database: Database) -> None:
    (rows,) = await database.flush("slack:A", Statement("SELECT current_user AS name"))
    assert rows[0].name == APP_ROLE
    async with database.tenant("slack:A") as session:
        assert await session.scalar(text("SELECT current_user")) == APP_ROLE


async def test_what_several_nodes_are_to_hear_is_set_local_and_not_by_a_function(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    execute = psycopg.AsyncCursor.execute

    async def heard(self: object, query: str, *given: object, **options: object) -> object:
        sent.append(query)
        return await execute(self, query, *given, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", heard)
    await database.flush("slack:A", TENANTS)
    async with database.tenant("slack:A"):
        pass
    bound = [query for query in sent if "parley.tenant_id" in query]
    assert len(bound) == 2
    assert all("SET LOCAL parley.tenant_id = 'slack:A'" in query for query in bound)
    assert not any("set_config" in query for query in bound)


async def test_what_was_not_asked_to_be_the_last_is_rolled_back(database: Database) -> None:
    async with database.work("slack:A") as work:
        await work.ask(keep("slack:A"))
        await work.ask(TENANTS)
    assert await database.flush("slack:A", TENANTS) == [[]]


async def test_of_statements_that_travel_together_all_hold_or_none(database: Database) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        await database.flush("slack:A", keep("slack:A"), keep("slack:A"), TENANTS)
    assert await database.flush("slack:A", TENANTS) == [[]]


async def test_a_connection_that_was_cut_is_told_as_a_database_that_is_away(database: Database, postgres: str) -> None:
    await database.flush("slack:A", keep("slack:A"))
    cut(postgres)
    with pytest.raises(StoreAway):
        await database.flush("slack:A", TENANTS)
    (rows,) = await database.flush("slack:A", TENANTS)
    assert [row.tenant_id for row in rows] == ["slack:A"]


async def test_a_connection_that_broke_while_nobody_used_it_is_not_used(
    database: Database, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.flush("slack:A", keep("slack:A"))
    cut(postgres)
    monkeypatch.setattr(session_module, "SURELY_ALIVE", 0.0)
    (rows,) = await database.flush("slack:A", TENANTS)
    assert [row.tenant_id for row in rows] == ["slack:A"]


async def test_who_is_cancelled_takes_no_connection_along(database_url: str) -> None:
    async with narrow(database_url) as database:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await database.flush("slack:A", keep("slack:A"), Statement("SELECT pg_sleep(30)"))
        assert await database.flush("slack:A", TENANTS) == [[]]


@pytest.mark.parametrize(
    ("method", "moment"), [("execute", "as it is opened"), ("execute", "as it is tried"), ("rollback", "at its end")]
)
async def test_wherever_it_is_cancelled_no_connection_and_no_place_is_lost(
    database_url: str, postgres: str, monkeypatch: pytest.MonkeyPatch, method: str, moment: str
) -> None:
    place = psycopg.AsyncCursor if method == "execute" else psycopg.AsyncConnection
    original = getattr(place, method)

    async def cancelled(*args: Any, **more: Any) -> Any:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        return await original(*args, **more)

    async def broken_off(database: Database) -> None:
        async with database.work("slack:A") as work:
            await work.ask(TENANTS)
            raise RuntimeError

    async with narrow(database_url) as database:
        if moment != "as it is opened":
            await database.flush("slack:A", TENANTS)
        if moment == "as it is tried":
            monkeypatch.setattr(session_module, "SURELY_ALIVE", 0.0)
        with monkeypatch.context() as patched:
            patched.setattr(place, method, cancelled)
            with pytest.raises(asyncio.CancelledError):
                await asyncio.create_task(broken_off(database))
        assert await database.flush("slack:A", TENANTS) == [[]]
        await until(lambda: connections_to(postgres, database_url) == 1)
    await until(lambda: connections_to(postgres, database_url) == 0)


async def test_what_is_in_use_at_the_end_is_closed_once_it_is_given_back(database_url: str, postgres: str) -> None:
    async with narrow(database_url) as database:
        async with database.work("slack:A") as work:
            await database.aclose()
            assert await work.last(TENANTS) == [[]]
        await database.aclose()
        await until(lambda: connections_to(postgres, database_url) == 0)


async def test_who_finds_no_connection_free_is_told_so(database_url: str) -> None:
    async with narrow(database_url, pool_seconds=0.05) as database, database.work("slack:A"):
        with pytest.raises(StoreAway) as away:
            await database.flush("slack:A", TENANTS)
    assert "QueuePool limit" in away.value.detail


async def test_sessions_and_pipelines_share_one_pool(database_url: str, postgres: str) -> None:
    async with narrow(database_url) as database:
        async with database.tenant("slack:A") as session:
            await session.scalar(text("SELECT 1"))
        assert await database.flush("slack:A", TENANTS) == [[]]
        assert connections_to(postgres, database_url) == 1
