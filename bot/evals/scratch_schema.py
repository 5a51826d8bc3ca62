"""Creates a temporary database schema for an evaluation, migrates it, and drops it afterwards."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from bot.errors import ConfigError
from bot.store.database import connections, migrate
from bot.store.database.retry import unreachable
from bot.store.database.session import Database


@asynccontextmanager
async def scratch_schema(database_url: str) -> AsyncIterator[Database]:
    """Yield a database handle that sees only the scratch schema and the extensions. Raises ConfigError."""
    name = f"parley_eval_{uuid.uuid4().hex[:12]}"
    schema = sql.Identifier(name)
    # Alembic looks for its version table along the search path and would otherwise find the one of the real schema.
    await _execute(
        database_url,
        sql.SQL("CREATE SCHEMA {} CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)").format(schema),
    )
    try:
        inside = make_url(database_url).update_query_dict({"options": f"-csearch_path={name},public"})
        url = inside.render_as_string(hide_password=False)
        await asyncio.to_thread(migrate.upgrade, url)
        database = Database(url)
        try:
            yield database
        finally:
            await database.aclose()
    finally:
        await _execute(database_url, sql.SQL("DROP SCHEMA {} CASCADE").format(schema))


async def _execute(database_url: str, statement: sql.Composed) -> None:
    try:
        async with await connections.connect(database_url) as connection:
            await connection.execute("SET client_min_messages = warning")
            await connection.execute(statement)
    except psycopg.OperationalError as error:
        raise ConfigError(unreachable(error)) from error
    except psycopg.errors.InsufficientPrivilege:
        raise ConfigError("The database user cannot create a schema. GRANT it CREATE ON DATABASE.") from None
