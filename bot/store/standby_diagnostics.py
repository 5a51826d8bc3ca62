"""Checks the hot standby for searches, for ``parley doctor``."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from bot.store.database import connections
from bot.store.database.pipelined_transactions import APP_ROLE
from bot.store.database.retry import first_line
from bot.types.checks import Check

NAME = "search standby"

_PRIMARY = """
    SELECT system_identifier,
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS written,
           EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') AS is_distributed
    FROM pg_control_system()
"""
# CASE, because what asks for the replay fails on a server that replays nothing.
_STANDBY = """
    SELECT system_identifier,
           pg_is_in_recovery() AS is_standby,
           CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END AS is_paused,
           greatest(0, pg_wal_lsn_diff(%(written)s::pg_lsn, pg_last_wal_replay_lsn()))::bigint AS bytes_behind,
           (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS bypasses,
           EXISTS (
               SELECT FROM pg_roles WHERE rolname = %(role)s AND pg_has_role(current_user, oid, 'MEMBER')
           ) AS takes_role
    FROM pg_control_system()
"""


async def check_standby(primary_url: str, standby_url: str) -> Check:
    """Check that the second address leads to a standby of the first, which replays and keeps tenants apart."""
    try:
        primary, standby = await asyncio.to_thread(_read, primary_url, standby_url)
    except psycopg.Error as error:
        return _failed(
            f"it does not answer ({first_line(error)})", "Start it, correct PARLEY_SEARCH_DATABASE_URL, or unset it."
        )
    if not standby.is_standby or standby.system_identifier != primary.system_identifier:
        detail = "the server is no standby of DATABASE_URL"
        return _failed(detail, "Set PARLEY_SEARCH_DATABASE_URL to a hot standby of DATABASE_URL, or unset it.")
    if primary.is_distributed:
        return _failed(
            "DATABASE_URL is a Citus cluster, whose rows are on its nodes", "Unset PARLEY_SEARCH_DATABASE_URL."
        )
    if standby.bypasses and not standby.takes_role:
        detail = "the connecting role bypasses row-level security"
        return _failed(detail, "Connect with a role that is not a superuser and lacks BYPASSRLS.")
    behind = f"{standby.bytes_behind:,} bytes behind"
    if standby.is_paused:
        return _failed(f"its replay is paused, {behind}", "On the standby, run: SELECT pg_wal_replay_resume().")
    return Check(NAME, True, f"a hot standby of DATABASE_URL, {behind}")


def _failed(detail: str, fix: str) -> Check:
    return Check(NAME, False, f"{detail}; searches read the primary", fix)


def _read(primary_url: str, standby_url: str) -> tuple[Any, Any]:
    """Return what both servers say. The primary is asked first, so that the standby is not ahead of its answer."""
    with connections.connect_blocking(primary_url) as connection:
        primary: Any = connection.cursor(row_factory=namedtuple_row).execute(_PRIMARY).fetchone()
    with connections.connect_blocking(standby_url) as connection:
        values = {"written": primary.written, "role": APP_ROLE}
        return primary, connection.cursor(row_factory=namedtuple_row).execute(_STANDBY, values).fetchone()
