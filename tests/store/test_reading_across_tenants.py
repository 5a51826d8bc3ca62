"""What a transaction that is bound to ``*`` could reach if one of the layers before it were missing.

The layers: no transaction of Parley is bound to ``*``; functions bind themselves, only from a transaction without a
tenant, and return IDs; the policies for ``*`` allow reading alone, and only the rows that say what is to be done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bot.store.database.session import Database
from knowledge.parsing.isolation.sandbox import Parser
from tests.store import knowledge_operations
from tests.store.test_many_tenants import FUNCTIONS, WORK, add_source
from tests.superuser_access import superuser_connection

READABLE = {
    "answers",
    "ingests",
    "knowledge_state",
    "ledger",
    "page_commands",
    "page_files",
    "reservations",
    "sources",
    "tenants",
    "turns",
}
"""The tables with rows that ``*`` may read."""
IDS = {"tenants_with_upkeep", "tenants_with_new_calls", "tenants_to_refresh"}
POLICIES = "SELECT tablename, cmd, qual, with_check FROM pg_policies WHERE qual LIKE '%''*''::text)%' AND cmd <> 'ALL'"


@pytest.fixture
async def filled(database: Database) -> Database:
    """Return a database in which two tenants have documents and work."""
    async with aclosing(Parser()) as parser:
        await knowledge_operations.build_scene(database, parser)
    for tenant in ("slack:A", "slack:B"):
        for statement in WORK.values():
            async with database.tenant(tenant) as session:
                await session.execute(text(statement), {"tenant": tenant})
    return database


@pytest.fixture
def bound_to_all(filled: Database) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A transaction of the application's role that no code stopped from binding itself to ``*``."""
    url = filled.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL ROLE parley_app")
        connection.execute("SET LOCAL parley.tenant_id = '*'")
        yield connection
        connection.rollback()


def tables(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    found = connection.execute(
        "SELECT table_name FROM information_schema.columns WHERE column_name = 'tenant_id' AND table_schema = 'public' "
        "ORDER BY 1"
    )
    return [str(name) for (name,) in found.fetchall()]


async def test_every_policy_for_all_tenants_reads_and_writes_nothing(database: Database) -> None:
    async with database.queue() as session:
        found = (await session.execute(text(POLICIES))).all()
    assert {row.tablename for row in found} == READABLE
    assert {(row.cmd, row.with_check) for row in found} == {("SELECT", None)}


async def test_without_the_refusal_of_the_code_only_the_named_tables_can_be_read(
    bound_to_all: psycopg.Connection[tuple[object, ...]],
) -> None:
    read = {
        name
        for name in tables(bound_to_all)
        if bound_to_all.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(name))).fetchall()
    }
    assert {"page_files", "knowledge_state", "ingests"} <= read <= READABLE


async def test_without_the_refusal_of_the_code_nothing_can_be_changed_or_locked(
    bound_to_all: psycopg.Connection[tuple[object, ...]],
) -> None:
    for name in tables(bound_to_all):
        table = sql.Identifier(name)
        assert bound_to_all.execute(sql.SQL("DELETE FROM {}").format(table)).rowcount == 0, name
        changing = sql.SQL("UPDATE {} SET tenant_id = tenant_id").format(table)
        assert bound_to_all.execute(changing).rowcount == 0, name
        locking = sql.SQL("SELECT tenant_id FROM {} FOR UPDATE").format(table)
        assert bound_to_all.execute(locking).fetchall() == [], name


async def test_without_the_binding_of_the_transaction_the_functions_return_ids_alone(filled: Database) -> None:
    async with filled.queue() as session:
        rows = await session.execute(
            text(
                "SELECT proname, pg_get_function_result(oid) AS result FROM pg_proc "
                "WHERE prosrc LIKE '%parley.tenant_id = ''*''%'"
            )
        )
        returned = {str(row.proname): str(row.result) for row in rows}
    assert {returned.pop(name) for name in IDS} == {"SETOF text"}
    assert returned.keys() == {"queued_turns", "recent_direct_channels", "knowledge_versions"}
    assert returned["recent_direct_channels"] == "TABLE(channel_id text)"
    assert returned["knowledge_versions"] == "TABLE(tenant_id text, version bigint, model text, next_model text)"


@pytest.mark.parametrize("function", [*FUNCTIONS, "knowledge_versions()"])
async def test_after_a_function_the_transaction_reads_across_tenants_no_more(filled: Database, function: str) -> None:
    beside = text(f"SELECT (SELECT count(*) FROM {function}), (SELECT count(*) FROM page_files)")
    async with filled.queue() as session:
        await session.execute(text(f"SELECT * FROM {function}"))
        assert await session.scalar(text("SELECT current_setting('parley.tenant_id')")) == "-"
        assert (await session.execute(text("SELECT FROM page_files"))).all() == []
        assert (await session.execute(beside)).one()[1] == 0, "not in the same statement either"


async def test_a_function_that_fails_leaves_nothing_open(filled: Database) -> None:
    """It fails while it is bound to ``*``: the time of the next refresh is later than any that PostgreSQL can hold."""
    await add_source(filled, "slack:A", age=timedelta(0))
    async with superuser_connection(filled) as connection:
        await connection.execute(text("UPDATE sources SET fetched_at = '294276-12-01' WHERE kind = 'url'"))
    async with filled.queue() as session:
        with pytest.raises(DBAPIError, match="out of range"):
            async with session.begin_nested():
                await session.execute(text("SELECT tenants_to_refresh(2147483647, now())"))
        assert await session.scalar(text("SELECT current_setting('parley.tenant_id')")) == "-"
        assert (await session.execute(text("SELECT FROM page_files"))).all() == []
