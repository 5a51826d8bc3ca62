"""Reads the history of a Discord channel through the real library, under Discord's rate limits."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import discord as library
import pytest

from bot.errors import NotAllowed, UsageError
from bot.platforms.discord.channel_history import Channels, source
from bot.platforms.discord.client import ParleyClient
from bot.types.conversation import Author
from knowledge.errors import SourceError
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions
from knowledge.sources.chat_channel import ChannelSource
from knowledge.store import document_catalog
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched
from tests.discord_bot.conftest import settings_for
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import FORUM, Channel, Message
from tests.knowledge.fakes import WordEmbedder

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HISTORY = "GET /channels/{channel_id}/messages"


def day(month: int, number: int, hour: int = 9) -> float:
    return datetime(2026, month, number, hour, tzinfo=UTC).timestamp()


@pytest.fixture
async def server() -> AsyncIterator[DiscordDouble]:
    """A server that allows five history requests in half a second."""
    async with DiscordDouble(limits={HISTORY: (5, 0.5)}) as double:
        yield double
    assert double.violations == []


@pytest.fixture
async def parser() -> AsyncIterator[Parser]:
    parser = Parser()
    yield parser
    await parser.aclose()


@pytest.fixture
def ingestor(sessions: Sessions, parser: Parser) -> Ingestor:
    return Ingestor(sessions, WordEmbedder(), parser=parser, chunk_tokens=64)


def history(server: DiscordDouble, channel: Channel) -> ChannelSource:
    return source(settings_for(server), str(channel.id), clock=lambda: NOW)


async def documents(made: ChannelSource, parser: Parser) -> dict[str, Document]:
    found = [item async for item in made.fetch() if isinstance(item, Fetched)]
    return {item.uri: await parser.parse(item) for item in found}


async def text_of(sessions: Sessions, uri: str) -> str:
    async with sessions("t") as session:
        (row,) = [row for row in await document_catalog.list_documents(session, "t") if row.source == uri]
        return (await document_catalog.show(session, "t", row.id)).text


def conversation(server: DiscordDouble) -> Channel:
    """Return a channel with a question in a thread, a remark with a reply, and a thread without a starter message."""
    place, alice, bob = server.channel("general"), server.user("Alice"), server.user("Bob")
    asked = server.world.add_past_message(place, alice, f"How do we deploy? {bob.mention}", day(11, 2))
    thread = server.world.add_past_thread(place, "Deploying", day(11, 2), asked)
    first = server.world.add_past_message(thread, bob, "With make ship.", day(11, 2, 10))
    server.world.add_past_message(thread, alice, "Thanks.", day(11, 2, 11), reply_to=first)
    remark = server.world.add_past_message(place, bob, "Lunch at noon.", day(11, 5))
    server.world.add_past_message(place, alice, "I am in.", day(11, 5, 10), reply_to=remark)
    alone = server.world.add_past_thread(place, "Planning", day(11, 6))
    line = server.world.add_past_message(place, alice, "Planning", day(11, 6), kind=18)
    line.reference = {"channel_id": str(alone.id)}
    server.world.add_past_message(alone, bob, "Next year then.", day(11, 7))
    server.world.add_past_message(place, alice, "Welcome everybody", day(9, 1))
    server.world.add_past_message(place, server.bot, "An answer of mine", day(11, 8))
    return place


async def test_a_channel_becomes_one_document_per_month(server: DiscordDouble, parser: Parser) -> None:
    place = conversation(server)
    found = await documents(history(server, place), parser)
    assert list(found) == [f"discord:{place.id}/2026-11", f"discord:{place.id}/2026-09"]
    november = found[f"discord:{place.id}/2026-11"]
    assert november.title == "Lanternfish #general"
    assert november.text.split("\n\n") == [
        "#general",
        "Thread of Alice, 2026-11-02: How do we deploy? @Bob",
        "Alice, 2026-11-02 09:00: How do we deploy? @Bob",
        "Bob, 2026-11-02 10:00: With make ship.",
        "Alice, 2026-11-02 11:00: Thanks.",
        "Thread of Bob, 2026-11-05: Lunch at noon.",
        "Bob, 2026-11-05 09:00: Lunch at noon.",
        "Alice, 2026-11-05 10:00: I am in.",
        "2026-11-07",
        "Bob, 2026-11-07 09:00: Planning\nNext year then.",
    ]


async def test_channels_and_threads_are_named_unless_they_are_private(server: DiscordDouble, parser: Parser) -> None:
    place, other, alice = server.channel("general"), server.channel("releases"), server.user("Alice")
    secret = server.channel("board")
    secret.hidden = True
    thread = server.world.add_past_thread(other, "Version 3", day(11, 4))
    text = f"See <#{other.id}>, <#{thread.id}>, <#{secret.id}> and <#999>."
    server.world.add_past_message(place, alice, text, day(11, 5))
    (read,) = (await documents(history(server, place), parser)).values()
    assert "See #releases, #Version 3, #private-channel and #unknown-channel." in read.text


async def test_the_api_and_the_export_give_the_same_document(server: DiscordDouble, parser: Parser) -> None:
    place, alice, bob = server.channel("general"), server.user("Alice"), server.user("Bob")
    remark = server.world.add_past_message(place, bob, "Lunch at noon.", day(11, 5))
    server.world.add_past_message(place, alice, "I am in.", day(11, 5, 10), reply_to=remark)
    server.world.add_past_message(place, alice, "Other things", day(11, 6))
    (read,) = (await documents(history(server, place), parser)).values()
    messages = [_exported(message) for message in server.messages(place)]
    export = {"guild": {"name": "Lanternfish"}, "channel": {"type": "GuildTextChat", "name": "general"}}
    parsed = await parser.parse(Fetched("general.json", json.dumps(export | {"messages": messages}).encode()))
    assert (read.title, read.text, read.blocks) == (parsed.title, parsed.text, parsed.blocks)


def _exported(message: Message) -> dict[str, Any]:
    """Return a message in the format of DiscordChatExporter."""
    at = library.utils.snowflake_time(message.id).isoformat()
    entry: dict[str, Any] = {
        "id": str(message.id),
        "type": "Reply" if message.reference else "Default",
        "timestamp": at,
    }
    entry |= {
        "content": message.content,
        "author": {"name": message.author.name.lower(), "nickname": message.author.name},
    }
    return entry | ({"reference": {"messageId": message.reference["message_id"]}} if message.reference else {})


async def test_the_posts_of_a_forum_are_threads(server: DiscordDouble, parser: Parser) -> None:
    forum, alice, bob = server.channel("help", FORUM), server.user("Alice"), server.user("Bob")
    for number, archived in ((3, False), (4, True)):
        post = server.world.add_past_thread(forum, f"Question {number}", day(11, number))
        starter = Message(post.id, post.id, alice, f"What is {number}?", flags=0)
        post.messages[post.id] = starter
        server.world.add_past_message(post, bob, f"It is {number}.", day(11, number, 10))
        post.archived = archived
    (read,) = (await documents(history(server, forum), parser)).values()
    assert read.text.split("\n\n") == [
        "#help",
        "Thread of Alice, 2026-11-03: Question 3 What is 3?",
        "Alice, 2026-11-03 09:00: Question 3\nWhat is 3?",
        "Bob, 2026-11-03 10:00: It is 3.",
        "Thread of Alice, 2026-11-04: Question 4 What is 4?",
        "Alice, 2026-11-04 09:00: Question 4\nWhat is 4?",
        "Bob, 2026-11-04 10:00: It is 4.",
    ]


async def test_many_pages_within_discords_limits(server: DiscordDouble, parser: Parser) -> None:
    place, alice = server.channel("general"), server.user("Alice")
    for number in range(750):
        server.world.add_past_message(place, alice, f"word {number}", day(11, 2) + number)
    (read,) = (await documents(history(server, place), parser)).values()
    assert all(f"word {number}" in read.text for number in range(750))


async def test_a_refresh_reads_only_changes(server: DiscordDouble, ingestor: Ingestor, sessions: Sessions) -> None:
    place = conversation(server)
    first = await ingestor.ingest([history(server, place)], tenant_id="t", audience=str(place.id))
    assert (first.documents, first.unchanged, first.failed) == (2, 0, ())
    server.rest.calls.clear()
    again = await ingestor.ingest([history(server, place)], tenant_id="t", audience=str(place.id))
    assert (again.documents, again.unchanged, again.deleted) == (2, 2, 0)
    assert sum(path.endswith("/messages") for _, path in server.rest.calls) == 1
    thread = next(channel for channel in server.world.channels.values() if channel.name == "Deploying")
    server.world.add_past_message(thread, server.user("Bob"), "One more step", day(11, 9))
    lunch = next(message for message in server.messages(place) if message.content == "Lunch at noon.")
    lunch.content = "Lunch at one."
    next(message for message in server.messages(place) if message.content == "I am in.").deleted = True
    changed = await ingestor.ingest([history(server, place)], tenant_id="t", audience=str(place.id))
    assert (changed.documents, changed.unchanged, changed.deleted, changed.failed) == (2, 1, 0, ())
    text = await text_of(sessions, f"discord:{place.id}/2026-11")
    assert ["One more step" in text, "Lunch at one" in text, "I am in" in text] == [True, True, False]


@pytest.mark.parametrize(
    ("denied", "kind", "reason"),
    [
        ({"view_channel"}, 0, "View Channel"),
        ({"read_message_history"}, 0, "Read Message History"),
        (set(), 4, "not a channel"),
    ],
)
async def test_a_channel_that_cannot_be_read(server: DiscordDouble, denied: set[str], kind: int, reason: str) -> None:
    place = server.channel("general", kind)
    place.denied = denied
    with pytest.raises(SourceError, match=reason):
        [item async for item in history(server, place).fetch()]


async def test_an_unknown_channel_is_reported(server: DiscordDouble) -> None:
    with pytest.raises(SourceError, match="no such channel"):
        [item async for item in source(settings_for(server), "12345").fetch()]


async def test_a_refused_token_is_reported_in_one_line(server: DiscordDouble) -> None:
    made = source(settings_for(server, discord_token="wrong.token.here"), str(server.channel("general").id))
    with pytest.raises(SourceError, match="DISCORD_TOKEN"):
        [item async for item in made.fetch()]


class _Text(library.TextChannel):
    """A text channel with given permissions; nothing else is used."""

    def __init__(self, guild: Any, *, readable_by: set[Any]) -> None:
        self.guild = guild
        self.name = "general"
        self._readable_by = readable_by

    def permissions_for(self, who: Any, /) -> library.Permissions:
        return library.Permissions(view_channel=who in self._readable_by, read_message_history=who in self._readable_by)


async def test_who_may_ingest_which_channel() -> None:
    guild = SimpleNamespace(id=1, me="me", default_role="everyone")
    alice, bob = cast(Any, _Person(guild)), cast(Any, _Person(guild))
    rooms: dict[int, Any] = {
        1: _Text(guild, readable_by={"me", "everyone", alice, bob}),
        2: _Text(guild, readable_by={"me", alice}),
        3: _Text(guild, readable_by={"everyone", alice}),
        4: _Text(SimpleNamespace(id=2), readable_by={"me", alice}),
    }
    client = cast(ParleyClient, SimpleNamespace(get_channel=rooms.get))
    by = Author("1", "alice")
    assert (await Channels(client, alice).readable("1", by)).public
    assert not (await Channels(client, alice).readable("2", by)).public
    for member, channel, error, words in (
        (bob, "2", NotAllowed, "no permission to read that channel, so you"),
        (alice, "3", UsageError, "Read Message History"),
        (alice, "4", NotAllowed, "another server"),
        (alice, "9", UsageError, "no such channel"),
        (alice, "x", UsageError, "no such channel"),
    ):
        with pytest.raises(error, match=words):
            await Channels(client, member).readable(channel, by)


class _Person(library.Member):
    """A member of a server; nothing else is used."""

    def __init__(self, guild: Any) -> None:
        self.guild = guild

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other
