"""The history of a Slack channel through the real SDK, from a workspace that keeps Slack's rate limits."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.errors import NotAllowed, UsageError
from bot.platforms.slack import connection
from bot.platforms.slack.history import SLOW_PAUSE, Channels, source
from bot.platforms.slack.tokens import Fixed
from bot.types.conversation import Author
from knowledge import document_catalog
from knowledge.errors import SourceError
from knowledge.ingest import Ingestor
from knowledge.parsing.sandbox import Parser
from knowledge.ports import Sessions
from knowledge.sources.chat_channel import LOOK_BACK, ChannelSource
from knowledge.types import Document, Fetched
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import BOT_ID, BOT_USER
from tests.knowledge.fakes import WordEmbedder
from tests.slack.conftest import installed, slack_settings

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALICE = Author("U0ALICE", "alice")
BOB = Author("U0BOB", "bob")


def day(month: int, number: int, hour: int = 9) -> float:
    return datetime(2026, month, number, hour, tzinfo=UTC).timestamp()


class Naps:
    """Counts the pauses instead of sleeping; what Slack itself asks to wait is waited for, as it goes by the clock."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        if float(seconds).is_integer() and seconds < SLOW_PAUSE:
            await asyncio.sleep(seconds)


def history(slack: SlackDouble, channel: str = "C0GENERAL", sleep: Any = None, now: datetime = NOW) -> ChannelSource:
    tokens = Fixed(slack.bot_token)
    return source(slack_settings(slack), lambda _: tokens, channel, sleep=sleep or Naps(), clock=lambda: now)


@pytest.fixture
async def parser() -> AsyncIterator[Parser]:
    parser = Parser()
    yield parser
    await parser.aclose()


@pytest.fixture
def ingestor(sessions: Sessions, parser: Parser) -> Ingestor:
    return Ingestor(sessions, WordEmbedder(), parser=parser, chunk_tokens=64)


@pytest.fixture
async def brisk() -> AsyncIterator[SlackDouble]:
    """A workspace whose minutes are short."""
    async with SlackDouble(**installed(), pace=600.0) as double:
        yield double


def conversation(slack: SlackDouble) -> dict[str, Any]:
    """Two months with a thread, a mention and a file."""
    asked = slack.past("general", "alice", "How do we deploy? <@U0BOB>", day(11, 2))
    answer = slack.past("general", "bob", "With `make ship` &amp; patience.", day(11, 2, 10), asked.ts)
    late = slack.past("general", "alice", "Thanks <https://e.org|there>", day(11, 3), asked.ts)
    plan = slack.past("general", "bob", "The plan", day(11, 5), files=[{"name": "plan.pdf"}])
    old = slack.past("general", "alice", "Welcome everybody", day(9, 1))
    return {"asked": asked, "answer": answer, "late": late, "plan": plan, "old": old}


async def documents(made: ChannelSource, parser: Parser) -> dict[str, Document]:
    found = [item async for item in made.fetch() if isinstance(item, Fetched)]
    return {item.uri: await parser.parse(item) for item in found}


def exported(slack: SlackDouble) -> bytes:
    """The same channel as Slack's own export has it."""
    days: dict[str, list[dict[str, Any]]] = {}
    for message in sorted(slack.messages("general"), key=lambda one: one.ts):
        days.setdefault(f"{datetime.fromtimestamp(float(message.ts), UTC):%Y-%m-%d}", []).append(slack.told(message))
    users = [user.payload() for user in slack.world.users.values()]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("channels.json", json.dumps([{"name": "general"}]))
        archive.writestr("users.json", json.dumps(users))
        for name, messages in days.items():
            archive.writestr(f"general/{name}.json", json.dumps(messages))
    return buffer.getvalue()


