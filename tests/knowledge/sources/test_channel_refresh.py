"""Later readings of a chat channel: which messages they read, and which they leave alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions
from knowledge.sources.chat_channel import ChannelSource, Entry, Post
from knowledge.store.message_erasure import erase_messages
from tests.knowledge.fakes import WordEmbedder


@dataclass
class Channel:
    """A channel with its messages, newest first."""

    messages: list[Post] = field(default_factory=list)

    def say(self, at: datetime, words: str, by: str = "ann") -> None:
        key = f"{at.timestamp():.6f}"
        entry = {"user": by, "text": words, "ts": key}
        self.messages.insert(0, Post(key, at.timestamp(), entry))

    async def posts(self, *, after: datetime | None, before: datetime | None) -> AsyncIterator[Post]:
        for post in self.messages:
            at = datetime.fromtimestamp(post.at, UTC)
            if (after is None or at >= after) and (before is None or at < before):
                yield post

    async def replies(self, post: Post) -> tuple[Entry, ...]:
        return ()

    def export(self, entries: Sequence[Entry]) -> bytes:
        return json.dumps({"slack_channel": "general", "messages": list(entries)}).encode()


@dataclass
class Readings:
    """Reads a channel at given times."""

    sessions: Sessions
    parser: Parser
    channel: Channel = field(default_factory=Channel)

    async def read(self, now: datetime) -> None:
        @asynccontextmanager
        async def open_channel() -> AsyncIterator[Channel]:
            yield self.channel

        source = ChannelSource("slack:C1", open_channel, clock=lambda: now)
        ingestor = Ingestor(self.sessions, WordEmbedder(), parser=self.parser, chunk_tokens=64, clock=lambda: now)
        report = await ingestor.ingest([source], tenant_id="t")
        assert report.failed == ()

    async def texts(self) -> str:
        async with self.sessions("t") as session:
            return "\n".join(await session.scalars(text("SELECT text FROM documents ORDER BY uri")))


async def test_messages_since_a_reading_long_ago_are_read(sessions: Sessions, parser: Parser) -> None:
    readings = Readings(sessions, parser)
    july = datetime(2026, 7, 10, 12, tzinfo=UTC)
    readings.channel.say(july - timedelta(days=40), "Said in May")
    readings.channel.say(july - timedelta(days=1), "Said before the first reading")
    await readings.read(july)
    readings.channel.say(july + timedelta(days=5), "Said in July")
    readings.channel.say(july + timedelta(days=40), "Said in August")
    readings.channel.say(july + timedelta(days=85), "Said early in October")
    readings.channel.say(july + timedelta(days=99), "Said yesterday")
    await readings.read(july + timedelta(days=100))
    found = await readings.texts()
    assert [words for words in (post.entry["text"] for post in readings.channel.messages) if words not in found] == []


async def test_erased_messages_of_an_early_month_are_not_read_again(sessions: Sessions, parser: Parser) -> None:
    readings = Readings(sessions, parser)
    july = datetime(2026, 7, 10, 12, tzinfo=UTC)
    readings.channel.say(july - timedelta(days=130), "Said in March by ann", "ann")
    readings.channel.say(july - timedelta(days=100), "Said in April by bob", "bob")
    readings.channel.say(july - timedelta(days=70), "Said in May by ann", "ann")
    readings.channel.say(july - timedelta(days=69), "Said in May by bob", "bob")
    readings.channel.say(july - timedelta(days=1), "Said in July by ann", "ann")
    await readings.read(july)
    async with sessions("t") as session:
        assert await erase_messages(session, tenant_id="t", user_id="bob") == 2
    await readings.read(july + timedelta(days=1))
    found = await readings.texts()
    assert "Said in May by ann" in found
    assert "bob" not in found
