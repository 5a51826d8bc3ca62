"""Auto-answer in a channel: questions with strong evidence are answered, everything else is ignored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bot.engine.answer.retrieval import is_confident
from bot.engine.dispatch.auto_answer import AutoAnswer, ChannelRateLimit, is_question
from bot.store import tenants
from bot.store.schema import ledger, turns
from bot.types.audience import MEMBERS
from bot.types.conversation import Author, Incoming, ThreadKey
from bot.types.settings import ChannelSettings
from knowledge.types.search_results import Found
from tests.doubles.slack import SlackDouble
from tests.engine.fakes import FakeStores, passage
from tests.slack.test_end_to_end import finished, ingest_document, running


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("How many days of paid leave do I have?", True),
        ("Does anybody know (really know?) where that is", True),
        ("really?", False),
        ("See https://a.example/?q=1 for the notes of today", False),
        ("Lunch at twelve, see you all there", False),
        ("word " * 400 + "?", False),
    ],
)
def test_detecting_questions(text: str, asks: bool) -> None:
    assert is_question(text) is asks


def test_only_strong_evidence_is_confident() -> None:
    found = Found((passage("x"),), {}, 0.9, 1, weak_below=0.4)
    assert is_confident(found)
    assert not is_confident(replace(found, confidence=0.6))
    assert not is_confident(replace(found, passages=()))


def asking(text: str = "How many days of leave are there?") -> Incoming:
    return Incoming(
        ThreadKey("local", "slack", "C1", "1.0"),
        "1.0",
        Author("U1", "alice"),
        text,
        "overheard",
        datetime.now(UTC),
        audience=MEMBERS,
    )


@pytest.mark.parametrize(
    ("channel", "used", "expected", "searched"),
    [
        (ChannelSettings(auto_answer=True), 0, True, 1),
        (ChannelSettings(), 0, False, 0),
        (ChannelSettings(auto_answer=True, paused="later"), 0, False, 0),
        (ChannelSettings(auto_answer=True), 98_000, False, 0),
    ],
)
async def test_ignored_messages_cost_nothing(
    channel: ChannelSettings, used: int, expected: bool, searched: int
) -> None:
    asked: list[Incoming] = []

    async def confident(incoming: Incoming, settings: ChannelSettings) -> bool:
        asked.append(incoming)
        return True

    auto_answer = AutoAnswer(FakeStores(channel=channel, used=used).stores, confident)
    assert await auto_answer.wants(asking()) is expected
    assert len(asked) == searched


def test_auto_answers_are_rate_limited() -> None:
    now = [0.0]
    limit = ChannelRateLimit(lambda: now[0], answers=2, seconds=60.0)
    for _ in range(2):
        assert limit.allow("t", "C1")
        limit.answered("t", "C1")
    assert not limit.allow("t", "C1")
    assert limit.allow("t", "C2")
    now[0] = 61.0
    assert limit.allow("t", "C1")


async def test_a_channel_with_auto_answer(slack: SlackDouble, database_url: str, tmp_path: Path) -> None:
    question = "How many days of paid leave does everybody at Lanternfish have a year?"
    async with running(slack, database_url, tmp_path) as app:
        await ingest_document(slack)
        async with app.database.tenant("local") as session:
            await tenants.set_channel_settings(
                session,
                tenant_id="local",
                channel_id="C0GENERAL",
                change=lambda current: replace(current, auto_answer=True),
            )
        unrelated = await slack.say("general", "bob", "Does anybody want to join for a run in the park tonight?")
        other_channel = await slack.say("secret", "alice", question)
        from_bot = await slack.say("general", "alice", question, subtype="bot_message")
        to_other_user = await slack.say("general", "bob", f"<@U0ADA> {question}")
        asked = await slack.say("general", "alice", question)
        await slack.until(lambda: finished(slack, asked))
        assert "30 days" in slack.replies(asked)[0].shown
        await slack.settled()
        for message in (other_channel, unrelated, from_bot, to_other_user):
            assert not slack.replies(message)
        async with app.database.tenant("local") as session:
            assert await session.scalar(select(func.count()).select_from(turns)) == 1, "ignored messages are not stored"
            assert (await session.scalar(select(func.count()).select_from(ledger)) or 0) <= 1
