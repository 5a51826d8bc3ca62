"""Tests that the page's files and the cards of commands are the same for every process, and how long they are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from bot.commands.base import File
from bot.errors import SurfaceError, UsageError
from bot.platforms.web.command_cards import CommandCard, StoredCommandCards
from bot.platforms.web.conversation_files import StoredPageFiles
from bot.platforms.web.json_views import FileView, MessageView, SourceView, ThreadView
from bot.store import maintenance
from bot.store.database.session import Database
from bot.types.conversation import LOCAL_TENANT

THREAD = "thread-0001"


@pytest.fixture
async def other_database(database_url: str) -> AsyncIterator[Database]:
    """The database of another process."""
    opened = Database(database_url)
    yield opened
    await opened.aclose()


async def test_a_file_is_read_by_another_process(database: Database, other_database: Database) -> None:
    here, there = StoredPageFiles(database), StoredPageFiles(other_database)
    data = bytes(range(256)) * 4
    key = await here.attach("plan\0.md", "text/markdown", data, "you")
    attachment = await there.attachment(key)
    assert (attachment.name, attachment.content_type, attachment.size) == (
        "plan\N{REPLACEMENT CHARACTER}.md",
        "text/markdown",
        1024,
    )
    assert await attachment.read() == await there.read(attachment.ref) == data
    assert await there.reply(key) is None, "an attached file cannot be fetched as a command's file"
    reply = await here.keep_reply(File("costs.csv", b"a,b", "text/csv"), "you")
    assert await there.reply(reply) == File("costs.csv", b"a,b", "text/csv")
    with pytest.raises(UsageError, match="no longer available"):
        await there.attachment(reply)


@pytest.mark.parametrize("key", ["a\0b", "\ud800", ""])
async def test_a_key_that_no_file_can_have_is_unknown(database: Database, key: str) -> None:
    files = StoredPageFiles(database)
    assert await files.reply(key) is None
    with pytest.raises(UsageError, match="no longer available"):
        await files.attachment(key)


async def test_the_oldest_files_are_deleted(database: Database) -> None:
    files = StoredPageFiles(database, max_files=3, max_bytes=100)
    keys = [await files.attach(f"{number}.txt", "text/plain", b"x" * 20, "you") for number in range(4)]
    assert [await files.read(key) for key in keys[1:]] == [b"x" * 20] * 3
    with pytest.raises(SurfaceError, match="Attach it again"):
        await files.read(keys[0])
    last = await files.attach("large.txt", "text/plain", b"y" * 90, "you")
    assert await files.read(last) == b"y" * 90
    with pytest.raises(UsageError, match="no longer available"):
        await files.attachment(keys[3])


async def test_files_and_cards_are_deleted_after_a_day(database: Database) -> None:
    files, cards = StoredPageFiles(database), StoredCommandCards(database)
    old, recent = [await files.attach("a.txt", "text/plain", b"x", "you") for _ in range(2)]
    for key in ("old", "recent"):
        await cards.write(card(key))
    async with database.tenant(LOCAL_TENANT) as session:
        for statement in (
            "UPDATE page_files SET created_at = now() - interval '25 hours' WHERE file_id = :id",
            "UPDATE page_commands SET updated_at = now() - interval '25 hours' WHERE command_id = :id",
        ):
            await session.execute(text(statement), {"id": old if "files" in statement else "c-old"})
    await maintenance.look(database, LOCAL_TENANT, now=datetime.now(UTC))
    assert await files.read(recent) == b"x"
    with pytest.raises(SurfaceError):
        await files.read(old)
    assert [one.id for one in (await cards.changes(0))[0]] == ["c-recent"]


async def test_each_change_of_a_card_is_read_once(database: Database, other_database: Database) -> None:
    here, there = StoredCommandCards(database, silent_seconds=0), StoredCommandCards(other_database)
    await asyncio.gather(*(here.write(card(f"{number}")) for number in range(250)))
    found: list[str] = []
    position = 0
    while batch := await there.changes(position):
        changed, after = batch
        if after == position:
            break
        position = after
        found += [one.id for one in changed]
    assert sorted(found) == sorted(f"c-{number}" for number in range(250))
    await here.write(card("7", final=True))
    (again,), _ = await there.changes(position)
    assert again == card("7", final=True), "a card survives its way through the database"
    assert "c-7" not in {one.id for one in await here.silent()}
    assert len(await here.silent()) == 249
    assert await there.silent() == [], "they gave a sign of life just now"


def card(key: str, *, final: bool = False) -> CommandCard:
    reply = MessageView(
        f"c-{key}", THREAD, "command", "Parley", "2026-01-01", ("<p>12 %</p>",), final=final, notes=("one",),
        sources=(SourceView(1, "Title", "quote", "uri", ("Heading",), 2),), actions=("stop",),
        file=FileView("a.csv", "api/files/k", image=False), reading="0123abcd",
    )  # fmt: skip
    question = MessageView(f"q-{key}", THREAD, "user", "Ann", "2026-01-01", ("<p>/costs</p>",))
    return CommandCard("you", ThreadView(THREAD, "/costs", "2026-01-01"), question, reply)
