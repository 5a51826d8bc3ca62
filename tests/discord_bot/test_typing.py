"""Discord shows the typing indicator until there is text to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.discord_bot.test_end_to_end import discord, finished, ingest, running
from tests.doubles.discord import DiscordDouble

__all__ = ["discord"]


@pytest.mark.parametrize("is_refused", [False, True])
async def test_typing_is_shown_while_the_bot_searches(
    discord: DiscordDouble, database_url: str, tmp_path: Path, is_refused: bool
) -> None:
    general, ada = discord.channel("general"), discord.user("Ada")
    async with running(discord, database_url, tmp_path):
        await ingest(discord, general, ada)
        if is_refused:
            discord.fail("POST", r"/typing$", status=400, code=50024, times=9)
        asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of paid leave do I have?")
        await discord.until(lambda: finished(discord, asked))
    assert set(discord.typing) <= {general.id, asked.id}
    assert bool(discord.typing) is not is_refused
