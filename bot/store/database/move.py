"""Copies every row of a Parley database into another, empty one.

PostgreSQL's own pg_dump needs a superuser here, because row-level security binds the owner of the tables too. The owner
suspends it in a transaction and restores it in the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

import psycopg
from psycopg import Connection, errors, sql

from bot.errors import ConfigError
from bot.store.database import migrate, process_liveness
from bot.store.database.connections import connect_blocking

LOCK_TIMEOUT = "5s"
"""How long to wait for a table that another process uses."""
NOT_MOVED = ["alembic_version", "processes"]
"""Tables that each database has for itself: its schema's revision, and the processes that use it."""
STILL_USED = "A process still uses the database. Stop every part of Parley, then move it."

_IDENTITY = "SELECT current_database(), current_schema(), pg_postmaster_start_time()"
_TABLES = """
    SELECT c.relname::text,
           ARRAY(SELECT a.attname::text FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                 ORDER BY a.attnum),
           ARRAY(SELECT DISTINCT parent.relname::text
                 FROM pg_constraint k JOIN pg_class parent ON parent.oid = k.confrelid
                 WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.confrelid <> c.oid)
    FROM pg_class c
    WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema())) AND c.relkind IN ('r', 'p')
      AND NOT c.relispartition AND c.relname <> ALL(%s)
      AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')
    ORDER BY c.relname
"""
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


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    columns: Sequence[str]
    parents: Sequence[str]


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
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"The rows could not be copied ({reason}). The target was left empty. Try again.") from error


def _copy(source: Connection[Any], target: Connection[Any]) -> Moved:
    """Copy every table, parents first. Both transactions stay open. Raises ConfigError."""
    if source.execute(_IDENTITY).fetchone() == target.execute(_IDENTITY).fetchone():
        raise ConfigError("The target is the database that Parley uses already. Name an empty one.")
    _require_stopped(source)
    tables, there = _tables(source), {table.name for table in _tables(target)}
    if missing := sorted({table.name for table in tables} - there):
        raise ConfigError(f"The target lacks the tables {', '.join(missing)}. Drop them from the source first.")
    _lift_isolation(source, tables)
    restoring = _lift_isolation(target, tables)
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


def _tables(connection: Connection[Any]) -> list[_Table]:
    """Return the tables of the schema, each after those that its foreign keys point to."""
    found = {
        name: _Table(name, columns, parents) for name, columns, parents in connection.execute(_TABLES, [NOT_MOVED])
    }
    order = TopologicalSorter({table.name: set(table.parents) & found.keys() for table in found.values()})
    return [found[name] for name in order.static_order()]


def _lift_isolation(connection: Connection[Any], tables: Sequence[_Table]) -> list[sql.Composed]:
    """Lock the tables, and let their owner see every row. Return the statements that restore row-level security."""
    connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT)))
    names = [sql.Identifier(table.name) for table in tables]
    connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.SQL(", ").join(names)))
    forced = {
        name
        for (name,) in connection.execute(
            "SELECT relname::text FROM pg_class WHERE relforcerowsecurity"
            " AND relnamespace = to_regnamespace(quote_ident(current_schema()))"
        )
    }
    isolated = [sql.Identifier(table.name) for table in tables if table.name in forced]
    for name in isolated:
        connection.execute(sql.SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY").format(name))
    return [sql.SQL("ALTER TABLE {} FORCE ROW LEVEL SECURITY").format(name) for name in isolated]


def _has_rows(connection: Connection[Any], table: _Table) -> bool:
    found = connection.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(table.name))).fetchone()
    return bool(found and found[0])


def _copy_table(source: Connection[Any], target: Connection[Any], table: _Table) -> int:
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
