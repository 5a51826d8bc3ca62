"""Every statement of the stores keeps the rules of a PostgreSQL that distributes tables by ``tenant_id``.

The operations of the stores run one after the other, as in ``test_lock_conflicts``; their statements are recorded.
"""

from __future__ import annotations

from contextlib import aclosing

import pytest

from bot.store.database.session import Database
from knowledge.parsing.isolation.sandbox import Parser
from tests.store import knowledge_operations, turn_operations
from tests.store.distribution_rules import Catalog, broken_rules
from tests.store.statement_recorder import Sent, recorded_statements
from tests.store.syntax_tree import parsed

TURN = {**turn_operations.OPERATIONS, **turn_operations.SHORT_OPERATIONS}


def faults(statements: set[Sent], url: str) -> list[str]:
    """Return a line for each broken rule, with the statement."""
    catalog = Catalog.read(url)
    return sorted(
        f"{rule}: {' '.join(sent.sql.split())[:300]}" for sent in statements for rule in broken_rules(sent, catalog)
    )


async def test_the_statements_that_change_conversations_can_be_distributed(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed("SELECT 1")
    sent: set[Sent] = set()
    for name, operation in TURN.items():
        scene = await turn_operations.build_scene(database, name)
        with recorded_statements(monkeypatch) as found:
            await operation(scene)
        sent |= found
    assert len(sent) > 100
    assert faults(sent, database_url) == []


async def test_the_statements_that_change_documents_can_be_distributed(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed("SELECT 1")
    sent: set[Sent] = set()
    async with aclosing(Parser()) as parser:
        for operation in knowledge_operations.OPERATIONS.values():
            scene = await knowledge_operations.build_scene(database, parser)
            with recorded_statements(monkeypatch) as found:
                await operation(scene)
            sent |= found
    assert len(sent) > 80
    assert faults(sent, database_url) == []


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        (
            "INSERT INTO threads (tenant_id) VALUES ($1) ON CONFLICT (tenant_id) DO UPDATE SET updated_at = now()",
            "DO UPDATE has now()",
        ),
        (
            "INSERT INTO page_commands (tenant_id) VALUES ($1) ON CONFLICT (tenant_id) DO UPDATE SET seq = DEFAULT",
            "DO UPDATE has SetToDefault",
        ),
        (
            "UPDATE turns SET started_at = coalesce(started_at, now()) WHERE tenant_id = $1",
            "CASE or COALESCE has now()",
        ),
        (
            "UPDATE turns SET deliver_at = now() + (now() - finished_at) WHERE tenant_id = $1",
            "a time and an interval are added, and one of them is a column",
        ),
        (
            "UPDATE turns SET trace = jsonb_build_object('a', fence) WHERE tenant_id = $1",
            "jsonb_build_object() has a column as its argument",
        ),
        ("UPDATE turns SET fence = 1 WHERE tenant_id = $1 RETURNING now()", "RETURNING has now()"),
        (
            "UPDATE ingests SET state = CASE state WHEN 'waiting' THEN 'stopped' ELSE state END WHERE tenant_id = $1",
            "CASE has a value before WHEN",
        ),
        ("DELETE FROM turns WHERE tenant_id = $1 AND turn_id = gen_random_uuid()", "a change has gen_random_uuid()"),
        (
            "DELETE FROM facts WHERE tenant_id = $1 AND (kind, text) IN "
            "(SELECT kind, text FROM facts WHERE tenant_id = $1)",
            "several columns are compared with a query",
        ),
        (
            "INSERT INTO messages (tenant_id, text) SELECT $1, word FROM unnest(CAST($2 AS text[])) AS new (word)",
            "INSERT ... SELECT has neither ON CONFLICT nor RETURNING",
        ),
        (
            "INSERT INTO messages (tenant_id, text) SELECT tenant_id, text FROM messages WHERE tenant_id = $1",
            "INSERT ... SELECT has neither ON CONFLICT nor RETURNING",
        ),
        (
            "INSERT INTO facts (tenant_id) SELECT tenant_id FROM facts WHERE tenant_id = $1 AND random() < 0.5",
            "INSERT ... SELECT has neither ON CONFLICT nor RETURNING",
        ),
        (
            "INSERT INTO documents (tenant_id, uri) SELECT $1, uri FROM unnest(CAST($2 AS text[])) AS new (uri) "
            "ON CONFLICT (tenant_id) DO UPDATE SET uri = $3",
            "DO UPDATE of an INSERT ... SELECT has a parameter",
        ),
        (
            "INSERT INTO reply_parts (tenant_id) SELECT tenant_id FROM turns WHERE tenant_id = $1 FOR SHARE",
            "a query to insert locks rows",
        ),
        ("SELECT pg_notify('parley', platform) FROM turns WHERE tenant_id = $1", "pg_notify() runs on a node"),
        ("SELECT turn_id FROM turns WHERE turn_id = $1", "turns is not bound to the tenant"),
        (
            "SELECT 1 FROM turns JOIN threads ON turns.thread_uid = threads.thread_uid WHERE turns.tenant_id = $1",
            "threads is not bound to the tenant",
        ),
        (
            "SELECT 1 FROM answers WHERE tenant_id = $1 AND EXISTS ("
            "SELECT FROM jsonb_each_text(documents) AS cited (id, hash) WHERE hash = "
            "(SELECT content_hash FROM documents WHERE documents.tenant_id = answers.tenant_id))",
            "documents is not bound to the tenant",
        ),
    ],
)
def test_each_rule_is_noticed_when_it_is_broken(database_url: str, statement: str, rule: str) -> None:
    assert broken_rules(Sent(statement, (), has_tenant=True), Catalog.read(database_url)) == [rule]
