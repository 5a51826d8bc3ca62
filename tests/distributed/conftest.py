"""Puts the database of a cluster in the place of the embedded one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from bot.store.database import distribution, migrate
from bot.store.database.session import Database
from bot.store.database.tables import tables_in_order
from tests import superuser_access

URL = "PARLEY_TEST_CITUS_URL"
ADMIN_URL = "PARLEY_TEST_CITUS_ADMIN_URL"
KEPT = {"alembic_version"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this folder without a cluster."""
    if URL in os.environ and ADMIN_URL in os.environ:
        return
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason=f"{URL} and {ADMIN_URL} name no Citus cluster"))


def empty(url: str) -> None:
    """Delete everything that the role of the address owns, and its settings."""
    with psycopg.connect(url) as connection:
        role = sql.Identifier(connection.info.user)
    with psycopg.connect(os.environ[ADMIN_URL], autocommit=True) as connection:
        connection.execute("SET citus.multi_shard_modify_mode TO 'sequential'")
        connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
        connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(role))


@pytest.fixture(scope="session")
def cluster_url() -> str:
    """Return the address of the application's database, emptied, migrated and distributed."""
    url = os.environ[URL]
    empty(url)
    done = distribution.distribute(url)
    assert done.distributed[0] == distribution.FIRST
    return url


@pytest.fixture
def undistributed_url(cluster_url: str) -> Iterator[str]:
    """Return the address of the same database with tables on the coordinator alone. They are distributed afterwards."""
    empty(cluster_url)
    migrate.upgrade(cluster_url)
    yield cluster_url
    distribution.distribute(cluster_url)


@pytest.fixture
def database_url(cluster_url: str) -> str:
    """Return the address of the distributed database, without rows."""
    with psycopg.connect(os.environ[ADMIN_URL], autocommit=True) as connection:
        names = [table.name for table in tables_in_order(connection) if table.name not in KEPT]
        full = [name for name in names if _has_rows(connection, name)]
        if full:
            listed = sql.SQL(", ").join(map(sql.Identifier, full))
            connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(listed))
    return cluster_url


def _has_rows(connection: psycopg.Connection[tuple[object, ...]], table: str) -> bool:
    found = connection.execute(sql.SQL("SELECT EXISTS (SELECT 1 FROM {})").format(sql.Identifier(table))).fetchone()
    return bool(found and found[0])


@pytest.fixture
def admin_url(database_url: str) -> str:
    """Return the address of the same database for the superuser."""
    return os.environ[ADMIN_URL]


@pytest.fixture(autouse=True)
def superuser_of_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the helpers of tests connect as the cluster's superuser."""
    monkeypatch.setattr(superuser_access, "as_superuser", lambda url: os.environ[ADMIN_URL])


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.aclose()
