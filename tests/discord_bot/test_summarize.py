"""/summarize on Discord: a thread or the last day of a channel, for those who may read its history, with links."""

from __future__ import annotations

from pathlib import Path

from tests.discord_bot.test_end_to_end import discord, finished, is_shown, running
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import Message

__all__ = ["discord"]


def link_of(discord: DiscordDouble, message: Message) -> str:
    return f"https://discord.com/channels/{discord.world.guild_id}/{message.channel_id}/{message.id}"


async def test_the_last_day_and_a_thread_are_summarized_with_links(
    discord: DiscordDouble, database_url: str, tmp_path: Path
) -> None:
    general, ada, bob = discord.channel("general"), discord.user("Ada"), discord.user("Bob")
    async with running(discord, database_url, tmp_path):
        told = await discord.say(general, bob, "The release of version three is planned for Friday.")
        await discord.say(general, ada, "The release needs one more review before Friday.")
        asked = await discord.say(general, ada, f"{discord.bot.mention} summarize")
        await discord.until(lambda: finished(discord, asked))
        (answer,) = finished(discord, asked)
        assert "No model is configured, so I cannot summarize." in answer.content
        assert "planned for Friday" in answer.content
        assert link_of(discord, told) in str(answer.embeds)

        thread = await discord.open_thread(told, "Release", bob)
        await discord.say(thread, bob, "The review of the release is done since noon.")
        in_thread = await discord.say(thread, ada, f"{discord.bot.mention} summarize")
        await discord.until(lambda: finished(discord, thread))
        assert "since noon" in finished(discord, thread)[0].content
        assert in_thread.channel_id == thread.id

        private = await discord.slash("summarize", {"what": "day"}, user=bob, channel=general)
        await discord.until(lambda: is_shown(private.response))
        assert private.response is not None
        assert private.response.ephemeral
        assert "planned for Friday" in private.response.content