async def test_a_channel_becomes_a_document_a_month(brisk: SlackDouble, parser: Parser) -> None:
    conversation(brisk)
    found = await documents(history(brisk), parser)
    assert list(found) == ["slack:C0GENERAL/2026-11", "slack:C0GENERAL/2026-09"]
    november = found["slack:C0GENERAL/2026-11"]
    assert november.title == "#general"
    assert november.text.split("\n\n") == [
        "#general",
        "Thread of alice, 2026-11-02: How do we deploy? @bob",
        "alice, 2026-11-02 09:00: How do we deploy? @bob",
        "bob, 2026-11-02 10:00: With `make ship` & patience.",
        "alice, 2026-11-03 09:00: Thanks there (https://e.org)",
        "2026-11-05",
        "bob, 2026-11-05 09:00: The plan\n[file: plan.pdf]",
    ]


async def test_the_api_and_the_export_give_the_same_document(brisk: SlackDouble, parser: Parser) -> None:
    told = conversation(brisk)
    told["old"].deleted = True
    (read,) = (await documents(history(brisk), parser)).values()
    export = await parser.parse(Fetched("export.zip", exported(brisk)))
    assert (read.text, read.blocks) == (export.text, export.blocks)


async def test_what_the_bot_and_the_channel_itself_say_is_left_out(brisk: SlackDouble, parser: Parser) -> None:
    asked = brisk.past("general", "alice", "A question", day(11, 2))
    brisk.past("general", BOT_USER, "An answer", day(11, 2), asked.ts, bot_id=BOT_ID)
    (read,) = (await documents(history(brisk), parser)).values()
    assert "A question" in read.text
    assert "An answer" not in read.text


async def test_many_pages_within_slacks_limits(parser: Parser) -> None:
    """Ten calls at once and fifty a minute: more than that is answered by 429, and calling on would be a violation."""
    async with SlackDouble(**installed(), pace=60.0) as slack:
        for number in range(450):
            slack.past("general", "alice", f"word {number}", day(11, 2) + number)
        for number in range(15):
            root = slack.past("general", "bob", f"thread {number}", day(11, 4) + number)
            slack.past("general", "alice", f"reply {number}", day(11, 5) + number, root.ts)
        slack.limit_next("conversations.history", 1)
        naps = Naps()
        (read,) = (await documents(history(slack, sleep=naps), parser)).values()
        assert all(f"word {number}" in read.text for number in range(450))
        assert all(f"reply {number}" in read.text for number in range(15))
        assert naps.taken.count(1.0) >= 1


async def test_an_app_held_to_one_request_a_minute_finds_out(parser: Parser) -> None:
    async with SlackDouble(**installed(), pace=600.0, distributed=True) as slack:
        for number in range(40):
            slack.past("general", "alice", f"word {number}", day(11, 2) + number)
        naps = Naps()
        (read,) = (await documents(history(slack, sleep=naps), parser)).values()
        assert all(f"word {number}" in read.text for number in range(40))
        assert SLOW_PAUSE in naps.taken


async def test_a_refresh_reads_what_is_new(brisk: SlackDouble, ingestor: Ingestor, sessions: Sessions) -> None:
    told = conversation(brisk)
    first = await ingestor.ingest([history(brisk)], tenant_id="t", audience="C0GENERAL")
    assert (first.documents, first.unchanged, first.failed) == (2, 0, ())
    brisk.calls.clear()
    again = await ingestor.ingest([history(brisk)], tenant_id="t", audience="C0GENERAL")
    assert (again.documents, again.unchanged, again.deleted) == (2, 2, 0)
    calls = [method for method, _ in brisk.calls if method.startswith("conversations.")]
    assert calls == ["conversations.info", "conversations.history"]
    brisk.past("general", "bob", "One more step", day(11, 4), told["asked"].ts)
    told["plan"].versions.append(brisk.world.version("The other plan"))
    told["late"].deleted = True
    brisk.past("general", "alice", "News", day(11, 19))
    changed = await ingestor.ingest([history(brisk)], tenant_id="t", audience="C0GENERAL")
    assert (changed.documents, changed.unchanged, changed.deleted) == (2, 1, 0)
    text = await text_of(sessions, "slack:C0GENERAL/2026-11")
    assert ["One more step" in text, "The other plan" in text, "News" in text, "Thanks" in text] == [True] * 3 + [False]


