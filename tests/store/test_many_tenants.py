"""A maintenance round over thousands of tenants reads what there is to do, not every tenant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from bot.store import tenants
from bot.store.database.session import Database
from bot.types.conversation import LOCAL_TENANT
from knowledge.store.knowledge_version import lock_and_increment
from tests.superuser_access import superuser_connection

IDLE = 2000
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
EVERY_SECONDS = 3600
READ = text("SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0) FROM pg_stat_xact_user_tables")
"""Rows of tables that the current transaction has read."""
FUNCTIONS = (
    "tenants_with_upkeep()",
    "tenants_with_new_calls()",
    f"tenants_to_refresh({EVERY_SECONDS}, now())",
)
WORK = {
    "ingests": "WITH source AS (INSERT INTO sources (tenant_id, id, uri, kind, audience, fetched_at) "
    "VALUES (:tenant, gen_random_uuid(), 'a.md', 'upload', 'tenant', now()) RETURNING id) "
    "INSERT INTO ingests (tenant_id, id, source_id, asked_by) SELECT :tenant, gen_random_uuid(), id, 'U1' FROM source",
    "page_files": "INSERT INTO page_files (tenant_id, file_id, name, content_type, data, added_by, purpose, size) "
    "VALUES (:tenant, 'f', 'a.txt', 'text/plain', 'a', 'ann', 'question', 1)",
    "page_commands": "INSERT INTO page_commands (tenant_id, command_id, author_id, card, ended) "
    "VALUES (:tenant, 'c', 'ann', '{}', true)",
}
ADD_SOURCE = text("""
    INSERT INTO sources (tenant_id, id, uri, kind, audience, fetched_at, refresh_seconds)
    VALUES (:tenant, gen_random_uuid(), :uri, :kind, 'tenant', :fetched, :every)
""")


@pytest.fixture
async def crowded(database: Database) -> Database:
    """Return a database with ``IDLE`` tenants without any work."""
    add = "INSERT INTO tenants (tenant_id, platform) SELECT 'slack:idle' || n, 'slack' FROM generate_series(1, :idle) n"
    async with superuser_connection(database) as connection:
        await connection.execute(text(add), {"idle": IDLE})
    return database


async def add_source(
    database: Database, tenant: str, *, age: timedelta, kind: str = "url", every: int | None = None
) -> None:
    async with database.tenant(tenant) as session:
        values = {"tenant": tenant, "uri": "https://example.org/", "kind": kind, "fetched": NOW - age, "every": every}
        await session.execute(ADD_SOURCE, values)


async def rows_read(database: Database, statement: str) -> tuple[set[str], int]:
    """Return the tenants that a function names, and how many rows it read."""
    async with database.queue() as session:
        before = await session.scalar(READ)
        named = set(await session.scalars(text(statement)))
        return named, int(await session.scalar(READ) or 0) - int(before or 0)


@pytest.mark.parametrize("function", FUNCTIONS)
async def test_tenants_without_work_are_not_looked_at(crowded: Database, function: str) -> None:
    named, read = await rows_read(crowded, f"SELECT {function}")
    assert named == set()
    assert read < 20


@pytest.mark.parametrize("table", WORK)
async def test_a_tenant_with_work_is_named(crowded: Database, table: str) -> None:
    async with crowded.tenant("slack:busy") as session:
        await session.execute(text(WORK[table]), {"tenant": "slack:busy"})
    assert await tenants.with_upkeep(crowded) == [LOCAL_TENANT, "slack:busy"]


async def test_only_tenants_with_a_source_that_was_read_long_ago_are_refreshed(database: Database) -> None:
    long, short = timedelta(seconds=EVERY_SECONDS), timedelta(seconds=EVERY_SECONDS - 1)
    await add_source(database, "slack:due", age=long)
    await add_source(database, "slack:fresh", age=short)
    await add_source(database, "slack:upload", age=long, kind="upload")
    await add_source(database, "slack:never", age=long, every=0)
    await add_source(database, "slack:often", age=timedelta(minutes=1), every=60)
    named = await tenants.to_refresh(database, every_seconds=EVERY_SECONDS, now=NOW)
    assert named == [LOCAL_TENANT, "slack:due", "slack:often"]


@pytest.mark.parametrize("tenant", ["slack:due", "slack:other"])
async def test_a_tenant_learns_nothing_of_the_others(database: Database, tenant: str) -> None:
    await add_source(database, "slack:due", age=timedelta(days=1))
    async with database.tenant("slack:due") as session:
        await lock_and_increment(session, "slack:due")
    for function in (*FUNCTIONS, "knowledge_versions()"):
        async with database.tenant(tenant) as session:
            assert (await session.scalars(text(f"SELECT {function}"))).all() == [], function
    assert await tenants.with_changed_documents(database, "any") == {"slack:due"}
