"""Tests the client against simcord, a third-party model of Discord, as a check on this project's own double.

simcord runs discord.py's parsers in process, without sockets and without rate limits. It has its own rules for
permissions, the lifetime of interactions and the format of commands.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import discord
import pytest

from bot.commands.services import Services
from bot.config import load
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.platforms.discord.client import ParleyClient
from tests.discord_bot.conftest import FakeCommands
from tests.discord_bot.fake_dispatcher import SCRIPT, ScriptedDispatcher

pytestmark = pytest.mark.simcord(shard_count=1)


@pytest.fixture
def simcord_bot(dispatcher: ScriptedDispatcher) -> ParleyClient:
    """The client for simcord's own fixtures."""
    settings = load(discord_token="simulated", home=("none",))
    return ParleyClient(
        cast(Dispatcher, dispatcher), cast(Services, SimpleNamespace(stores=None)), settings, commands=FakeCommands()
    )


def members(simcord_env: Any) -> tuple[Any, Any, Any]:
    guild = simcord_env.create_guild()
    channel = guild.create_text_channel("general")
    return guild, channel, guild.add_member(simcord_env.create_user("ada"))


async def test_a_mention_is_answered_in_a_thread(
    simcord_env: Any, simcord_bot: ParleyClient, dispatcher: ScriptedDispatcher
) -> None:
    _, channel, ada = members(simcord_env)
    assert simcord_bot.user is not None
    asked = await ada.send(channel, f"{simcord_bot.user.mention} how many days of leave?")
    (thread,) = channel.threads
    assert thread.id == asked.id
    answer = thread.last_message
    assert answer.content == SCRIPT[-1]
    assert answer.embeds[0].title == "Sources"
    await ada.send(thread, "and for interns?")
    assert [incoming.kind for incoming in dispatcher.incoming] == ["mention", "follow_up"]


async def test_a_direct_message(simcord_env: Any, dispatcher: ScriptedDispatcher) -> None:
    _, _, ada = members(simcord_env)
    await ada.send_dm("how many days of leave?")
    assert dispatcher.incoming[0].kind == "dm"


async def test_without_permission_to_create_threads_it_replies(
    simcord_env: Any, simcord_bot: ParleyClient, dispatcher: ScriptedDispatcher
) -> None:
    guild = simcord_env.create_guild()
    channel = guild.create_text_channel(
        "general",
        overwrites={guild.default_role: discord.PermissionOverwrite(create_public_threads=False)},
    )
    ada = guild.add_member(simcord_env.create_user("ada"))
    assert simcord_bot.user is not None
    asked = await ada.send(channel, f"{simcord_bot.user.mention} how many days of leave?")
    assert channel.threads == []
    reference = channel.last_message.reference
    assert reference is not None
    assert reference.message_id == asked.id


async def test_a_slash_command_is_synced_and_private(simcord_env: Any) -> None:
    _, channel, ada = members(simcord_env)
    result = await ada.slash(channel, "budget show")
    assert result.ephemeral
    assert result.response.content.startswith("ada has 1,000 of 200,000 tokens")
    assert "costs" not in ada.available_commands(channel)


async def test_a_button(simcord_env: Any, simcord_bot: ParleyClient, dispatcher: ScriptedDispatcher) -> None:
    _, channel, ada = members(simcord_env)
    assert simcord_bot.user is not None
    await ada.send(channel, f"{simcord_bot.user.mention} how many days of leave?")
    (thread,) = channel.threads
    await ada.click(thread.last_message, label="👍")
    assert [(value, reason) for _, _, _, value, reason in dispatcher.rated] == [(1, "")]
