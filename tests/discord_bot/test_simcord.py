"""A second opinion on the same client: simcord's model of Discord, made by others.

It runs discord.py's parsers in process, without sockets and without the rate limiter; permissions, the interaction's
life and what a command may look like are judged by its rules, not by those of this project's own double.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import discord
import pytest
import simcord

from bot.commands.services import Services
from bot.config import load
from bot.engine.desk import Desk
from bot.platforms.discord.client import Parley
from tests.discord_bot.conftest import Offered
from tests.discord_bot.desk import SCRIPT, ScriptedDesk


@pytest.fixture
def client(desk: ScriptedDesk) -> Parley:
    settings = load(discord_token="simulated", home=("none",))
    return Parley(cast(Desk, desk), cast(Services, object()), settings, commands=Offered())


@pytest.fixture
async def simulated(client: Parley) -> AsyncIterator[Any]:
    async with simcord.run(client, shard_count=1) as env:
        yield env


def members(simulated: Any) -> tuple[Any, Any, Any]:
    guild = simulated.create_guild()
    channel = guild.create_text_channel("general")
    return guild, channel, guild.add_member(simulated.create_user("ada"))


async def test_a_mention_is_answered_in_a_thread(simulated: Any, client: Parley, desk: ScriptedDesk) -> None:
    _, channel, ada = members(simulated)
    assert client.user is not None
    asked = await ada.send(channel, f"{client.user.mention} how many days of leave?")
    (thread,) = channel.threads
    assert thread.id == asked.id
    answer = thread.last_message
    assert answer.content == SCRIPT[-1]
    assert answer.embeds[0].title == "Sources"
    await ada.send(thread, "and for interns?")
    assert [heard.kind for heard in desk.incoming] == ["mention", "follow_up"]


async def test_a_direct_message(simulated: Any, desk: ScriptedDesk) -> None:
    _, _, ada = members(simulated)
    await ada.send_dm("how many days of leave?")
    assert desk.incoming[0].kind == "dm"


async def test_without_the_right_to_make_threads_it_replies(simulated: Any, client: Parley, desk: ScriptedDesk) -> None:
    guild = simulated.create_guild()
    channel = guild.create_text_channel(
        "general",
        overwrites={guild.default_role: discord.PermissionOverwrite(create_public_threads=False)},
    )
    ada = guild.add_member(simulated.create_user("ada"))
    assert client.user is not None
    asked = await ada.send(channel, f"{client.user.mention} how many days of leave?")
    assert channel.threads == []
    reference = channel.last_message.reference
    assert reference is not None
    assert reference.message_id == asked.id


async def test_a_slash_command_is_synced_and_private(simulated: Any) -> None:
    _, channel, ada = members(simulated)
    result = await ada.slash(channel, "budget")
    assert result.ephemeral
    assert result.response.content.startswith("ada has 1,000 of 200,000 tokens")
    assert "costs" not in ada.available_commands(channel)


async def test_a_button(simulated: Any, client: Parley, desk: ScriptedDesk) -> None:
    _, channel, ada = members(simulated)
    assert client.user is not None
    await ada.send(channel, f"{client.user.mention} how many days of leave?")
    (thread,) = channel.threads
    await ada.click(thread.last_message, label="👍")
    assert [(value, reason) for _, _, _, value, reason in desk.rated] == [(1, "")]
