"""Row-level security holds on the nodes, also for a statement that does not name its tenant."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from bot.store.database.session import NO_TENANT, Database
from tests.store.test_turns import THREAD, incoming, store_of

EVERY_ROW = "SELECT turn_id FROM turns"


def seen(url: str, *settings: str, statement: str = EVERY_ROW) -> int:
    """Return how many rows the application's role sees after these settings."""
    with psycopg.connect(url) as connection:
        for setting in settings:
            connection.execute(sql.SQL(setting))
        return len(connection.execute(sql.SQL(statement)).fetchall())


@pytest.fixture
async def question(database: Database) -> None:
    """Store a question."""
    turn = await store_of(database).inbox.accept(incoming("1"))
    assert turn is not None


def bound_to(tenant_id: str) -> str:
    return f"SET LOCAL parley.tenant_id = '{tenant_id}'"


async def test_a_transaction_sees_the_rows_of_its_tenant_alone(question: None, database_url: str) -> None:
    assert seen(database_url, bound_to(THREAD.tenant_id)) == 1
    assert seen(database_url, bound_to("slack:other")) == 0
    of_another = f"{EVERY_ROW} WHERE tenant_id = '{THREAD.tenant_id}'"
    assert seen(database_url, bound_to("slack:other"), statement=of_another) == 0


async def test_a_transaction_without_a_tenant_sees_no_question(question: None, database_url: str) -> None:
    assert seen(database_url) == 0
    assert seen(database_url, bound_to(NO_TENANT)) == 0
    assert seen(database_url, bound_to(NO_TENANT), statement="SELECT turn_id FROM queued_turns()") == 1


async def test_a_node_that_is_not_told_the_tenant_shows_nothing(question: None, database_url: str) -> None:
    untold = "SET citus.propagate_set_commands TO 'none'"
    assert seen(database_url, untold, bound_to(THREAD.tenant_id)) == 0


async def test_a_role_that_bypasses_row_level_security_sees_all(question: None, admin_url: str) -> None:
    assert seen(admin_url, bound_to("slack:other")) == 1
