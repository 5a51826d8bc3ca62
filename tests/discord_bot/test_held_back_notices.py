"""On Discord, the owner of the server gets a direct message about a refresh that was held back, with a button."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.discord_bot.conftest import FAST_LIMITS
from tests.discord_bot.test_end_to_end import is_shown, running
from tests.doubles.discord import DiscordDouble
from tests.knowledge.sources.lost_folder import FILES, lose_folder, stored_documents


@pytest.fixture
async def discord() -> AsyncIterator[DiscordDouble]:
    async with DiscordDouble(limits=FAST_LIMITS) as double:
        double.channel("general")
        yield double
    assert double.violations == []


@pytest.mark.parametrize("owner", [True, False])
async def test_the_button_below_the_notice_removes_the_documents_for_admins(
    discord: DiscordDouble, database_url: str, tmp_path: Path, owner: bool
) -> None:
    boss, ada = discord.world.owner, discord.user("Ada")
    async with running(discord, database_url, tmp_path) as app:
        await lose_folder(app, tmp_path / "handbook")
        place = discord.world.dm(boss)
        await discord.until(lambda: discord.answers(place))
        (notice,) = discord.answers(place)
        assert f"{FILES - 1} of {FILES} documents are gone from it" in notice.content
        pressed = await discord.click("Approve removals", notice, boss if owner else ada)
        await discord.until(lambda: is_shown(pressed.response))
        if owner:
            await discord.until(lambda: any("5 documents removed" in one.content for one in discord.answers(place)))
        else:
            assert pressed.response is not None
            assert "Only an admin" in pressed.response.content
        assert await stored_documents(app) == (1 if owner else FILES)
