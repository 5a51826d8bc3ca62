"""Checks of the database for ``parley doctor``: versions, rights, isolation, sessions and the running processes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from bot.store import refusals
from bot.store.database import connections, distribution, migrate, process_liveness, role_privileges, tls
from bot.store.database.pipelined_transactions import APP_ROLE
from bot.store.database.poolers import keeps_session
from bot.store.database.session import Database
from bot.types.checks import Check
from bot.types.conversation import LOCAL_TENANT
from knowledge.refusal_counts import WHOLE_SERVER

OLDEST_POSTGRES = 140000

_SERVER = text("""
    SELECT current_setting('server_version_num')::int AS version,
           current_setting('server_version') AS shown,
           (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS bypasses,
           EXISTS (
               SELECT FROM pg_roles WHERE rolname = :role AND pg_has_role(current_user, oid, 'MEMBER')
           ) AS takes_role
""")


async def check(url: str, session_url: str, origin: str) -> list[Check]:
    """Run the checks. ``origin`` says where the address comes from. Raises ConfigError if the database is away."""
    server, facts = await asyncio.to_thread(migrate.read, url, _facts)
    problems = {one.name: one for one in role_privileges.problems(facts, migrates=False)}
    checks = [_version(server, origin), await _encryption(url), _pgvector(facts, problems)]
    if "schema" in problems:
        return [*checks, _failed(problems["schema"]), await _sessions(session_url)]
    current, newest = await asyncio.to_thread(migrate.revisions, url)
    if current != newest:
        problems = {one.name: one for one in role_privileges.problems(facts, migrates=True)}
    if "schema" in problems:
        checks.append(_failed(problems["schema"]))
    elif current is None:
        checks.append(Check("schema", True, "not created yet; the first start creates it"))
    elif current != newest:
        detail = f"at revision {current}, the newest is {newest}"
        checks.append(Check("schema", False, detail, "Run: parley db upgrade"))
    else:
        checks.append(Check("schema", True, f"at revision {current}"))
    if current is not None:
        checks.append(_isolation(server))
        checks += await asyncio.to_thread(_cluster, url)
    checks.append(await _sessions(session_url))
    return checks + (await _processes(url) if current == newest else [])


def _cluster(url: str) -> list[Check]:
    """Check the cluster over which the tables are distributed; nothing without Citus."""
    with connections.connect_blocking(url) as connection:
        cluster = distribution.read(connection)
        if cluster is None:
            return []
        expected, _ = distribution.tenant_tables(connection)
    if found := list(distribution.problems(cluster, expected)):
        return [_failed(problem) for problem in found]
    shown = f"{len(cluster.distributed)} tables over {cluster.nodes} nodes" if cluster.distributed else "not used yet"
    return [Check(distribution.CHECK, True, f"Citus {cluster.version}: {shown}")]


def _facts(connection: Connection) -> tuple[Any, Any]:
    return connection.execute(_SERVER, {"role": APP_ROLE}).one(), role_privileges.read(connection)


def _failed(problem: role_privileges.Problem) -> Check:
    return Check(problem.name, False, problem.detail, f"{problem.fix}.")


def _version(server: Any, origin: str) -> Check:
    ok = server.version >= OLDEST_POSTGRES
    return Check("database", ok, f"PostgreSQL {server.shown} ({origin})", "" if ok else "Use PostgreSQL 14 or later.")


async def _encryption(url: str) -> Check:
    """Report whether the connection is encrypted, and what of the server's certificate is checked."""
    connection = await connections.connect(url)
    try:
        return Check("encryption", True, *_ENCRYPTION[tls.level(connection)])
    finally:
        await connection.close()


_CHECK_THE_NAME = "To check it, add sslmode=verify-full and sslrootcert=FILE to the address."
_ENCRYPTION: dict[tls.Level, tuple[str, str]] = {
    "local": ("the connection stays on this machine", ""),
    "plain": ("the connection is not encrypted", "To encrypt it, turn TLS on at the server, and add sslmode=require."),
    "encrypted": ("the connection is encrypted, but the server's certificate is not checked", _CHECK_THE_NAME),
    "authority": ("the connection is encrypted, and an authority signed the server's certificate", ""),
    "name": ("the connection is encrypted, and the server's certificate has its name", ""),
}
"""What ``parley doctor`` says of each protection, and what to do."""


def _pgvector(facts: Any, problems: dict[str, role_privileges.Problem]) -> Check:
    if "pgvector" in problems:
        return _failed(problems["pgvector"])
    if facts.installed is None:
        return Check("pgvector", True, f"{facts.available}; the first start creates the extension")
    return Check("pgvector", True, facts.installed)


def _isolation(server: Any) -> Check:
    if server.takes_role:
        return Check("tenant isolation", True, f"every transaction runs with the role {APP_ROLE}")
    if server.bypasses:
        return Check(
            "tenant isolation",
            False,
            "the connecting role bypasses row-level security",
            "Connect with a role that is not a superuser and lacks BYPASSRLS, "
            f"or run 'parley db upgrade' to create the role {APP_ROLE}.",
        )
    return Check("tenant isolation", True, "row-level security applies to the connecting role")


async def _sessions(url: str) -> Check:
    """Check that the connection for notifications, locks and jobs keeps its session."""
    connection = await connections.connect(url)
    try:
        if await keeps_session(connection, url):
            return Check("sessions", True, "the connection for notifications, locks and jobs keeps its session")
    finally:
        await connection.close()
    return Check(
        "sessions",
        False,
        "the connection for notifications, locks and jobs leads through a pooler that keeps no session",
        "Set PARLEY_LISTEN_DATABASE_URL to an address that reaches PostgreSQL directly, or a pooler in session mode.",
    )


async def _processes(url: str) -> list[Check]:
    """Report what each running process of Parley says about its parts, and how often something was refused."""
    database = Database(url)
    try:
        async with database.queue() as session:
            found = await process_liveness.live(session)
        return [await _refusals(database), *map(_process, found)]
    finally:
        await database.aclose()


async def _refusals(database: Database) -> Check:
    """Report the refusals of the whole server and of the tenant of the terminal."""
    first = datetime.now(UTC).date() - timedelta(days=refusals.SHOWN_DAYS - 1)
    counts = await refusals.since(database, WHOLE_SERVER, first) + await refusals.since(database, LOCAL_TENANT, first)
    return Check("refusals", True, f"{refusals.described(counts)} in the last {refusals.SHOWN_DAYS} days")


def _process(process: process_liveness.ProcessState) -> Check:
    name = f"process {process.pid} on {process.host}"
    if not process.faults:
        return Check(name, True, "all its parts work")
    detail = "; ".join(f"{part}: {reason}" for part, reason in sorted(process.faults.items()))
    return Check(name, False, detail, "Its log has the details.")
