"""Reading a Slack channel's history with the real SDK, from a workspace that enforces Slack's rate limits."""

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
from bot.platforms.slack import web_client
from bot.platforms.slack.bot_tokens import StaticToken
from bot.platforms.slack.channel_history import LIMITED_INTERVAL, ChannelAccess, channel_source
from bot.types.conversation import Author
from knowledge.errors import SourceError
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions
from knowledge.sources.chat_channel import LOOK_BACK, ChannelSource
from knowledge.store import document_catalog
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_content import forwarded
from tests.doubles.slack_world import BOT_ID, BOT_USER
from tests.knowledge.fakes import WordEmbedder
from tests.slack.conftest import installed, slack_settings

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALICE = Author("U0ALICE", "alice")
BOB = Author("U0BOB", "bob")


def day(month: int, number: int, hour: int = 9) -> float:
    return datetime(2026, month, number, hour, tzinfo=UTC).timestamp()


class RecordedSleep:
    """Records pauses instead of sleeping. Waits that Slack asks for are real: the double checks them by the clock."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if float(seconds).is_integer() and seconds < LIMITED_INTERVAL:
            await asyncio.sleep(seconds)


def history(slack: SlackDouble, channel: str = "C0GENERAL", sleep: Any = None, now: datetime = NOW) -> ChannelSource:
    tokens = StaticToken(slack.bot_token)
    return channel_source(
        slack_settings(slack), lambda _: tokens, channel, sleep=sleep or RecordedSleep(), clock=lambda: now
    )


@pytest.fixture
async def parser() -> AsyncIterator[Parser]:
    parser = Parser()
    yield parser
    await parser.aclose()


@pytest.fixture
def ingestor(sessions: Sessions, parser: Parser) -> Ingestor:
    return Ingestor(sessions, WordEmbedder(), parser=parser, chunk_tokens=64)


@pytest.fixture
async def fast_slack() -> AsyncIterator[SlackDouble]:
    """A workspace whose minutes pass quickly."""
    async with SlackDouble(**installed(), pace=600.0) as double:
        yield double


def conversation(slack: SlackDouble) -> dict[str, Any]:
    """Add two months of messages with a thread, a mention and a file."""
    asked = slack.add_past("general", "alice", "How do we deploy? <@U0BOB>", day(11, 2))
    answer = slack.add_past("general", "bob", "With `make ship` &amp; patience.", day(11, 2, 10), asked.ts)
    late = slack.add_past("general", "alice", "Thanks <https://e.org|there>", day(11, 3), asked.ts)
    plan = slack.add_past("general", "bob", "The plan", day(11, 5), files=[{"name": "plan.pdf"}])
    old = slack.add_past("general", "alice", "Welcome everybody", day(9, 1))
    return {"asked": asked, "answer": answer, "late": late, "plan": plan, "old": old}


async def documents(source: ChannelSource, parser: Parser) -> dict[str, Document]:
    found = [item async for item in source.fetch() if isinstance(item, Fetched)]
    return {item.uri: await parser.parse(item) for item in found}


def exported(slack: SlackDouble) -> bytes:
    """Return the same channel as a Slack export."""
    days: dict[str, list[dict[str, Any]]] = {}
    for message in sorted(slack.messages("general"), key=lambda one: one.ts):
        days.setdefault(f"{datetime.fromtimestamp(float(message.ts), UTC):%Y-%m-%d}", []).append(
            slack.payload_with_thread(message)
        )
    users = [user.payload() for user in slack.world.users.values()]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("channels.json", json.dumps([{"name": "general"}]))
        archive.writestr("users.json", json.dumps(users))
        for name, messages in days.items():
            archive.writestr(f"general/{name}.json", json.dumps(messages))
    return buffer.getvalue()


async def test_a_channel_becomes_one_document_per_month(fast_slack: SlackDouble, parser: Parser) -> None:
    conversation(fast_slack)
    found = await documents(history(fast_slack), parser)
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


async def test_groups_dates_and_forwards_are_read_by_name(fast_slack: SlackDouble, parser: Parser) -> None:
    said = fast_slack.add_past("general", "ada", "The fair costs 5,000.", day(11, 1))
    text = "<!subteam^S0OPS> and <!subteam^S0HR> by <!date^1767225600^{date}|Jan 1> or <!date^1767225600^{date}>"
    shared = [forwarded(said, "ada", "general")]
    fast_slack.add_past("general", "bob", text, day(11, 2), attachments=shared)
    (read,) = (await documents(history(fast_slack), parser)).values()
    assert "bob, 2026-11-02 09:00: @ops and @group by Jan 1 or 2026-01-01 00:00 UTC\nada\nThe fair costs" in read.text
    assert [method for method, _ in fast_slack.calls].count("usergroups.list") == 1


async def test_the_api_and_the_export_give_the_same_document(fast_slack: SlackDouble, parser: Parser) -> None:
    messages = conversation(fast_slack)
    messages["old"].deleted = True
    (read,) = (await documents(history(fast_slack), parser)).values()
    export = await parser.parse(Fetched("export.zip", exported(fast_slack)))
    assert (read.text, read.blocks) == (export.text, export.blocks)


async def test_messages_of_the_bot_are_left_out(fast_slack: SlackDouble, parser: Parser) -> None:
    asked = fast_slack.add_past("general", "alice", "A question", day(11, 2))
    fast_slack.add_past("general", BOT_USER, "An answer", day(11, 2), asked.ts, bot_id=BOT_ID)
    (read,) = (await documents(history(fast_slack), parser)).values()
    assert "A question" in read.text
    assert "An answer" not in read.text


async def test_many_pages_within_slacks_limits(parser: Parser) -> None:
    """Slack allows bursts of ten and fifty calls a minute; ignoring its 429 would be a violation."""
    async with SlackDouble(**installed(), pace=60.0) as slack:
        for number in range(450):
            slack.add_past("general", "alice", f"word {number}", day(11, 2) + number)
        for number in range(15):
            root = slack.add_past("general", "bob", f"thread {number}", day(11, 4) + number)
            slack.add_past("general", "alice", f"reply {number}", day(11, 5) + number, root.ts)
        slack.limit_next("conversations.history", 1)
        sleep = RecordedSleep()
        (read,) = (await documents(history(slack, sleep=sleep), parser)).values()
        assert all(f"word {number}" in read.text for number in range(450))
        assert all(f"reply {number}" in read.text for number in range(15))
        assert sleep.pauses.count(1.0) >= 1


async def test_an_app_limited_to_one_request_a_minute_slows_down(parser: Parser) -> None:
    async with SlackDouble(**installed(), pace=600.0, distributed=True) as slack:
        for number in range(40):
            slack.add_past("general", "alice", f"word {number}", day(11, 2) + number)
        sleep = RecordedSleep()
        (read,) = (await documents(history(slack, sleep=sleep), parser)).values()
        assert all(f"word {number}" in read.text for number in range(40))
        assert LIMITED_INTERVAL in sleep.pauses


async def test_a_refresh_reads_only_changes(fast_slack: SlackDouble, ingestor: Ingestor, sessions: Sessions) -> None:
    messages = conversation(fast_slack)
    first = await ingestor.ingest([history(fast_slack)], tenant_id="t", audience="C0GENERAL")
    assert (first.documents, first.unchanged, first.failed) == (2, 0, ())
    fast_slack.calls.clear()
    again = await ingestor.ingest([history(fast_slack)], tenant_id="t", audience="C0GENERAL")
    assert (again.documents, again.unchanged, again.deleted) == (2, 2, 0)
    calls = [method for method, _ in fast_slack.calls if method.startswith("conversations.")]
    assert calls == ["conversations.info", "conversations.history"]
    fast_slack.add_past("general", "bob", "One more step", day(11, 4), messages["asked"].ts)
    messages["plan"].versions.append(fast_slack.world.version("The other plan"))
    messages["late"].deleted = True
    fast_slack.add_past("general", "alice", "News", day(11, 19))
    changed = await ingestor.ingest([history(fast_slack)], tenant_id="t", audience="C0GENERAL")
    assert (changed.documents, changed.unchanged, changed.deleted) == (2, 1, 0)
    text = await text_of(sessions, "slack:C0GENERAL/2026-11")
    assert ["One more step" in text, "The other plan" in text, "News" in text, "Thanks" in text] == [True] * 3 + [False]


async def text_of(sessions: Sessions, uri: str) -> str:
    async with sessions("t") as session:
        (row,) = [row for row in await document_catalog.list_documents(session, "t") if row.source == uri]
        return (await document_catalog.show(session, "t", row.id)).text


async def test_messages_before_the_look_back_are_kept(
    fast_slack: SlackDouble, ingestor: Ingestor, sessions: Sessions
) -> None:
    root = fast_slack.add_past("general", "alice", "An early question", day(10, 2))
    reply = fast_slack.add_past("general", "bob", "An early answer", day(10, 3), root.ts)
    fast_slack.add_past("general", "alice", "Later in October", day(10, 28))
    await ingestor.ingest([history(fast_slack)], tenant_id="t")
    root.deleted = reply.deleted = True
    fast_slack.add_past("general", "bob", "And later still", day(10, 30))
    report = await ingestor.ingest([history(fast_slack)], tenant_id="t")
    assert (report.documents, report.unchanged, report.failed) == (1, 0, ())
    text = await text_of(sessions, "slack:C0GENERAL/2026-10")
    assert all(words in text for words in ("An early question", "An early answer", "Later in", "And later still"))


async def test_an_interrupted_reading_continues_where_it_stopped(fast_slack: SlackDouble, ingestor: Ingestor) -> None:
    for month in (11, 9, 8, 7):
        fast_slack.add_past("general", "alice", f"Said in month {month}", day(month, 2))
    calls = 0

    async def failing_sleep(seconds: float) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise SourceError("Slack cannot be reached; try again later.")

    report = await ingestor.ingest([history(fast_slack, sleep=failing_sleep)], tenant_id="t")
    assert (report.documents, report.deleted, len(report.failed)) == (2, 0, 1)
    fast_slack.calls.clear()
    rest = await ingestor.ingest([history(fast_slack)], tenant_id="t")
    assert (rest.documents, rest.unchanged, rest.failed) == (4, 2, ())
    until = [args.get("latest") for method, args in fast_slack.calls if method == "conversations.history"]
    look_back = (NOW - LOOK_BACK).timestamp()
    assert until == [None, *(f"{moment:.6f}" for moment in (look_back, day(9, 1, 0), day(8, 1, 0), day(7, 1, 0)))]


@pytest.mark.parametrize(
    ("channel", "words"), [("C0RANDOM", "not in #random. Invite me"), ("C0NOWHERE", "no such channel")]
)
async def test_a_channel_without_the_bot(fast_slack: SlackDouble, channel: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        [item async for item in history(fast_slack, channel).fetch()]


async def test_a_missing_permission_is_named() -> None:
    options = {**installed(), "scopes": set(installed()["scopes"]) - {"channels:history"}}
    async with SlackDouble(**options) as slack:
        with pytest.raises(SourceError, match="lacks channels:history"):
            [item async for item in history(slack).fetch()]
        assert [violation.partition(":")[0] for violation in slack.violations] == ["conversations.history"]
        slack.violations.clear()


async def test_which_users_may_ingest_a_channel(slack: SlackDouble) -> None:
    async with web_client.http_session() as session:
        clients = web_client.create_clients(slack_settings(slack), session, StaticToken(slack.bot_token))
        channels = ChannelAccess(clients.retrying)
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
