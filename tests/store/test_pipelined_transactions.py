"""Pipelined transactions: bound to a tenant, atomic, and robust against broken connections."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from bot.errors import StoreAway
from bot.store.embedded.roles import APPLICATION
from bot.store.pipelined_transactions import APP_ROLE, Pipelines, Statement
from bot.store.session import Database, plain_url

TENANTS = Statement("SELECT tenant_id FROM tenants ORDER BY tenant_id")


def keep(tenant: str) -> Statement:
    return Statement("INSERT INTO tenants (tenant_id, platform) VALUES (%(tenant)s, 'slack')", {"tenant": tenant})


def cut(postgres: str) -> None:
    """Terminate every connection to the test databases."""
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%'")


async def test_a_tenant_sees_and_writes_its_own_rows_alone(database: Database) -> None:
    for tenant in ("slack:A", "slack:B'; SET LOCAL parley.tenant_id = 'slack:A", "back\\slash"):
        await database.flush(tenant, keep(tenant))
        (rows,) = await database.flush(tenant, TENANTS)
        assert [row.tenant_id for row in rows] == [tenant]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await database.flush("slack:A", keep("slack:C"))


async def test_nothing_of_the_binding_outlives_its_transaction(database_url: str) -> None:
    pipelines = Pipelines(plain_url(database_url), connections=1)
    async with pipelines.work("slack:A") as work:
        await work.last(keep("slack:A"))
    async with pipelines.work("slack:A") as work:
        await work.ask(TENANTS)
    (kept,) = pipelines._idle
    left = await kept[0].execute("SELECT current_user, current_setting('parley.tenant_id', true)")
    assert await left.fetchone() == (APPLICATION, "")
    await pipelines.aclose()


async def test_sessions_and_pipelines_take_the_role_that_is_bound_by_the_policies(database: Database) -> None:
    (rows,) = await database.flush("slack:A", Statement("SELECT current_user AS name"))
    assert rows[0].name == APP_ROLE
    async with database.tenant("slack:A") as session:
        assert await session.scalar(text("SELECT current_user")) == APP_ROLE


async def test_what_several_nodes_are_to_hear_is_set_local_and_not_by_a_function(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    execute = psycopg.AsyncConnection.execute

    async def heard(self: object, query: str, *given: object, **options: object) -> object:
        sent.append(query)
        return await execute(self, query, *given, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", heard)
    await database.flush("slack:A", TENANTS)
    async with database.tenant("slack:A"):
        pass
    bound = [query for query in sent if "parley.tenant_id" in query]
    assert len(bound) == 2
    assert all("SET LOCAL parley.tenant_id = 'slack:A'" in query for query in bound)
    assert not any("set_config" in query for query in sent)


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


async def test_a_connection_that_broke_while_nobody_used_it_is_not_used(database_url: str, postgres: str) -> None:
    now = 0.0
    pipelines = Pipelines(plain_url(database_url), monotonic=lambda: now)
    async with pipelines.work("slack:A") as work:
        await work.last(keep("slack:A"))
    cut(postgres)
    now = 5.0
    async with pipelines.work("slack:A") as work:
        (rows,) = await work.last(TENANTS)
    assert [row.tenant_id for row in rows] == ["slack:A"]
    await pipelines.aclose()


async def test_who_is_cancelled_takes_no_connection_along(database_url: str) -> None:
    pipelines = Pipelines(plain_url(database_url), connections=1, seconds=5.0)

    async def slow() -> None:
        async with pipelines.work("slack:A") as work:
            await work.last(keep("slack:A"), Statement("SELECT pg_sleep(30)"))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await slow()
    async with pipelines.work("slack:A") as work:
        assert await work.last(TENANTS) == [[]]
    await pipelines.aclose()


@pytest.mark.parametrize(
    ("method", "moment"), [("execute", "as it is opened"), ("execute", "as it is tried"), ("rollback", "at its end")]
)
async def test_wherever_it_is_cancelled_no_connection_and_no_place_is_lost(
    database_url: str, monkeypatch: pytest.MonkeyPatch, method: str, moment: str
) -> None:
    now, opened = 0.0, []
    connect, original = psycopg.AsyncConnection.connect, getattr(psycopg.AsyncConnection, method)
    pipelines = Pipelines(plain_url(database_url), connections=1, seconds=60.0, monotonic=lambda: now)

    async def noted(*args: Any, **more: Any) -> Any:
        opened.append(await connect(*args, **more))
        return opened[-1]

    async def cancelled(*args: Any, **more: Any) -> Any:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        return await original(*args, **more)

    async def broken_off() -> None:
        async with pipelines.work("slack:A") as work:
            await work.ask(TENANTS)
            raise RuntimeError

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", noted)
    if moment != "as it is opened":
        async with pipelines.work("slack:A") as work:
            await work.last(TENANTS)
        now = 1000.0 if moment == "as it is tried" else 0.0
    with monkeypatch.context() as patched:
        patched.setattr(psycopg.AsyncConnection, method, cancelled)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(broken_off())
    assert [connection.closed for connection in opened] == [True]
    async with pipelines.work("slack:A") as work:
        assert await work.last(TENANTS) == [[]]
    await pipelines.aclose()


async def test_what_is_in_use_at_the_end_is_closed_once_it_is_given_back(database_url: str) -> None:
    pipelines = Pipelines(plain_url(database_url))
    async with pipelines.work("slack:A") as work:
        await pipelines.aclose()
        assert await work.last(TENANTS) == [[]]
    assert pipelines._idle == []


async def test_who_finds_no_connection_free_is_told_so(database_url: str) -> None:
    pipelines = Pipelines(plain_url(database_url), connections=1, seconds=0.05)
    async with pipelines.work("slack:A"):
        with pytest.raises(StoreAway) as away:
            async with pipelines.work("slack:A"):
                pass
    assert "no connection was free" in away.value.detail
    await pipelines.aclose()
