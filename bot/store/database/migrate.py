"""Runs Alembic from code: the same migrations that ``alembic upgrade head`` runs.

Alembic is imported only when the schema changes, since every command checks the schema first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError

from bot.errors import ConfigError
from bot.store.database import connections, role_privileges
from bot.store.database.connections import plain_url
from bot.store.database.retry import unreachable
from bot.store.database.role_privileges import Problem

if TYPE_CHECKING:
    from alembic.config import Config

log = logging.getLogger(__name__)

Result = TypeVar("Result")

ROOT = Path(__file__).resolve().parents[3]
REVISIONS = tuple(sorted(file.name[:4] for file in (ROOT / "migrations" / "versions").glob("[0-9]*.py")))
"""Every revision of the schema, oldest first. The name of a migration's file begins with its revision."""


def config(url: str) -> Config:
    """Return Alembic's configuration for one database."""
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(ROOT / "migrations"))
    settings.attributes["url"] = plain_url(url)
    return settings


def upgrade(url: str, revision: str = "head") -> None:
    """Upgrade the schema to ``revision``. A schema that a later version has upgraded further stays as it is.

    Migrations only add what the previous version can do without, so both versions can run during a rolling upgrade.
    Raises ConfigError if the database does not answer, or if the connecting role lacks a right; the message then has
    the statement to run.
    """
    current, newest = revisions(url)
    if current is not None and current not in REVISIONS:
        log.warning("the schema has a later version (%s) than this process; continuing with it", current)
        return
    if revision == "head" and current == newest:
        found = problems(url, migrates=False)
        if found:
            raise ConfigError(str(found[0]))
        return
    from alembic import command

    try:
        command.upgrade(config(url), revision)
    except OperationalError as error:
        raise ConfigError(unreachable(error)) from error
    except DBAPIError as error:
        found = problems(url, migrates=True)
        if not found:
            raise
        raise ConfigError(str(found[0])) from error


def downgrade(url: str, revision: str = "base") -> None:
    """Downgrade the schema to ``revision``."""
    from alembic import command

    command.downgrade(config(url), revision)


def revisions(url: str) -> tuple[str | None, str | None]:
    """Return the revision of the database, and the newest one there is. Raises ConfigError."""
    try:
        current = read(url, _current)
    except DBAPIError as error:
        found = problems(url, migrates=False)
        if not found:
            raise
        raise ConfigError(str(found[0])) from error
    return current, REVISIONS[-1]


def _current(connection: Connection) -> str | None:
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def problems(url: str, *, migrates: bool) -> list[Problem]:
    """Return what the connecting role lacks; ``migrates`` says whether it changes the schema. Raises ConfigError."""
    return read(
        url, lambda connection: list(role_privileges.problems(role_privileges.read(connection), migrates=migrates))
    )


def read(url: str, work: Callable[[Connection], Result]) -> Result:
    """Run ``work`` on a connection that is closed afterwards. Raises ConfigError if the database does not answer."""
    engine = connections.migration_engine(url)
    try:
        with engine.connect() as connection:
            return work(connection)
    except OperationalError as error:
        raise ConfigError(unreachable(error)) from error
    finally:
        engine.dispose()
