"""Tests that the migrations produce the declared tables, run up and down, and isolate tenants."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import sql
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError

from bot.store.database import migrate
from bot.store.database.connections import driver_url
from knowledge.ingest import Ingestor
from knowledge.ports import Sessions
from knowledge.store.schema import metadata
from tests.knowledge.fakes import ListSource, markdown

NAMES = sorted(metadata.tables)


def test_tables_equal_the_migrated_schema(database_url: str) -> None:
    engine = create_engine(driver_url(database_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_name": lambda name, kind, _: kind != "table" or name in metadata.tables,
                "include_object": lambda _, name, kind, *__: kind != "index" or not name.startswith("embeddings_hnsw"),
            },
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()


async def test_migrations_up_down_and_up_again(empty_database_url: str) -> None:
    for step in (migrate.upgrade, migrate.downgrade, migrate.upgrade):
        await asyncio.to_thread(step, empty_database_url)
        with psycopg.connect(empty_database_url) as connection:
            found = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = ANY(%s)", (NAMES,)).fetchone()
        assert found == (0 if step is migrate.downgrade else len(NAMES),)


@pytest.mark.parametrize("table", NAMES)
async def test_rows_of_other_tenants_are_hidden(
    table: str, sessions: Sessions, ingestor: Ingestor, database_url: str
) -> None:
    """Row-level security isolates tenants without any filter in the statement."""
    await ingestor.ingest([ListSource("list", markdown("a.md", "# A\n\nSome words."))], tenant_id="mine")
    count = text(f"SELECT count(*) FROM {table}")
    async with sessions("mine") as session:
        for packed in ("token_signs", "sentence_vectors"):
            await session.execute(
                text(f"INSERT INTO {packed} SELECT tenant_id, chunk_id, model, 'bits' FROM embeddings")
            )
        await session.execute(
            text("INSERT INTO ingests (tenant_id, id, source_id, asked_by) SELECT tenant_id, id, id, 'U1' FROM sources")
        )
        await session.execute(
            text(
                "INSERT INTO upload_parts (tenant_id, ingest_id, part, data) SELECT tenant_id, id, 0, 'x' FROM ingests"
            )
        )
        await session.execute(
            text(
                "INSERT INTO document_files (tenant_id, document_id, part, data) "
                "SELECT tenant_id, id, 0, 'x' FROM documents"
            )
        )
        await session.execute(
            text(
                "INSERT INTO kept_vectors (tenant_id, digest, model, vector) SELECT tenant_id, 'x', model, '[]' "
                "FROM embeddings"
            )
        )
        await session.execute(
            text(
                "INSERT INTO held_back_notices (tenant_id, source_id, platform) "
                "SELECT tenant_id, id, 'slack' FROM sources"
            )
        )
        await session.execute(
            text(
                "INSERT INTO counted_documents (tenant_id, ingest_id, name_digest) "
                "SELECT tenant_id, id, 'x' FROM ingests"
            )
        )
        assert await session.scalar(count)
    async with sessions("theirs") as session:
        assert await session.scalar(count) == 0
    with psycopg.connect(database_url) as connection:
        connection.execute("SET LOCAL ROLE parley_app")
        unbound = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
        assert unbound == (0,)


async def test_rows_of_other_tenants_cannot_be_written(sessions: Sessions) -> None:
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with sessions("mine") as session:
            await session.execute(text("INSERT INTO knowledge_state (tenant_id) VALUES ('theirs')"))
