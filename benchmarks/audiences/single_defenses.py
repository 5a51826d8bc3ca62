"""Takes away one of the two defenses that keep tenants apart, to measure the other one alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

TENANT_CONDITION = re.compile(r"(?<![.\w])(?:(?!parley\.)\w+\.)?tenant_id = (%\(\w+\)s|%s)(?:::\w+)?")
"""A comparison of the tenant with a parameter. Comparisons of two columns, which join tables, stay."""


@contextmanager
def without_tenant_conditions() -> Iterator[None]:
    """Make every condition on the tenant true in the statements of this process. Row-level security remains."""
    execute = psycopg.AsyncCursor.execute

    async def execute_without(self: Any, query: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(query, sql.Composable):
            query = query.as_string(self)
        if isinstance(query, bytes):
            query = query.decode()
        return await execute(self, TENANT_CONDITION.sub(r"\1::text IS NOT NULL", query), *arguments, **named)

    psycopg.AsyncCursor.execute = execute_without  # type: ignore[method-assign]
    try:
        yield
    finally:
        psycopg.AsyncCursor.execute = execute  # type: ignore[method-assign]


def disable_row_level_security(admin_url: str) -> None:
    """Disable row-level security on every table of the database. The conditions in the code remain."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relrowsecurity AND relnamespace = current_schema()::regnamespace"
        ).fetchall()
        for (name,) in tables:
            table = sql.Identifier(name)
            connection.execute(sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY").format(table))
            connection.execute(sql.SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY").format(table))


def rows_of_wrong_tenants(admin_url: str, owners: dict[str, str]) -> list[str]:
    """Return the tables and tenants whose rows contain a canary of another tenant. ``owners`` has each canary's."""
    found = []
    with psycopg.connect(admin_url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.columns "
            "WHERE column_name = 'tenant_id' AND table_schema = current_schema() "
            "AND table_name IN (SELECT tablename FROM pg_tables)"
        ).fetchall()
        for (name,) in tables:
            statement = sql.SQL("SELECT tenant_id, {0}::text FROM {0}").format(sql.Identifier(name))
            for tenant_id, row in connection.execute(statement):
                words = set(re.findall(r"zq[0-9a-f]{12}", row)) & owners.keys()
                found += [f"{name} of {tenant_id}: {word}" for word in words if owners[word] != tenant_id]
    return found
