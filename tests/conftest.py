"""Provides a real Postgres to tests: one server a session, one migrated template, one clone a test."""

from __future__ import annotations

import shutil
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Collection, Iterator
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql
from sqlalchemy.engine import make_url

from bot.cli.command_runtime import collect_garbage_rarely
from bot.engine.dispatch import dispatcher
from bot.store.adapters import inbox
from bot.store.database import migrate
from bot.store.database.session import Database
from bot.store.embedded.roles import APPLICATION
from bot.store.embedded.server import EmbeddedServer
from bot.store.embedded.temporary import temporary_server
from knowledge.ports import Sessions

TESTS = Path(__file__).parent
TEMPLATE = "parley_template"
FAST_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "min_wal_size": "32MB",
    "max_wal_size": "128MB",
}
MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 4 * 2**30
"""Free bytes in ``MEMORY`` from which the test server's folder is there: a clone then takes a seventh of the time."""
UNIT_TESTS = (
    *("cli/*", "commands/*", "engine/*", "evals/*", "ingestion/*", "knowledge/*", "reports/*", "store/*"),
    *("*/test_parse.py", "*/test_payloads.py", "*/test_render.py", "test_settings.py", "test_frozen_clock.py"),
)
"""Files of `make test-fast`; their tests that use a database are left out."""
SLOW = ("knowledge/test_embedders.py", "knowledge/test_model_hub.py")
"""Files that `make test-fast` leaves out: they load models for half a minute, or from a hub on loopback."""

# How long an example takes says more about the load of the machine than about the code.
settings.register_profile("parley", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("parley")


def pytest_collection_finish() -> None:
    """Leave the collected tests out of garbage collections, like the processes of Parley do with what they import.

    Thousands of them would be visited each time, which takes a fifth of the processor time of all tests.
    """
    collect_garbage_rarely()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the unit tests."""
    for item in items:
        file = item.path.relative_to(TESTS).as_posix()
        if any(map(partial(fnmatch, file), UNIT_TESTS)) and file not in SLOW and "postgres" not in fixtures_of(item):
            item.add_marker(pytest.mark.unit)


def pytest_sessionfinish() -> None:
    """End the browsers that tests of this process shared, if there were any."""
    if "tests.web.browser" in sys.modules:
        sys.modules["tests.web.browser"].close_idle()


def fixtures_of(item: pytest.Item) -> Collection[str]:
    """Return the names of the fixtures that a test uses, directly or not."""
    return item.fixturenames if isinstance(item, pytest.Function) else ()


def _with_database(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedServer]:
    """Yield one server for the whole session."""
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_NEEDED
    folder = MEMORY if in_memory else Path(tempfile.gettempdir())
    with temporary_server(f"{folder}/parley-test-", options=FAST_SETTINGS) as server:
        yield server


@pytest.fixture(scope="session")
def postgres(embedded: EmbeddedServer) -> str:
    """Return the URL of the server's ``postgres`` database, for the superuser."""
    return _with_database(embedded.admin_url, "postgres")


@pytest.fixture(scope="session")
def template(embedded: EmbeddedServer, postgres: str) -> str:
    """Return the name of a migrated database to clone. The application's role owns it, as in production."""
    _create(postgres, TEMPLATE, "template1")
    migrate.upgrade(_with_database(embedded.url, TEMPLATE))
    return TEMPLATE


@pytest.fixture
def empty_database_url(embedded: EmbeddedServer, postgres: str) -> Iterator[str]:
    """Return the URL of a database without a schema."""
    yield from _database(embedded, postgres, "template1")


@pytest.fixture
def database_url(embedded: EmbeddedServer, postgres: str, template: str) -> Iterator[str]:
    """Return the URL of a fresh migrated database."""
    yield from _database(embedded, postgres, template)


@pytest.fixture
def admin_url(embedded: EmbeddedServer, database_url: str) -> str:
    """Return the URL of the same database for the superuser, who sees the rows of every tenant."""
    return _with_database(embedded.admin_url, make_url(database_url).database or "")


def _database(embedded: EmbeddedServer, postgres: str, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    _create(postgres, name, template)
    try:
        yield _with_database(embedded.url, name)
    finally:
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _create(postgres: str, name: str, template: str) -> None:
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
    names = (sql.Identifier(one) for one in (name, template, APPLICATION))
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(statement.format(*names))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.aclose()


@pytest.fixture
def sessions(database: Database) -> Sessions:
    return database.tenant


@pytest.fixture
def unhurried_acceptance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the database a minute to store a question. Slack leaves it 2.4 s, too little on a busy machine."""
    for module in (dispatcher, inbox):
        monkeypatch.setattr(module, "ACCEPT_SECONDS", 60.0)
