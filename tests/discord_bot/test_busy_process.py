"""A process that is overloaded does not collect messages without a mention."""

from __future__ import annotations

import asyncio

import pytest

from bot.platforms import unmentioned_message_limit
from bot.types.conversation import Incoming
from bot.types.turns import Turn
from tests.discord_bot.conftest import Connect
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.discord_bot.test_conversation import answered
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import Channel, User

MOST = 3


async def test_few_messages_without_a_mention_are_considered_at_once(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    connect: Connect,
    general: Channel,
    ada: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unmentioned_message_limit, "MOST_CONSIDERED", MOST)
    searched = asyncio.Event()
    considered: list[str] = []

    async def accept_unmentioned(incoming: Incoming) -> Turn | None:
        considered.append(incoming.text)
        await searched.wait()
        return None

    monkeypatch.setattr(dispatcher, "accept_unmentioned", accept_unmentioned)
    await connect()
    for number in range(2 * MOST):
        await discord.say(general, ada, f"how many days of leave are in year {number}?")
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, asked))
    assert len(considered) == MOST, "the others are ignored, and a mention is answered meanwhile"
    searched.set()
    await discord.say(general, ada, "how many days of leave do interns have?")
    await discord.until(lambda: len(considered) > MOST)
