"""Sets up the embedded server's roles, passwords and database, and builds the URLs that connect to it.

The application connects as ``parley``, which owns its database and is not a superuser. Every connection needs a
password; the passwords are in a file that only the owner of the data folder can read.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import Connection, sql

from bot.errors import ConfigError
from bot.store.database.pipelined_transactions import APP_ROLE
from bot.store.embedded.folder import DataFolder

ADMIN, APPLICATION, DATABASE = "postgres", "parley", "parley"

OPEN_TO_OWNER = "local all all trust\n"
"""Access rules of a cluster that has no passwords yet. Its socket is in a folder that only its owner can enter."""
PASSWORDS_ONLY = "# Managed by Parley: every connection needs a password.\nlocal all all scram-sha-256\n"

_ADOPT = """
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT format('SCHEMA %I', nspname) AS named FROM pg_namespace
        WHERE nspowner = 'postgres'::regrole AND nspname !~ '^pg_' AND nspname <> 'information_schema'
        UNION ALL
        SELECT format('%s %s', CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW'
                                 WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, oid::regclass)
        FROM pg_class
        WHERE relowner = 'postgres'::regrole AND relkind IN ('r', 'p', 'v', 'm', 'S', 'c')
          AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype IN ('e', 'a', 'i')
                                                      AND classid = 'pg_class'::regclass)
        UNION ALL
        SELECT format('ROUTINE %s', oid::regprocedure) FROM pg_proc
        WHERE proowner = 'postgres'::regrole
          AND pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
        UNION ALL
        SELECT format('TYPE %s', oid::regtype) FROM pg_type
        WHERE typowner = 'postgres'::regrole AND typtype IN ('e', 'd')
          AND typnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_type.oid AND deptype = 'e')
    LOOP
        EXECUTE format('ALTER %s OWNER TO {role}', one.named);
    END LOOP;
END $$
"""
"""Makes the application's role the owner of what an earlier version created as superuser, except extensions."""


@dataclass(frozen=True, slots=True)
class Access:
    """The URLs of the application's database, for the application and for the superuser."""

    url: str
    admin_url: str


def prepare(folder: DataFolder, sockets: Path) -> Access:
    """Secure the running server, create what is missing, and return the URLs. Raises ConfigError."""
    passwords = _passwords(folder)
    hba = folder.cluster / "pg_hba.conf"
    try:
        if hba.read_text() != PASSWORDS_ONLY:
            with _connect(sockets, ADMIN, passwords, ADMIN) as connection:
                _create_roles(connection, passwords)
                _write_like(hba, PASSWORDS_ONLY)
                connection.execute("SELECT pg_reload_conf()")
        with _connect(sockets, ADMIN, passwords, ADMIN) as connection:
            _create_database(connection)
        for database in ("template1", DATABASE):
            with _connect(sockets, ADMIN, passwords, database) as connection:
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        with _connect(sockets, ADMIN, passwords, DATABASE) as connection:
            connection.execute(_ADOPT.replace("{role}", APPLICATION))
    except psycopg.Error as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[-1]
        raise ConfigError(
            f"The embedded PostgreSQL server in {folder.cluster} cannot be used ({reason}). If {folder.passwords} was "
            f"lost or changed, restore it. Otherwise see {folder.log}."
        ) from error
    return Access(*(_url(sockets, role, passwords, DATABASE) for role in (APPLICATION, ADMIN)))


def _create_roles(connection: Connection[tuple[object, ...]], passwords: dict[str, str]) -> None:
    """Create the application's roles and set the passwords, as SCRAM verifiers so that no log holds them."""
    known = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
    if APPLICATION not in known:
        connection.execute(f"CREATE ROLE {APPLICATION} LOGIN CREATEDB")
    if APP_ROLE not in known:
        connection.execute(f"CREATE ROLE {APP_ROLE} NOLOGIN NOBYPASSRLS")
    connection.execute(f"GRANT {APP_ROLE} TO {APPLICATION} WITH INHERIT FALSE, SET TRUE")
    for role in (ADMIN, APPLICATION):
        verifier = connection.pgconn.encrypt_password(passwords[role].encode(), role.encode(), b"scram-sha-256")
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
        connection.execute(statement.format(sql.Identifier(role), sql.Literal(verifier.decode())))


def _create_database(connection: Connection[tuple[object, ...]]) -> None:
    found = connection.execute(
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", (DATABASE,)
    ).fetchone()
    if found is None:
        connection.execute(f"CREATE DATABASE {DATABASE} OWNER {APPLICATION}")
    elif found[0] != APPLICATION:
        connection.execute(f"ALTER DATABASE {DATABASE} OWNER TO {APPLICATION}")


def _passwords(folder: DataFolder) -> dict[str, str]:
    """Read the passwords, or create them with a mode that lets nobody else read them."""
    try:
        found: dict[str, str] = json.loads(folder.passwords.read_text())
        if {ADMIN, APPLICATION} <= found.keys():
            return found
    except FileNotFoundError:
        pass
    except ValueError as error:
        raise ConfigError(
            f"{folder.passwords} is not valid JSON. Restore it from a backup of the data folder."
        ) from error
    made = {role: secrets.token_urlsafe(24) for role in (ADMIN, APPLICATION)}
    fresh = folder.passwords.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(made, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(folder.passwords)
    return made


def _write_like(path: Path, text: str) -> None:
    """Replace a file of the cluster atomically and keep its owner."""
    known, fresh = path.stat(), path.with_suffix(".new")
    fresh.write_text(text)
    fresh.chmod(0o600)
    os.chown(fresh, known.st_uid, known.st_gid)
    fresh.rename(path)


def _connect(sockets: Path, role: str, passwords: dict[str, str], database: str) -> Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(sockets), user=role, password=passwords[role], dbname=database, autocommit=True, connect_timeout=10
    )


def _url(sockets: Path, role: str, passwords: dict[str, str], database: str) -> str:
    return f"postgresql://{role}:{quote(passwords[role])}@/{database}?host={quote(str(sockets), safe='/')}"
