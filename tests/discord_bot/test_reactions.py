"""Emoji below messages on Discord: ratings and their withdrawal, stopping an answer, and saving it to the documents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text as sql

from bot.app import App
from bot.store.verified_answers import records
from bot.types.conversation import LOCAL_TENANT
from tests.discord_bot.conftest import FAST_LIMITS
from tests.discord_bot.test_end_to_end import finished, ingest, is_shown, models, running
from tests.doubles.discord import DiscordDouble
from tests.doubles.models import ModelDouble, Reply

__all__ = ["models"]

QUESTION = "how many days of paid leave do I have?"


@pytest.fixture
async def discord() -> AsyncIterator[DiscordDouble]:
    async with DiscordDouble(limits=FAST_LIMITS) as double:
        double.channel("general")
        yield double
    assert double.violations == []


async def ratings(app: App) -> set[tuple[str, int]]:
    async with app.database.tenant(LOCAL_TENANT) as session:
        return {tuple(row) for row in await session.execute(sql("SELECT user_id, value FROM feedback"))}


async def until_rated(app: App, expected: set[tuple[str, int]]) -> None:
    async with asyncio.timeout(120):
        while await ratings(app) != expected:
            await asyncio.sleep(0.02)


async def test_thumbs_are_ratings_until_they_are_removed(
    discord: DiscordDouble, database_url: str, tmp_path: Path
) -> None:
    general, ada, bob = discord.channel("general"), discord.user("Ada"), discord.user("Bob")
    async with running(discord, database_url, tmp_path) as app:
        await ingest(discord, general, ada)
        asked = await discord.say(general, ada, f"{discord.bot.mention} {QUESTION}")
        await discord.until(lambda: finished(discord, asked))
        (answer,) = finished(discord, asked)
        await discord.react(asked, ada, "👍")
        await discord.react(answer, discord.bot, "👍")
        await discord.react(answer, ada, "👍🏽")
        await discord.react(answer, bob, "👎")
        await until_rated(app, {(str(ada.id), 1), (str(bob.id), -1)})
        await discord.react(answer, bob, "👍", removed=True)
        await discord.react(answer, ada, "👍", removed=True)
        await until_rated(app, {(str(bob.id), -1)})

        private = await discord.dm(ada, QUESTION)
        await discord.until(lambda: finished(discord, private.channel_id))
        await discord.react(finished(discord, private.channel_id)[0], ada, "👎")
        await until_rated(app, {(str(bob.id), -1), (str(ada.id), -1)})


async def test_a_stop_sign_below_the_question_stops_the_answer(
    discord: DiscordDouble, models: ModelDouble, database_url: str, tmp_path: Path
) -> None:
    general, ada, bob = discord.channel("general"), discord.user("Ada"), discord.user("Bob")
    async with running(discord, database_url, tmp_path, models):
        await ingest(discord, general, ada)
        models.script = lambda seen: Reply("Thirty days. " * 20, piece=20, after=5, held=asyncio.Event())
        asked = await discord.say(general, ada, f"{discord.bot.mention} {QUESTION}")
        await discord.until(lambda: any("Thirty" in one.content for one in discord.answers(asked)))
        (answer,) = discord.answers(asked)
        await discord.react(answer, bob, "🛑")
        await discord.react(asked, ada, "🛑")
        await discord.until(lambda: "Ask again" in answer.buttons())


async def test_a_bookmark_asks_an_admin_who_saves_the_answer(
    discord: DiscordDouble, database_url: str, tmp_path: Path
) -> None:
    general, ada, owner = discord.channel("general"), discord.user("Ada"), discord.world.owner
    async with running(discord, database_url, tmp_path) as app:
        await ingest(discord, general, ada)
        asked = await discord.say(general, ada, f"{discord.bot.mention} {QUESTION}")
        await discord.until(lambda: finished(discord, asked))
        await discord.react(finished(discord, asked)[0], ada, "🔖")
        direct = discord.world.dm(owner)
        await discord.until(lambda: discord.answers(direct))
        (notice,) = discord.answers(direct)
        assert "Ada proposes to save this answer" in notice.content
        pressed = await discord.click("Save to the documents", notice, owner)
        await discord.until(lambda: is_shown(pressed.response))
        await discord.until(lambda: any("Added 1 document" in one.content for one in discord.answers(direct)))
        async with app.database.tenant(LOCAL_TENANT) as session:
            found = (await session.execute(sql("SELECT title, audience FROM documents ORDER BY title"))).all()
        pressed = await discord.click("Verify the answer", notice, owner)
        await discord.until(lambda: is_shown(pressed.response))
        async with app.database.tenant(LOCAL_TENANT) as session:
            (verified,) = await records.every(session, tenant_id=LOCAL_TENANT)
    assert (verified.questions, verified.audience) == ((QUESTION,), str(general.id))
    assert (QUESTION, str(general.id)) in [tuple(row) for row in found]
