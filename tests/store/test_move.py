"""All rows move to another database, whose tables stay isolated by tenant."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from bot.errors import ConfigError
from bot.store.database import migrate, process_liveness
from bot.store.database.connections import plain_url
from bot.store.database.move import NOT_MOVED, move
from tests.superuser_access import as_superuser

FILLED = (
    "INSERT INTO tenants (tenant_id, platform, name) VALUES ('slack:T1', 'slack', E'a\\tb\\\\N')",
    "INSERT INTO tenants (tenant_id, platform, name) VALUES ('local', 'local', '')",
    "INSERT INTO budgets (tenant_id, subject, daily_tokens, set_by) VALUES ('slack:T1', 'tenant', 5, 'ann')",
    "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('house', 'look'), ('house', 'look')",
    "SELECT nextval('procrastinate_jobs_id_seq')",
)


def contents(url: str) -> dict[str, list[str]]:
    """Return every row of every table that moves, as text."""
    with psycopg.connect(as_superuser(url)) as connection:
        names = [
            name
            for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            if name not in NOT_MOVED
        ]
        select = sql.SQL("SELECT t::text FROM {} t ORDER BY 1")
        return {
            name: [row for (row,) in connection.execute(select.format(sql.Identifier(name)))] for name in sorted(names)
        }


def isolation(url: str) -> list[tuple[str, bool, bool]]:
    query = "SELECT relname::text, relrowsecurity, relforcerowsecurity FROM pg_class WHERE relkind = 'r' ORDER BY 1"
    with psycopg.connect(plain_url(url)) as connection:
        return connection.execute(query).fetchall()


def enabled_triggers(url: str) -> list[tuple[str, str]]:
    with psycopg.connect(plain_url(url)) as connection:
        query = "SELECT tgname::text, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
        return connection.execute(query).fetchall()


@pytest.fixture
def filled(database_url: str) -> str:
    with psycopg.connect(as_superuser(database_url), autocommit=True) as connection:
        for statement in FILLED:
            connection.execute(statement)
    return database_url


def test_every_row_moves_and_the_source_stays(filled: str, empty_database_url: str) -> None:
    before, isolated, triggers = contents(filled), isolation(filled), enabled_triggers(filled)
    moved = move(filled, empty_database_url)
    assert contents(empty_database_url) == before == contents(filled)
    assert len(before["procrastinate_events"]) == 2, "the triggers of the target do not add events"
    assert moved.rows == sum(map(len, before.values()))
    assert (moved.tables, moved.revision) == (len(before), migrate.REVISIONS[-1])
    assert isolation(empty_database_url) == isolated == isolation(filled)
    assert enabled_triggers(empty_database_url) == triggers
    with psycopg.connect(as_superuser(empty_database_url)) as connection:
        (following,) = connection.execute("SELECT nextval('procrastinate_jobs_id_seq')").fetchone() or (0,)
    assert following == 4


def test_a_target_with_rows_is_refused(filled: str, empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    with psycopg.connect(as_superuser(empty_database_url)) as connection:
        connection.execute("INSERT INTO tenants (tenant_id, platform, name) VALUES ('local', 'local', 'mine')")
    with pytest.raises(ConfigError, match="rows in tenants"):
        move(filled, empty_database_url)
    assert len(contents(empty_database_url)["tenants"]) == 1
    with pytest.raises(ConfigError, match="uses already"):
        move(filled, filled)


def test_a_running_process_is_told(filled: str, empty_database_url: str) -> None:
    with psycopg.connect(plain_url(filled), autocommit=True) as running:
        running.execute(process_liveness.LOCK, {"id": 7})
        with pytest.raises(ConfigError, match="Stop every part"):
            move(filled, empty_database_url)
    assert sum(map(len, contents(empty_database_url).values())) == 0


def test_a_failure_leaves_the_target_empty_and_isolated(filled: str, empty_database_url: str, tmp_path: Path) -> None:
    migrate.upgrade(empty_database_url)
    isolated = isolation(empty_database_url)
    with psycopg.connect(as_superuser(empty_database_url)) as connection:
        connection.execute("ALTER TABLE tenants DROP COLUMN name")
    with pytest.raises(ConfigError, match=r"could not be copied .*name.*target was left empty"):
        move(filled, empty_database_url)
    assert sum(map(len, contents(empty_database_url).values())) == 0
    assert isolation(empty_database_url) == isolated
