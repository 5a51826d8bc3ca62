"""Copies every row of a Parley database into another, empty one.

PostgreSQL's own pg_dump needs a superuser here, because row-level security binds the owner of the tables too. The owner
suspends it in a transaction and restores it in the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, errors, sql

from bot.errors import ConfigError
from bot.store.database import migrate, process_liveness
from bot.store.database.connections import connect_blocking
from bot.store.database.retry import first_line
from bot.store.database.tables import Table, lift_isolation, tables_in_order

NOT_MOVED = {"alembic_version", "processes"}
"""Tables that each database has for itself: its schema's revision, and the processes that use it."""
STILL_USED = "A process still uses the database. Stop every part of Parley, then move it."

_IDENTITY = "SELECT current_database(), current_schema(), pg_postmaster_start_time()"
_SEQUENCES = """
    SELECT relname::text FROM pg_class
    WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind = 'S'
"""


@dataclass(frozen=True, slots=True)
class Moved:
    """What was copied: the number of tables and of rows, and the revision of the schema."""

    tables: int
    rows: int
    revision: str | None


def move(source_url: str, target_url: str) -> Moved:
    """Copy all rows of the source to the target, in one transaction. The source stays as it is.

    Both schemas are upgraded first. Raises ConfigError if the target has rows, if a database cannot be used, or if a
    process still uses the source.
    """
    for url in (source_url, target_url):
        migrate.upgrade(url)
    try:
        with connect_blocking(source_url) as source, connect_blocking(target_url) as target:
            moved = _copy(source, target)
            target.commit()
            source.rollback()
            return moved
    except errors.LockNotAvailable:
        raise ConfigError(STILL_USED) from None
    except psycopg.Error as error:
        raise ConfigError(
            f"The rows could not be copied ({first_line(error)}). The target was left empty. Try again."
        ) from error


def _copy(source: Connection[Any], target: Connection[Any]) -> Moved:
    """Copy every table, parents first. Both transactions stay open. Raises ConfigError."""
    if source.execute(_IDENTITY).fetchone() == target.execute(_IDENTITY).fetchone():
        raise ConfigError("The target is the database that Parley uses already. Name an empty one.")
    _require_stopped(source)
    tables, there = _moved_tables(source), {table.name for table in _moved_tables(target)}
    if missing := sorted({table.name for table in tables} - there):
        raise ConfigError(f"The target lacks the tables {', '.join(missing)}. Drop them from the source first.")
    lift_isolation(source, tables)
    restoring = lift_isolation(target, tables)
    if filled := [table.name for table in tables if _has_rows(target, table)]:
        raise ConfigError(f"The target has rows in {', '.join(filled)}. Name an empty database.")
    rows = sum(_copy_table(source, target, table) for table in tables)
    _continue_sequences(source, target)
    for statement in restoring:
        target.execute(statement)
    return Moved(len(tables), rows, migrate.REVISIONS[-1])


def _require_stopped(source: Connection[Any]) -> None:
    running = source.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2 AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        (process_liveness.LOCKS,),
    ).fetchone()
    if running and running[0]:
        raise ConfigError(STILL_USED)


def _moved_tables(connection: Connection[Any]) -> list[Table]:
    return [table for table in tables_in_order(connection) if table.name not in NOT_MOVED]


def _has_rows(connection: Connection[Any], table: Table) -> bool:
    found = connection.execute(
        sql.SQL("SELECT EXISTS (SELECT 1 FROM {})").format(sql.Identifier(table.name))
    ).fetchone()
    return bool(found and found[0])


def _copy_table(source: Connection[Any], target: Connection[Any], table: Table) -> int:
    """Copy the rows of one table. Return how many there were. No trigger of the target runs."""
    name, columns = sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, table.columns))
    target.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(name))
    with source.cursor() as reading, target.cursor() as writing:
        with (
            reading.copy(sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(columns, name)) as rows,
            writing.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(name, columns)) as copied,
        ):
            for block in rows:
                copied.write(block)
        count = writing.rowcount
    target.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(name))
    return count


def _continue_sequences(source: Connection[Any], target: Connection[Any]) -> None:
    """Let the sequences of the target continue where those of the source are."""
    for (name,) in source.execute(_SEQUENCES).fetchall():
        place = source.execute(sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(name))).fetchone()
        if place:
            target.execute("SELECT setval(quote_ident(%s)::regclass, %s, %s)", (name, *place))
