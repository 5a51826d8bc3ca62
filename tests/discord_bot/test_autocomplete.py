"""What is offered while somebody fills in an option: through Discord's wire, from the real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.app import App
from bot.engine.memory import Said
from bot.store import facts
from bot.types.conversation import LOCAL_TENANT
from knowledge import source_records
from knowledge.types import TENANT_AUDIENCE
from tests.discord_bot.conftest import BRISK
from tests.discord_bot.test_end_to_end import finished, running
from tests.doubles.discord import DiscordDouble

LONG = "https://handbook.example/" + "a" * 90


async def known(app: App, uri: str, audience: str = TENANT_AUDIENCE) -> None:
    async with app.database.tenant(LOCAL_TENANT) as session:
        await source_records.find_or_add_source(
            session, tenant_id=LOCAL_TENANT, uri=uri, kind="url", audience=audience, now=app.services.clock()
        )


async def stated(app: App, turn_id: str, *said: str) -> None:
    turn = await app.services.stores.inbox.turn(LOCAL_TENANT, turn_id)
    assert turn is not None
    async with app.database.tenant(LOCAL_TENANT) as session:
        await facts.learn(session, turn=turn, said=[Said("note", text.split()[1], text) for text in said])


async def test_sources_and_facts_are_offered_to_whoever_may_see_them(database_url: str, tmp_path: Path) -> None:
    async with DiscordDouble(limits=BRISK) as discord, running(discord, database_url, tmp_path) as app:
        general, board = discord.channel("general"), discord.channel("board")
        ada, boss = discord.user("Ada"), discord.user("Boss", admin=True)
        await known(app, "https://handbook.example/")
        await known(app, "https://salaries.example/", str(board.id))
        await known(app, LONG)

        offered = await discord.suggestions("settings sources", "source", "", user=ada, channel=general)
        assert offered == {"every source": "all", "https://handbook.example/": "https://handbook.example/"}
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
        await app.dispatcher.settled()  # what the bot learns from a turn stands in place of what was kept of it
        await stated(app, buttons["👍"].rpartition(":")[2], "the deadline is Friday", "the city is Ghent")
        told = await discord.suggestions("memory forget", "fact", "", user=ada, channel=thread)
        assert sorted(told.values()) == ["1", "2", "all"]
        (friday,) = (await discord.suggestions("memory forget", "fact", "FRIDAY", user=ada, channel=thread)).items()
        assert friday[0] == f"{friday[1]}: the deadline is Friday"
        assert await discord.suggestions("memory forget", "fact", "", user=ada, channel=general) == {}

        forgotten = await discord.slash("memory forget", {"fact": friday[1]}, user=ada, channel=thread)
        await discord.until(lambda: forgotten.response and not forgotten.response.loading)
        left = await discord.suggestions("memory forget", "fact", "", user=ada, channel=thread)
        assert left == {"1: the city is Ghent": "1", "all of them": "all"}
    assert discord.violations == []


async def test_where_the_database_is_away_nothing_is_offered_and_nothing_breaks(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with DiscordDouble(limits=BRISK) as discord, running(discord, database_url, tmp_path) as app:
        general, ada = discord.channel("general"), discord.user("Ada")
        await known(app, "https://handbook.example/")
        async with app.database.engine.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE sources RENAME TO away")
        offered = await discord.suggestions("settings sources", "source", "", user=ada, channel=general)
        async with app.database.engine.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE away RENAME TO sources")
        again = await discord.suggestions("settings sources", "source", "hand", user=ada, channel=general)
    assert (offered, list(again)) == ({}, ["https://handbook.example/"])
    assert "nothing could be suggested for sources" in caplog.text
    assert discord.violations == []
