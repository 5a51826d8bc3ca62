"""Distributes the tables over the nodes of a Citus cluster by tenant, and finds what keeps a cluster from working.

Every row of a tenant is on one node, so that each transaction of a tenant runs there. Tables of rows that belong to no
tenant, the job queue and the schema's revision stay on the coordinator, to which every process connects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import Connection, errors, sql
from psycopg.rows import namedtuple_row

from bot.errors import ConfigError
from bot.store.database import migrate
from bot.store.database.connections import connect_blocking
from bot.store.database.retry import first_line
from bot.store.database.role_privileges import Problem
from bot.store.database.tables import lift_isolation, tables_in_order

FIRST = "tenants"
"""The table that is distributed first; the shards of all others are placed beside its shards."""
SETTING = "citus.propagate_set_commands"
"""With the value ``local``, the nodes get what ``SET LOCAL`` sets, which row-level security reads there."""
CHECK = "cluster"
"""The name of the check in ``parley doctor``."""
NO_CITUS = (
    "The database has no extension Citus. Install Citus on every node, run CREATE EXTENSION citus as a superuser, "
    "then run this command again."
)
NO_NODES = (
    "The cluster has no node for rows. As a superuser, run on the coordinator: "
    "SELECT citus_add_node('HOST', 5432), then run this command again."
)
NOT_COORDINATOR = "This node is not the coordinator of the cluster. Set DATABASE_URL to the coordinator's address."
STILL_USED = "A process still uses the tables. Stop every part of Parley, then run this command again."

_FACTS: LiteralString = """
    SELECT (SELECT extversion FROM pg_extension WHERE extname = 'citus') AS version,
           current_user AS role,
           (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS bypasses,
           current_setting('citus.propagate_set_commands', true) AS propagates
"""
_NODES: LiteralString = """
    SELECT count(*) FILTER (WHERE noderole = 'primary' AND isactive AND shouldhaveshards) AS nodes,
           (SELECT groupid FROM pg_dist_local_group) = 0 AS is_coordinator,
           ARRAY(SELECT logicalrelid::regclass::text FROM pg_dist_partition WHERE partmethod = 'h') AS distributed
    FROM pg_dist_node
"""
_KEPT_ON_COORDINATOR: LiteralString = """
    SELECT tablename::text FROM pg_policies WHERE policyname = 'use_without_tenant' AND schemaname = current_schema()
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a coordinator says about its cluster and the connecting role. ``nodes`` counts those that keep rows."""

    version: str
    nodes: int
    is_coordinator: bool
    distributed: frozenset[str]
    role: str
    bypasses: bool
    propagates: bool


@dataclass(frozen=True, slots=True)
class Distribution:
    """What ``distribute`` did: the tables it distributed, in this order, and those it found as they should be."""

    nodes: int
    distributed: Sequence[str]
    already_distributed: Sequence[str]
    on_coordinator: Sequence[str]
    settings: Sequence[str]


def read(connection: Connection[Any]) -> Cluster | None:
    """Return what is known about the cluster, or None if the database has no extension Citus."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        facts: Any = cursor.execute(_FACTS).fetchone()
        if facts is None or facts.version is None:
            return None
        nodes: Any = cursor.execute(_NODES).fetchone()
        return Cluster(
            version=facts.version,
            nodes=nodes.nodes,
            is_coordinator=nodes.is_coordinator,
            distributed=frozenset(nodes.distributed),
            role=facts.role,
            bypasses=facts.bypasses,
            propagates=facts.propagates == "local",
        )


def problems(cluster: Cluster, expected: Sequence[str]) -> Iterator[Problem]:
    """Yield what keeps Parley from working on the cluster. ``expected`` are the tables that must be distributed.

    A cluster over which no table is distributed yet works like any other database.
    """
    if not cluster.is_coordinator:
        yield Problem(CHECK, "the address leads to a node for rows", "Set DATABASE_URL to the coordinator's address")
        return
    if not cluster.distributed:
        return
    if missing := sorted(set(expected) - cluster.distributed):
        detail = f"{len(missing)} tables are not distributed ({', '.join(missing)})"
        yield Problem(CHECK, detail, "Stop every part of Parley, then run: parley db distribute")
    if not cluster.propagates:
        detail = f"the nodes are not told the tenant of a transaction of the role {cluster.role}, and show it no rows"
        yield Problem(CHECK, detail, f"Run: ALTER ROLE \"{cluster.role}\" SET {SETTING} TO 'local'")
    if cluster.bypasses:
        detail = f"the role {cluster.role} bypasses row-level security, and no other role can be taken on a cluster"
        yield Problem(CHECK, detail, "Connect with a role that is not a superuser and lacks BYPASSRLS")


def distribute(url: str) -> Distribution:
    """Upgrade the schema, then distribute every table of tenants that is not distributed yet, in one transaction.

    Raises ConfigError without Citus, without a node, or while a process uses the tables.
    """
    migrate.upgrade(url)
    try:
        with connect_blocking(url) as connection:
            done = _distribute(connection)
            connection.commit()
            return done
    except errors.LockNotAvailable:
        raise ConfigError(STILL_USED) from None
    except psycopg.Error as error:
        raise ConfigError(
            f"The tables could not be distributed ({first_line(error)}). They were left as they are."
        ) from error


def tenant_tables(connection: Connection[Any]) -> tuple[list[str], list[str]]:
    """Return the tables of tenants in the order in which they are distributed, and those for the coordinator."""
    kept = {name for (name,) in connection.execute(_KEPT_ON_COORDINATOR).fetchall()}
    tables = [table for table in tables_in_order(connection) if "tenant_id" in table.columns]
    ordered = sorted((table.name for table in tables if table.name not in kept), key=lambda name: name != FIRST)
    return ordered, sorted(kept)


def _distribute(connection: Connection[Any]) -> Distribution:
    cluster = read(connection)
    if cluster is None:
        raise ConfigError(NO_CITUS)
    if not cluster.is_coordinator:
        raise ConfigError(NOT_COORDINATOR)
    if not cluster.nodes:
        raise ConfigError(NO_NODES)
    names, kept = tenant_tables(connection)
    missing = [name for name in names if name not in cluster.distributed]
    settings = () if cluster.propagates else (_propagate(connection, cluster.role),)
    _distribute_tables(connection, missing)
    return Distribution(cluster.nodes, missing, [n for n in names if n in cluster.distributed], kept, settings)


def distribute_added(connection: Connection[Any]) -> None:
    """Distribute the tables that a migration added, inside its transaction, if the others are distributed.

    A table on the coordinator could not refer to rows on the nodes.
    """
    cluster = read(connection)
    if cluster is not None and FIRST in cluster.distributed:
        names, _ = tenant_tables(connection)
        _distribute_tables(connection, [name for name in names if name not in cluster.distributed])


def _distribute_tables(connection: Connection[Any], names: Sequence[str]) -> None:
    """Distribute the tables in this order, with their rows."""
    if not names:
        return
    by_name = {table.name: table for table in tables_in_order(connection)}
    restoring = lift_isolation(connection, [by_name[name] for name in names])
    connection.execute("SET LOCAL citus.multi_shard_modify_mode TO 'sequential'")
    for name in names:
        beside = "none" if name == FIRST else FIRST
        connection.execute(
            "SELECT create_distributed_table(quote_ident(%s), 'tenant_id', colocate_with => %s)", (name, beside)
        )
    for statement in restoring:
        connection.execute(statement)


def _propagate(connection: Connection[Any], role: str) -> str:
    """Let the nodes get what the role sets for a transaction. Return the statement."""
    statement = sql.SQL("ALTER ROLE {} SET {} TO 'local'").format(sql.Identifier(role), sql.SQL(SETTING))
    connection.execute(statement)
    return statement.as_string(connection)
