"""Runs the migrations on the database that Parley uses: DATABASE_URL, or the embedded Postgres."""

from __future__ import annotations

from logging.config import fileConfig
from typing import Any

from alembic import context
from sqlalchemy import text

from bot.config import load
from bot.store.database import connections, distribution
from bot.store.embedded import server as embedded_server
from bot.store.schema import metadata as conversations
from knowledge.store.schema import metadata as knowledge

LOCK = 7261093
"""The key of the advisory lock that lets one process migrate at a time."""


def _url() -> str:
    given = context.config.attributes.get("url")
    if given:
        return str(given)
    settings = load()
    address = settings.listen_database_url or settings.database_url
    return address.get_secret_value() if address else embedded_server.start(settings.data_dir).url


def _compared(item: object, name: str | None, kind: str, reflected: bool, other: object) -> bool:
    """Return whether ``alembic check`` and ``--autogenerate`` compare an object.

    Indexes on expressions are defined in the migrations only, and the tables of the queue belong to procrastinate.
    """
    if kind == "table" and (name or "").startswith("procrastinate_"):
        return False
    return not (kind == "index" and reflected and other is None)


def run() -> None:
    if context.config.config_file_name:
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    engine = connections.migration_engine(_url())
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=[conversations, knowledge], include_object=_compared)
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            # Citus changes the shards of a table over several connections otherwise, and refuses what comes after that.
            connection.execute(text("SET LOCAL citus.multi_shard_modify_mode TO 'sequential'"))
            context.run_migrations()
            driver: Any = connection.connection.driver_connection
            distribution.distribute_added(driver)
    engine.dispose()


run()
