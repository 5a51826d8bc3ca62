"""The schema goes up and down, is what the code believes it to be, and locks every table to one tenant."""

from __future__ import annotations

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from bot.store import migrate
from bot.store.session import Database, driver_url
from bot.store.tables import metadata


def tables_of(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows} - {"alembic_version"}


def test_up_and_down_and_up_again(empty_database_url: str) -> None:
    assert tables_of(empty_database_url) == set()
    migrate.upgrade(empty_database_url)
    first = tables_of(empty_database_url)
    assert {"turns", "messages", "ledger", "chunks", "documents"} <= first
    migrate.downgrade(empty_database_url)
    assert tables_of(empty_database_url) == set()
    migrate.upgrade(empty_database_url)
    assert tables_of(empty_database_url) == first


def test_each_revision_goes_down_and_up(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    newest = tables_of(empty_database_url)
    current, head = migrate.revisions(empty_database_url)
    while current is not None:
        migrate.downgrade(empty_database_url, "-1")
        before, (current, _) = current, migrate.revisions(empty_database_url)
        assert current != before
    assert tables_of(empty_database_url) == set()
    migrate.upgrade(empty_database_url)
    assert tables_of(empty_database_url) == newest
    current, head = migrate.revisions(empty_database_url)
    assert current == head


def test_the_tables_in_the_code_are_the_tables_in_the_database(database_url: str) -> None:
    engine = create_engine(driver_url(database_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"include_name": lambda name, kind, parents: kind != "table" or name in metadata.tables},
        )
        differences = [
            difference
            for difference in compare_metadata(context, metadata)
            if isinstance(difference, list) or difference[0] not in ("remove_index",)
        ]
    engine.dispose()
    assert differences == []


def test_every_table_leads_with_the_tenant_and_is_forced_to_it(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        unprotected = connection.execute(
            """
            SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
            WHERE nspname = 'public' AND relkind = 'r' AND relname <> 'alembic_version'
              AND NOT (relrowsecurity AND relforcerowsecurity)
            """
        ).fetchall()
        other_keys = connection.execute(
            """
            SELECT indexrelid::regclass::text FROM pg_index
            JOIN pg_class ON pg_class.oid = indrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
            JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
            WHERE nspname = 'public' AND indisunique AND relname <> 'alembic_version' AND attname <> 'tenant_id'
            """
        ).fetchall()
    assert unprotected == []
    assert other_keys == []


async def test_a_tenant_sees_its_own_rows_alone(database: Database) -> None:
    for tenant in ("slack:A", "slack:B"):
        async with database.tenant(tenant) as session:
            await session.execute(
                text("INSERT INTO tenants (tenant_id, platform) VALUES (:tenant, 'slack')"), {"tenant": tenant}
            )
    async with database.tenant("slack:A") as session:
        assert list(await session.scalars(text("SELECT tenant_id FROM tenants"))) == ["slack:A"]
        assert list(await session.scalars(text("SELECT tenant_id FROM tenants WHERE tenant_id = 'slack:B'"))) == []
    with pytest.raises(Exception, match="row-level security"):
        async with database.tenant("slack:A") as session:
            await session.execute(text("INSERT INTO tenants (tenant_id, platform) VALUES ('slack:B2', 'slack')"))


async def test_no_tenant_no_rows_and_the_queue_sees_turns_and_tenants_only(database: Database) -> None:
    async with database.tenant("slack:A") as session:
        await session.execute(text("INSERT INTO tenants (tenant_id, platform) VALUES ('slack:A', 'slack')"))
        await session.execute(
            text("INSERT INTO budgets (tenant_id, subject, daily_tokens, set_by) VALUES ('slack:A', '*', 1, 'x')")
        )
    async with database.tenant("") as session:
        assert list(await session.scalars(text("SELECT tenant_id FROM tenants"))) == []
    async with database.queue() as session:
        assert list(await session.scalars(text("SELECT tenant_id FROM tenants"))) == ["slack:A"]
        assert list(await session.scalars(text("SELECT tenant_id FROM budgets"))) == []
        changed = await session.execute(text("UPDATE tenants SET name = 'x' RETURNING 1"))
        assert changed.all() == []
