"""Reads what the connecting role may do in the database, and names the statement that gives it what it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

OLDEST_PGVECTOR = (0, 7)

_FACTS = text("""
    SELECT current_user AS role, current_database() AS database, coalesce(current_schema(), 'public') AS schema,
           (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS installed,
           (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS available,
           has_schema_privilege(current_user, coalesce(current_schema(), 'public'), 'CREATE') AS creates_tables,
           EXISTS (
               SELECT FROM pg_roles
               WHERE pg_has_role(current_user, oid, 'MEMBER') AND (rolsuper OR rolname IN
                   ('rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin', 'neon_superuser', 'supabase_admin'))
           ) OR (has_database_privilege(current_database(), 'CREATE') AND EXISTS (
               SELECT FROM pg_available_extension_versions WHERE name = 'vector' AND trusted
           )) AS creates_extension,
           pg_get_userbyid(version_table.relowner) AS owner,
           pg_has_role(current_user, version_table.relowner, 'USAGE') AS owns,
           (SELECT count(*) FROM pg_class WHERE relnamespace = version_table.relnamespace
                AND relowner = version_table.relowner AND relkind IN ('r', 'p')
                AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
                         AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))
           ) AS closed_tables,
           (SELECT count(*) FROM pg_class WHERE relnamespace = version_table.relnamespace
                AND relowner = version_table.relowner
                AND CASE WHEN relkind = 'S' THEN NOT has_sequence_privilege(oid, 'USAGE') ELSE false END
           ) AS closed_sequences
    FROM (SELECT 1) AS always
    LEFT JOIN pg_class AS version_table
        ON version_table.relname = 'alembic_version'
       AND version_table.relnamespace = to_regnamespace(quote_ident(coalesce(current_schema(), 'public')))
""")
"""One row. ``owner`` and what follows are about the role that migrated the database; NULL or 0 if none did."""


class Problem(NamedTuple):
    """What the role lacks, and the statement to run. Both are one line."""

    name: str
    detail: str
    fix: str

    def __str__(self) -> str:
        return f"{self.detail[:1].upper()}{self.detail[1:]}. {self.fix}."


def read(connection: Connection) -> Any:
    """Return the row of facts about the connecting role and the database."""
    return connection.execute(_FACTS).one()


def problems(facts: Any, *, migrates: bool) -> Iterator[Problem]:
    """Yield what keeps Parley from working. ``migrates``: whether the schema must be created or changed."""
    role, schema = f'"{facts.role}"', f'"{facts.schema}"'
    yield from _of_pgvector(facts)
    if facts.owner is None and not facts.creates_tables:
        yield Problem(
            "schema",
            f"the role {facts.role} may not create tables in the schema {facts.schema}",
            f'As the owner of the database "{facts.database}", run: GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}',
        )
    elif facts.owner is not None and not facts.owns and migrates:
        yield Problem(
            "schema",
            f"the database was migrated by the role {facts.owner}, and the role {facts.role} may not change its tables",
            f'Run "parley db upgrade" as {facts.owner}, or as a superuser run: GRANT "{facts.owner}" TO {role}',
        )
    elif facts.closed_tables or facts.closed_sequences:
        yield Problem(
            "schema",
            f"the database was migrated by the role {facts.owner}, and the role {facts.role} may not use its tables",
            f"As {facts.owner}, run: {grants(facts.schema, facts.role)}",
        )


def _of_pgvector(facts: Any) -> Iterator[Problem]:
    if facts.installed is None and facts.available is None:
        yield Problem(
            "pgvector",
            "the extension pgvector is not installed on the database server",
            "Install it there (on Debian: apt install postgresql-18-pgvector, with your version), then run as a "
            f'superuser in the database "{facts.database}": CREATE EXTENSION vector',
        )
    elif facts.installed is None and not facts.creates_extension:
        yield Problem(
            "pgvector",
            f"the database has no extension pgvector, and the role {facts.role} may not create it",
            f'As a superuser, run in the database "{facts.database}": CREATE EXTENSION vector',
        )
    elif _version(facts.installed or facts.available) < OLDEST_PGVECTOR:
        yield Problem(
            "pgvector",
            f"pgvector {facts.installed or facts.available} is too old",
            f'Install 0.7 or later, then run in the database "{facts.database}": ALTER EXTENSION vector UPDATE',
        )


def grants(schema: str, role: str) -> str:
    """Return the statements that let a role read and write the rows of Parley's tables, and nothing more."""
    return (
        f'GRANT USAGE ON SCHEMA "{schema}" TO "{role}"; '
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{schema}" TO "{role}"; '
        f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA "{schema}" TO "{role}"'
    )


def _version(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
