"""Erasing a user removes their messages from ingested channel history and keeps everyone else's."""

from __future__ import annotations

import json

from sqlalchemy import text

from bot.store.database.session import Database
from bot.store.privacy import data_export, erasure
from bot.types.conversation import LOCAL_TENANT
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from tests.doubles.slack import SlackDouble
from tests.knowledge.fakes import WordEmbedder
from tests.slack.test_channel_history import day, fast_slack, history, parser

__all__ = ["fast_slack", "parser"]

CANARY = "zanzibarquokka"


async def table_text(database: Database, table: str) -> str:
    """Return every row of a table as text."""
    async with database.tenant(LOCAL_TENANT) as session:
        return "\n".join(await session.scalars(text(f"SELECT to_jsonb(t)::text FROM {table} t")))


def add_conversation(slack: SlackDouble) -> None:
    asked = slack.add_past("general", "alice", "How do we deploy to production?", day(8, 2))
    slack.add_past("general", "bob", f"With the {CANARY}, of course.", day(8, 2, 10), asked.ts)
    own = slack.add_past("general", "bob", f"My {CANARY} is ill.", day(8, 4))
    slack.add_past("general", "alice", "Get well soon, whoever it is.", day(8, 4, 10), own.ts)
    slack.add_past("general", "alice", "November has begun.", day(11, 2))
    slack.add_past("general", "bob", f"Only the {CANARY} and me here.", day(7, 4))


async def test_a_users_messages_are_removed_from_text_index_and_source_state(
    fast_slack: SlackDouble, parser: Parser, database: Database
) -> None:
    add_conversation(fast_slack)
    ingestor = Ingestor(database.tenant, WordEmbedder(), parser=parser, chunk_tokens=64)
    await ingestor.ingest([history(fast_slack)], tenant_id=LOCAL_TENANT)
    async with database.tenant(LOCAL_TENANT) as session:
        exported = await data_export.export(session, tenant_id=LOCAL_TENANT, user_id="U0BOB")
        erased = await erasure.erase(session, tenant_id=LOCAL_TENANT, user_id="U0BOB")
    assert [one["document"] for one in exported["channel_messages"]] == [
        "slack:C0GENERAL/2026-07",
        "slack:C0GENERAL/2026-08",
        "slack:C0GENERAL/2026-08",
    ]
    assert erased["documents"] == 2
    for table in ("documents", "chunks", "sources"):
        remaining = await table_text(database, table)
        assert CANARY not in remaining
        assert "U0BOB" not in remaining
    assert "November has begun." in await table_text(database, "chunks")

    report = await ingestor.ingest([history(fast_slack)], tenant_id=LOCAL_TENANT)
    assert report.failed == ()
    again = await table_text(database, "documents")
    assert "How do we deploy to production?" in again
    assert "Get well soon" in again
    (august,) = [row for row in again.splitlines() if "slack:C0GENERAL/2026-08" in row]
    assert json.loads(august)["state"] == "ready"
    assert "How do we deploy" in json.loads(august)["text"]
    assert "U0BOB" not in august
    assert CANARY not in august


async def test_erasing_a_user_without_messages_changes_nothing(
    fast_slack: SlackDouble, parser: Parser, database: Database
) -> None:
    add_conversation(fast_slack)
    ingestor = Ingestor(database.tenant, WordEmbedder(), parser=parser, chunk_tokens=64)
    await ingestor.ingest([history(fast_slack)], tenant_id=LOCAL_TENANT)
    before = await table_text(database, "documents")
    async with database.tenant(LOCAL_TENANT) as session:
        erased = await erasure.erase(session, tenant_id=LOCAL_TENANT, user_id="U0CAROL")
    assert erased["documents"] == 0
    assert before == await table_text(database, "documents")
