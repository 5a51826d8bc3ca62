"""A real Postgres for every test that asks: one server a session, one migrated template, one clone a test."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from bot.store import migrate
from bot.store.embedded import server as embedded_server
from bot.store.embedded.roles import APPLICATION
from bot.store.embedded.server import EmbeddedServer
from bot.store.session import Database
from knowledge.ports import Sessions

TEMPLATE = "parley_template"
QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedServer]:
    """One server for the whole session."""
    folder = Path(tempfile.mkdtemp(prefix="parley-test-"))
    server = embedded_server.start(folder, options=QUICK)
    yield server
    server.release()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(embedded: EmbeddedServer) -> str:
    """The address of the server's ``postgres`` database, as a superuser."""
    return _named(embedded.admin_url, "postgres")


@pytest.fixture(scope="session")
def template(embedded: EmbeddedServer, postgres: str) -> str:
    """The name of a migrated database to clone. The application's role owns it, as in production."""
    _create(postgres, TEMPLATE, "template1")
    migrate.upgrade(_named(embedded.url, TEMPLATE))
    return TEMPLATE


@pytest.fixture
def empty_database_url(embedded: EmbeddedServer, postgres: str) -> Iterator[str]:
    """A database without a schema."""
    yield from _database(embedded, postgres, "template1")


@pytest.fixture
def database_url(embedded: EmbeddedServer, postgres: str, template: str) -> Iterator[str]:
    """A fresh migrated database."""
    yield from _database(embedded, postgres, template)


@pytest.fixture
def admin_url(postgres: str, database_url: str) -> str:
    """The fresh migrated database, as a superuser who sees the rows of every tenant."""
    return _named(postgres, str(make_url(database_url).database))


def _database(embedded: EmbeddedServer, postgres: str, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    _create(postgres, name, template)
    try:
        yield _named(embedded.url, name)
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
