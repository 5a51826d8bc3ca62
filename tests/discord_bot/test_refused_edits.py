"""An answer is shown although Discord refuses edits of its draft: through the real library."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.types.conversation import LOCAL_TENANT
from tests.discord_bot.test_end_to_end import discord, finished, ingest, running
from tests.doubles.discord import DiscordDouble
from tests.doubles.models import ModelDouble, Reply

__all__ = ["discord"]

ANSWER = "Travel is booked through the portal, well before the journey. " * 6


@pytest.mark.parametrize(("status", "code"), [(400, 30046), (403, 50005)])
async def test_an_answer_is_posted_anew_where_its_draft_can_no_longer_be_edited(
    discord: DiscordDouble, database_url: str, tmp_path: Path, status: int, code: int
) -> None:
    go_on, general, ada = asyncio.Event(), discord.channel("general"), discord.user("Ada", admin=True)
    async with ModelDouble() as models, running(discord, database_url, tmp_path, models) as app:
        await ingest(discord, general, ada)
        models.script = lambda _: Reply(ANSWER, after=4, held=go_on)
        asked = await discord.say(general, ada, f"{discord.bot.mention} how is travel booked?")
        await discord.until(lambda: any("portal" in message.content for message in discord.answers(asked)))
        discord.fail("PATCH", "/messages/", status=status, code=code, times=1000)
        go_on.set()
        await discord.until(lambda: finished(discord, asked) and len(discord.answers(asked)) == 1)
        (answer,) = discord.answers(asked)
        assert answer.content == ANSWER.strip()
        async with app.database.tenant(LOCAL_TENANT) as session:
            refs = (await session.scalars(text("SELECT ref FROM reply_parts"))).all()
        assert refs == [f"{answer.channel_id}/{answer.id}"], "a deletion or an edit of the question finds the answer"
    discord.rest.refusals.clear()
