"""Emoji below messages in Slack: ratings and their withdrawal, stopping an answer, and saving it to the documents."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sqlalchemy import text as sql

from bot.app import App
from bot.store.verified_answers import records
from bot.types.conversation import LOCAL_TENANT
from tests.doubles.models import ModelDouble, Reply
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import Message
from tests.slack.test_end_to_end import finished, ingest_document, running

QUESTION = "how many days of paid leave do I have?"


async def ratings(app: App) -> list[tuple[str, int]]:
    async with app.database.tenant(LOCAL_TENANT) as session:
        return [tuple(row) for row in await session.execute(sql("SELECT user_id, value FROM feedback ORDER BY 1"))]


async def answered(slack: SlackDouble) -> tuple[Message, Message]:
    asked = await slack.say("general", "alice", f"{slack.bot} {QUESTION}")
    await slack.until(lambda: finished(slack, asked))
    return asked, finished(slack, asked)[0]


async def test_thumbs_are_ratings_until_they_are_removed(slack: SlackDouble, database_url: str, tmp_path: Path) -> None:
    async with running(slack, database_url, tmp_path) as app:
        await ingest_document(slack)
        asked, answer = await answered(slack)
        alice, bob = slack.user_id("alice"), slack.user_id("bob")
        await slack.react(answer, "alice", "+1::skin-tone-3")
        await slack.react(answer, "bob", "thumbsdown")
        for message, emoji in ((answer, "eyes"), (asked, "+1"), (asked, "bookmark")):
            await slack.react(message, "ada", emoji)
        await slack.settled()
        assert await ratings(app) == sorted([(alice, 1), (bob, -1)])
        await slack.react(answer, "bob", "+1", removed=True)
        await slack.react(answer, "alice", "+1", removed=True)
        await slack.settled()
        assert await ratings(app) == [(bob, -1)], "what was not the rating withdraws nothing"


async def test_a_stop_sign_stops_the_answer_for_its_asker_and_admins_alone(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    async with ModelDouble() as models:
        models.script = lambda request: Reply("Thirty days. " * 20, piece=20, after=5, held=asyncio.Event())
        keys = {
            "anthropic_api_key": models.anthropic_key,
            "anthropic_base_url": models.anthropic_url,
            "openai_api_key": models.openai_key,
            "openai_base_url": models.openai_url,
            "embedding_model": "text-embedding-3-small",
        }
        async with running(slack, database_url, tmp_path, **keys):
            await ingest_document(slack)
            for who, below_question in (("alice", True), ("ada", False)):
                await stops(slack, who, below_question=below_question)


async def stops(slack: SlackDouble, who: str, *, below_question: bool) -> None:
    """Stop an answer with a stop sign below the question or the draft, after bob tried it too."""
    asked = await slack.say("general", "alice", f"{slack.bot} {QUESTION}")
    await slack.until(lambda: any("Thirty" in one.shown for one in slack.replies(asked)))
    (answer,) = slack.replies(asked)
    await slack.react(answer, "bob", "octagonal_sign")
    await slack.settled()
    assert "parley_stop" in answer.now.buttons
    await slack.react(asked if below_question else answer, who, "octagonal_sign")
    await slack.until(lambda: "parley_again" in answer.now.buttons)


async def test_a_bookmark_asks_an_admin_who_saves_the_answer(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    async with running(slack, database_url, tmp_path) as app:
        await ingest_document(slack)
        _, answer = await answered(slack)
        for _ in range(2):
            await slack.react(answer, "bob", "bookmark")
        direct = slack.world.direct(slack.user_id("ada"))
        await slack.until(lambda: slack.messages(direct.id))
        await slack.settled()
        (notice,) = slack.messages(direct.id)
        assert "bob proposes to save this answer" in notice.shown
        assert QUESTION in notice.shown
        await slack.click("parley_save", notice, "ada")
        await slack.until(lambda: any("Added 1 document" in one.shown for one in slack.messages(direct.id)))
        async with app.database.tenant(LOCAL_TENANT) as session:
            found = (await session.execute(sql("SELECT title, audience FROM documents ORDER BY title"))).all()
        await slack.click("parley_verify", notice, "ada")
        await slack.until(lambda: any("Verified as" in one.shown for one in slack.messages(direct.id)))
        async with app.database.tenant(LOCAL_TENANT) as session:
            (verified,) = await records.every(session, tenant_id=LOCAL_TENANT)
    assert (verified.questions, verified.audience) == ((QUESTION,), slack.channel("general").id)
    assert (verified.platform, verified.owner_id) == ("slack", slack.user_id("ada"))
    assert [tuple(row) for row in found] == [("Leave", "tenant"), (QUESTION, slack.channel("general").id)]
