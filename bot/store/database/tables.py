"""Lists the tables of the schema by their foreign keys, and lifts row-level security while rows are copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from psycopg import Connection, sql

LOCK_TIMEOUT = "5s"
"""How long to wait for a table that another process uses."""

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
      AND NOT c.relispartition
      AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')
    ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its stored columns, and the tables that its foreign keys point to."""

    name: str
    columns: Sequence[str]
    parents: Sequence[str]


def tables_in_order(connection: Connection[Any]) -> list[Table]:
    """Return the tables of the schema, each after those that its foreign keys point to."""
    found = {name: Table(name, columns, parents) for name, columns, parents in connection.execute(_TABLES)}
    order = TopologicalSorter({table.name: set(table.parents) & found.keys() for table in found.values()})
    return [found[name] for name in order.static_order()]


def lift_isolation(connection: Connection[Any], tables: Sequence[Table]) -> list[sql.Composed]:
    """Lock the tables, and let their owner see every row. Return the statements that restore row-level security.

    Raises psycopg.errors.LockNotAvailable if a process uses one of them.
    """
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
