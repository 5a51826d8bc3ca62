"""Suggests values for slash command options, through Discord's API and from the real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.app import App
from bot.engine.memory import StatedFact
from bot.store.turns import facts
from bot.types.conversation import LOCAL_TENANT
from knowledge.store import source_records
from knowledge.types.scope import TENANT_AUDIENCE
from tests.discord_bot.conftest import FAST_LIMITS
from tests.discord_bot.test_end_to_end import finished, running
from tests.doubles.discord import DiscordDouble

LONG = "https://handbook.example/" + "a" * 90


async def add_source(app: App, uri: str, audience: str = TENANT_AUDIENCE) -> None:
    async with app.database.tenant(LOCAL_TENANT) as session:
        await source_records.find_or_add_source(
            session, tenant_id=LOCAL_TENANT, uri=uri, kind="url", audience=audience, now=app.services.clock()
        )


async def add_facts(app: App, turn_id: str, *texts: str) -> None:
    turn = await app.services.stores.inbox.turn(LOCAL_TENANT, turn_id)
    assert turn is not None
    async with app.database.tenant(LOCAL_TENANT) as session:
        await facts.learn(session, turn=turn, said=[StatedFact("note", text.split()[1], text) for text in texts])


async def test_sources_and_facts_are_suggested_only_to_users_who_may_see_them(
    database_url: str, tmp_path: Path
) -> None:
    async with DiscordDouble(limits=FAST_LIMITS) as discord, running(discord, database_url, tmp_path) as app:
        general, board = discord.channel("general"), discord.channel("board")
        ada, boss = discord.user("Ada"), discord.user("Boss", admin=True)
        await add_source(app, "https://handbook.example/")
        await add_source(app, "https://salaries.example/", str(board.id))
        await add_source(app, LONG)

        offered = await discord.suggestions("settings sources", "source", "", user=ada, channel=general)
        assert offered == {"all sources": "all", "https://handbook.example/": "https://handbook.example/"}
        typed = await discord.suggestions("settings sources", "source", "HANDB", user=ada, channel=general)
        assert list(typed) == ["https://handbook.example/"]
        for person, place in ((ada, board), (boss, general)):
            seen = await discord.suggestions("settings sources", "source", "salaries", user=person, channel=place)
            assert list(seen) == ["https://salaries.example/"]

        asked = await discord.say(general, ada, f"{discord.bot.mention} when is the deadline?")
        await discord.until(lambda: finished(discord, asked))
        thread = discord.thread(asked)
        assert thread is not None
        assert await discord.suggestions("memory forget", "fact", "", user=ada, channel=thread) == {}
        buttons = finished(discord, asked)[0].buttons()
        await app.dispatcher.settled()  # the facts learned from a turn replace those stored for it before
        await add_facts(app, buttons["👍"].rpartition(":")[2], "the deadline is Friday", "the city is Ghent")
        facts_found = await discord.suggestions("memory forget", "fact", "", user=ada, channel=thread)
        assert sorted(facts_found.values()) == ["1", "2", "all"]
        (friday,) = (await discord.suggestions("memory forget", "fact", "FRIDAY", user=ada, channel=thread)).items()
        assert friday[0] == f"{friday[1]}: the deadline is Friday"
        assert await discord.suggestions("memory forget", "fact", "", user=ada, channel=general) == {}

        forgotten = await discord.slash("memory forget", {"fact": friday[1]}, user=ada, channel=thread)
        await discord.until(lambda: forgotten.response and not forgotten.response.loading)
        left = await discord.suggestions("memory forget", "fact", "", user=ada, channel=thread)
        assert left == {"1: the city is Ghent": "1", "all facts": "all"}
    assert discord.violations == []


async def test_a_database_failure_gives_no_suggestions_and_no_error(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with DiscordDouble(limits=FAST_LIMITS) as discord, running(discord, database_url, tmp_path) as app:
        general, ada = discord.channel("general"), discord.user("Ada")
        await add_source(app, "https://handbook.example/")
        async with app.database.engine.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE sources RENAME TO away")
        offered = await discord.suggestions("settings sources", "source", "", user=ada, channel=general)
        async with app.database.engine.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE away RENAME TO sources")
        again = await discord.suggestions("settings sources", "source", "hand", user=ada, channel=general)
    assert (offered, list(again)) == ({}, ["https://handbook.example/"])
    assert "no suggestions for sources" in caplog.text
    assert discord.violations == []
