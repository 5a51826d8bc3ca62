"""A person who is erased says nothing any more in a channel's history that was read; the others still do."""

from __future__ import annotations

import json

from sqlalchemy import text

from bot.store import privacy
from bot.store.session import Database
from bot.types.conversation import LOCAL_TENANT
from knowledge.ingest import Ingestor
from knowledge.parsing.sandbox import Parser
from tests.doubles.slack import SlackDouble
from tests.knowledge.fakes import WordEmbedder
from tests.slack.test_history import brisk, day, history, parser

__all__ = ["brisk", "parser"]

CANARY = "zanzibarquokka"


async def told(database: Database, what: str) -> str:
    """Every row of a table as text."""
    async with database.tenant(LOCAL_TENANT) as session:
        return "\n".join(await session.scalars(text(f"SELECT to_jsonb(t)::text FROM {what} t")))


def talk(slack: SlackDouble) -> None:
    asked = slack.past("general", "alice", "How do we deploy to production?", day(8, 2))
    slack.past("general", "bob", f"With the {CANARY}, of course.", day(8, 2, 10), asked.ts)
    own = slack.past("general", "bob", f"My {CANARY} is ill.", day(8, 4))
    slack.past("general", "alice", "Get well soon, whoever it is.", day(8, 4, 10), own.ts)
    slack.past("general", "alice", "November has begun.", day(11, 2))
    slack.past("general", "bob", f"Only the {CANARY} and me here.", day(7, 4))


async def test_a_persons_messages_go_from_text_index_and_what_the_source_keeps(
    brisk: SlackDouble, parser: Parser, database: Database
) -> None:
    talk(brisk)
    ingestor = Ingestor(database.tenant, WordEmbedder(), parser=parser, chunk_tokens=64)
    await ingestor.ingest([history(brisk)], tenant_id=LOCAL_TENANT)
    async with database.tenant(LOCAL_TENANT) as session:
        kept = await privacy.export(session, tenant_id=LOCAL_TENANT, user_id="U0BOB")
        done = await privacy.erase(session, tenant_id=LOCAL_TENANT, user_id="U0BOB")
    assert [one["document"] for one in kept["channel_messages"]] == [
        "slack:C0GENERAL/2026-07",
        "slack:C0GENERAL/2026-08",
        "slack:C0GENERAL/2026-08",
    ]
    assert done["documents"] == 2
    for table in ("documents", "chunks", "sources"):
        left = await told(database, table)
        assert CANARY not in left
        assert "U0BOB" not in left
    assert "November has begun." in await told(database, "chunks")

    report = await ingestor.ingest([history(brisk)], tenant_id=LOCAL_TENANT)
    assert report.failed == ()
    again = await told(database, "documents")
    assert "How do we deploy to production?" in again
    assert "Get well soon" in again
    (august,) = [row for row in again.splitlines() if "slack:C0GENERAL/2026-08" in row]
    assert json.loads(august)["state"] == "ready"
    assert "How do we deploy" in json.loads(august)["text"]
    assert "U0BOB" not in august
    assert CANARY not in august


async def test_who_said_nothing_changes_nothing(brisk: SlackDouble, parser: Parser, database: Database) -> None:
    talk(brisk)
    ingestor = Ingestor(database.tenant, WordEmbedder(), parser=parser, chunk_tokens=64)
    await ingestor.ingest([history(brisk)], tenant_id=LOCAL_TENANT)
    before = await told(database, "documents"), await told(database, "knowledge_state")
    async with database.tenant(LOCAL_TENANT) as session:
        done = await privacy.erase(session, tenant_id=LOCAL_TENANT, user_id="U0CAROL")
    assert done["documents"] == 0
    assert before == (await told(database, "documents"), await told(database, "knowledge_state"))
