"""The weekly digest and the notice that an answer is out of date, as Discord receives them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text as sql

from bot.types.conversation import LOCAL_TENANT
from tests.discord_bot.test_end_to_end import finished, ingest, running
from tests.doubles.discord import DiscordDouble

MISSING = "which zebras may I bring?"


async def test_the_digest_and_the_notice_are_posted(discord: DiscordDouble, database_url: str, tmp_path: Path) -> None:
    general, ada, boss = discord.channel("general"), discord.user("Ada"), discord.user("Boss", admin=True)
    async with running(discord, database_url, tmp_path) as app:
        await ingest(discord, general, boss)
        missing = await discord.say(general, ada, f"{discord.bot.mention} {MISSING}")
        asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of paid leave do I have?")
        await discord.until(lambda: finished(discord, asked) and finished(discord, missing))
        before = len(discord.answers(general))
        async with app.database.tenant(LOCAL_TENANT) as session:
            await session.execute(
                sql("INSERT INTO gap_digests VALUES ('local', 'discord', :channel, now())"),
                {"channel": str(general.id)},
            )
            outdated = '{"outdated": {"since": "2026-11-30", "documents": ["Leave"]}}'
            await session.execute(
                sql("UPDATE turns SET trace = trace || CAST(:outdated AS jsonb) WHERE question LIKE '%leave%'"),
                {"outdated": outdated},
            )
            await session.execute(
                sql(
                    "INSERT INTO changed_answer_notices SELECT tenant_id, turn_id, 'discord' FROM turns "
                    "WHERE question LIKE '%leave%'"
                )
            )
        await discord.until(lambda: len(discord.answers(general)) > before)
        assert MISSING in discord.answers(general)[-1].content
        await discord.until(lambda: any("cites has changed since" in one.content for one in discord.answers(asked)))


async def test_a_channel_that_anybody_reads_by_now_gets_no_digest_and_the_owner_is_told(
    discord: DiscordDouble, database_url: str, tmp_path: Path
) -> None:
    discord.world.features[discord.world.guild_id] = ["DISCOVERABLE"]
    general = discord.channel("general")
    async with running(discord, database_url, tmp_path) as app:
        async with app.database.tenant(LOCAL_TENANT) as session:
            await session.execute(
                sql("INSERT INTO gap_digests VALUES ('local', 'discord', :channel, now())"),
                {"channel": str(general.id)},
            )
        home = discord.world.dm(discord.world.owner)
        await discord.until(lambda: discord.answers(home))
        assert "people from outside the team read that channel" in discord.answers(home)[0].content
        assert discord.answers(general) == []