async def text_of(sessions: Sessions, uri: str) -> str:
    async with sessions("t") as session:
        (row,) = [row for row in await document_catalog.list_documents(session, "t") if row.source == uri]
        return (await document_catalog.show(session, "t", row.id)).text


async def test_what_lies_before_the_look_back_is_kept(
    brisk: SlackDouble, ingestor: Ingestor, sessions: Sessions
) -> None:
    root = brisk.past("general", "alice", "An early question", day(10, 2))
    reply = brisk.past("general", "bob", "An early answer", day(10, 3), root.ts)
    brisk.past("general", "alice", "Later in October", day(10, 28))
    await ingestor.ingest([history(brisk)], tenant_id="t")
    root.deleted = reply.deleted = True
    brisk.past("general", "bob", "And later still", day(10, 30))
    report = await ingestor.ingest([history(brisk)], tenant_id="t")
    assert (report.documents, report.unchanged, report.failed) == (1, 0, ())
    text = await text_of(sessions, "slack:C0GENERAL/2026-10")
    assert all(words in text for words in ("An early question", "An early answer", "Later in", "And later still"))


async def test_a_reading_that_broke_off_goes_on_where_it_stopped(brisk: SlackDouble, ingestor: Ingestor) -> None:
    for month in (11, 9, 8, 7):
        brisk.past("general", "alice", f"Said in month {month}", day(month, 2))
    calls = 0

    async def breaking(seconds: float) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise SourceError("Slack cannot be reached; try again later.")

    report = await ingestor.ingest([history(brisk, sleep=breaking)], tenant_id="t")
    assert (report.documents, report.deleted, len(report.failed)) == (2, 0, 1)
    brisk.calls.clear()
    rest = await ingestor.ingest([history(brisk)], tenant_id="t")
    assert (rest.documents, rest.unchanged, rest.failed) == (4, 2, ())
    until = [args.get("latest") for method, args in brisk.calls if method == "conversations.history"]
    look_back = (NOW - LOOK_BACK).timestamp()
    assert until == [None, *(f"{moment:.6f}" for moment in (look_back, day(9, 1, 0), day(8, 1, 0), day(7, 1, 0)))]


@pytest.mark.parametrize(
    ("channel", "words"), [("C0RANDOM", "not in #random; invite me"), ("C0NOWHERE", "no such channel")]
)
async def test_a_channel_without_the_bot(brisk: SlackDouble, channel: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        [item async for item in history(brisk, channel).fetch()]


async def test_a_missing_permission_is_named() -> None:
    kept = {**installed(), "scopes": set(installed()["scopes"]) - {"channels:history"}}
    async with SlackDouble(**kept) as slack:
        with pytest.raises(SourceError, match="lacks channels:history"):
            [item async for item in history(slack).fetch()]
        assert [words.partition(":")[0] for words in slack.violations] == ["conversations.history"]
        slack.violations.clear()


async def test_who_may_have_which_channel_taken_in(slack: SlackDouble) -> None:
    async with connection.pool() as session:
        clients = connection.clients(slack_settings(slack), session, Fixed(slack.bot_token))
        channels = Channels(clients.patient)
        general = await channels.readable("C0GENERAL", BOB)
        assert (general.name, general.public) == ("general", True)
        secret = await channels.readable("C0SECRET", ALICE)
        assert (secret.name, secret.public) == ("secret", False)
        with pytest.raises(NotAllowed, match="not in that channel"):
            await channels.readable("C0SECRET", BOB)
        with pytest.raises(UsageError, match="not in #random"):
            await channels.readable("C0RANDOM", ALICE)
        with pytest.raises(UsageError, match="no such channel"):
            await channels.readable("C0NOWHERE", ALICE)
        with pytest.raises(NotAllowed, match="Direct messages"):
            await channels.readable("D0ALICE", ALICE)
        slack.channel("general").members.discard("U0BOB")
        await channels.readable("C0GENERAL", BOB)
        slack.world.users["U0BOB"].is_guest = True
        with pytest.raises(NotAllowed, match="not in that channel"):
            await channels.readable("C0GENERAL", BOB)
