"""Runs Alembic from code: the same migrations that ``alembic upgrade head`` runs."""

from __future__ import annotations

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy.exc import OperationalError

from bot.errors import ConfigError
from bot.store import connections
from bot.store.connections import plain_url
from bot.store.retry import unreachable

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]


def config(url: str) -> Config:
    """Return Alembic's configuration for one database."""
    settings = Config()
    settings.set_main_option("script_location", str(ROOT / "migrations"))
    settings.attributes["url"] = plain_url(url)
    return settings


def upgrade(url: str, revision: str = "head") -> None:
    """Upgrade the schema to ``revision``. A schema that a later version has upgraded further stays as it is.

    Migrations only add what the previous version can do without, so both versions can run during a rolling upgrade.
    Raises ConfigError if the database does not answer.
    """
    try:
        current, _ = revisions(url)
        if current is not None and not _is_known(url, current):
            log.warning("the schema has a later version (%s) than this process; continuing with it", current)
            return
        command.upgrade(config(url), revision)
    except OperationalError as error:
        raise ConfigError(unreachable(error)) from error


def _is_known(url: str, revision: str) -> bool:
    try:
        return ScriptDirectory.from_config(config(url)).get_revision(revision) is not None
    except CommandError:
        return False


def downgrade(url: str, revision: str = "base") -> None:
    """Downgrade the schema to ``revision``."""
    command.downgrade(config(url), revision)


def revisions(url: str) -> tuple[str | None, str | None]:
    """Return the revision of the database, and the newest one there is."""
    engine = connections.migration_engine(url)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    except OperationalError as error:
        raise ConfigError(unreachable(error)) from error
    finally:
        engine.dispose()
    return current, ScriptDirectory.from_config(config(url)).get_current_head()
