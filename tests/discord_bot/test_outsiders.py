"""People who are no members of the server, and servers that anybody can join: who reads an answer in Discord."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.config import Settings
from tests.discord_bot.conftest import FAST_LIMITS, Connect, serving, settings_for
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.discord_bot.test_end_to_end import running
from tests.doubles.discord import DiscordDouble


@pytest.fixture
def settings(discord: DiscordDouble) -> Settings:
    return settings_for(discord, home=("auto",))


async def test_a_direct_message_needs_membership(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect
) -> None:
    await connect()
    ada, stranger = discord.user("Ada"), discord.user("Stranger")
    stranger.outside = True
    pending = discord.user("Pending")
    pending.pending = True
    for person in (ada, stranger, pending):
        await discord.dm(person, "hello?")
    await discord.until(lambda: len(dispatcher.incoming) == 3)
    found = {one.author.name: one for one in dispatcher.incoming}
    assert found["Ada"].audience.tenant_wide
    assert found["Stranger"].audience.refused
    assert (found["Pending"].audience.readers, found["Pending"].audience.refused) == ("guest", False)


async def test_a_check_that_fails_refuses(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect
) -> None:
    await connect()
    discord.fail("GET", r"/guilds/\d+/members/\d+", status=403, code=50001)
    await discord.dm(discord.user("Ada"), "hello?")
    await discord.until(lambda: dispatcher.incoming)
    assert (dispatcher.incoming[0].audience.readers, dispatcher.incoming[0].audience.refused) == ("unknown", True)
    await discord.dm(discord.user("Ada"), "hello again?")
    await discord.until(lambda: len(dispatcher.incoming) == 2)
    assert dispatcher.incoming[1].audience.tenant_wide, "it is checked again"


async def test_membership_is_asked_once_a_minute(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect
) -> None:
    await connect()
    ada = discord.user("Ada")
    for number in range(3):
        await discord.dm(ada, f"question {number}?")
    await discord.until(lambda: len(dispatcher.incoming) == 3)
    ada.outside = True
    await discord.dm(ada, "one more?")
    await discord.until(lambda: len(dispatcher.incoming) == 4)
    assert dispatcher.incoming[3].audience.tenant_wide, "known for a minute"


@pytest.mark.parametrize(
    ("features", "hidden", "readers"),
    [
        ([], False, "members"),
        (["DISCOVERABLE"], False, "public"),
        (["DISCOVERABLE"], True, "members"),
        (["VANITY_URL"], False, "public"),
        (["COMMUNITY"], False, "members"),
    ],
)
async def test_everybody_in_a_channel_is_decided_from_the_server_and_the_permissions(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    connect: Connect,
    features: list[str],
    hidden: bool,
    readers: str,
) -> None:
    discord.world.features[discord.world.guild_id] = features
    general = discord.channel("general")
    general.hidden = hidden
    await connect()
    await discord.say(general, discord.user("Ada"), f"{discord.bot.mention} hello?")
    await discord.until(lambda: dispatcher.incoming)
    assert dispatcher.incoming[0].audience.readers == readers


async def test_a_message_caught_up_on_is_checked_for_its_author(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings
) -> None:
    general, ada, left = discord.channel("general"), discord.user("Ada"), discord.user("Left")
    dispatcher.last_connected = datetime.now(UTC) - timedelta(minutes=5)
    for person in (ada, left):
        await discord.say_undelivered(general, person, f"{discord.bot.mention} hello?")
    left.outside = True
    async with serving(discord, dispatcher, settings):
        await discord.until(lambda: len(dispatcher.incoming) == 2)
    found = {one.author.name: one.audience.readers for one in dispatcher.incoming}
    assert found == {"Ada": "members", "Left": "outsider"}


async def test_a_stranger_is_told_why(database_url: str, tmp_path: Path) -> None:
    async with DiscordDouble(limits=FAST_LIMITS) as discord:
        general, boss, stranger = discord.channel("general"), discord.user("Boss", admin=True), discord.user("Stranger")
        stranger.outside = True
        async with running(discord, database_url, tmp_path):
            file = ("leave.md", "text/markdown", b"# Leave\n\nEverybody has 30 days of paid leave a year.\n")
            added = await discord.slash("ingest", {}, user=boss, channel=general, file=file)
            await discord.until(lambda: any("Added" in one.content for one in discord.answers(general)))
            assert added.response
            await discord.dm(stranger, "how many days of paid leave do I have?")
            home = discord.world.dm(stranger)
            await discord.until(lambda: discord.answers(home))
            (told,) = discord.answers(home)
            assert "only to members of the team" in told.content
            listed = await discord.slash("docs list", {}, user=stranger, channel=home)
            await discord.until(lambda: listed.response and not listed.response.loading)
            assert listed.response is not None
            assert "only to members of the team" in listed.response.content
            await discord.dm(boss, "how many days of paid leave do I have?")
            mine = discord.world.dm(boss)
            await discord.until(lambda: any("30 days" in one.content for one in discord.answers(mine)))
    assert discord.violations == []
