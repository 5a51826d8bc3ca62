"""Checks whether the database answers and has the schema that this process needs."""

from __future__ import annotations

import asyncio

from sqlalchemy import text

from bot.errors import ParleyError
from bot.store.database.migrate import REVISIONS
from bot.store.database.retry import away_reported
from bot.store.database.session import Database

SECONDS = 5.0
"""Seconds after which a database that does not answer counts as away."""


class SchemaTooOld(ParleyError):
    """The schema of the database is older than this process needs."""


async def require_ready(database: Database) -> None:
    """Raise StoreAway if the database does not answer, SchemaTooOld if its schema is older than this process needs.

    A schema of a later version is ready: both versions run during a rolling upgrade.
    """
    # The role of a tenant's transaction may not read this table; the connecting one may, since it migrates.
    with away_reported():
        async with asyncio.timeout(SECONDS), database.engine.connect() as connection:
            current = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    if current in REVISIONS[:-1]:
        raise SchemaTooOld(
            f"The schema of the database is at {current}, and this version needs {REVISIONS[-1]}. "
            "Run 'parley db upgrade'."
        )
