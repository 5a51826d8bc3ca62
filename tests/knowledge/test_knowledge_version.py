"""Every change of what a search can find gives the tenant a new knowledge version, in the same transaction."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from sqlalchemy import text

from bot.store.database.session import Database
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.store.document_writes import GONE_READINGS
from knowledge.store.knowledge_version import read_version
from tests.store import knowledge_operations
from tests.store.knowledge_operations import TENANT, Scene

FOUND = {
    "chunks": ("chunk_id", "document_id", "audience", "header", "text", "heading", "window_start"),
    "documents": ("id", "uri", "title", "audience", "metadata", "text", "is_gone"),
    "sources": ("id", "uri", "audience"),
    "knowledge_state": ("model",),
}
"""Tables and columns that decide what a search finds, and what it says about a passage."""

SELECTED = {"documents": f"(SELECT *, gone_readings >= {GONE_READINGS} AS is_gone FROM documents)"}
"""A passage says that its document is gone."""


async def findable(database: Database) -> tuple[str, int]:
    """Return what a search can find, as JSON, and the knowledge version, from one snapshot."""
    async with database.tenant(TENANT) as session:
        await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        rows = {}
        for table, columns in FOUND.items():
            select = f"SELECT to_jsonb(stored) FROM {SELECTED.get(table, table)} AS stored WHERE tenant_id = :tenant"
            found = (await session.execute(text(select), {"tenant": TENANT})).scalars()
            rows[table] = sorted(json.dumps({name: row.get(name) for name in columns}) for row in found)
        return json.dumps(rows), await read_version(session, TENANT)


async def unnoticed(database: Database, parser: Parser, operation: Callable[[Scene], Awaitable[object]]) -> str:
    """Return ``changed``, ``unchanged`` or ``unnoticed``: changed without a new version."""
    scene = await knowledge_operations.build_scene(database, parser)
    rows, version = await findable(database)
    await operation(scene)
    rows_after, version_after = await findable(database)
    if rows == rows_after:
        return "unchanged"
    return "changed" if version_after > version else "unnoticed"


async def test_no_operation_changes_what_is_found_without_a_new_version(database: Database) -> None:
    async with aclosing(Parser()) as parser:
        ends = {
            name: await unnoticed(database, parser, operation)
            for name, operation in knowledge_operations.OPERATIONS.items()
        }
    assert [name for name, end in ends.items() if end == "unnoticed"] == []
    assert {name for name, end in ends.items() if end == "changed"} >= {
        "read a changed page",
        "read a page less",
        "read a new message",
        "upload",
        "delete a page",
        "delete an upload",
        "erase U1",
        "reembed",
    }
