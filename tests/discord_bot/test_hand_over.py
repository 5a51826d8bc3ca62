"""A file beside a reply: under it, or to the asker alone where that is where it belongs."""

from __future__ import annotations

import pytest

from bot.config import Settings
from bot.engine.ports.surface import FileDelivery
from bot.types.conversation import Author, ThreadKey
from tests.discord_bot.conftest import Connect, serving
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.discord_bot.test_connection import ask
from tests.discord_bot.test_conversation import answered
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_world import Channel, Message, User

TEXT = "# The whole\n\nEverybody has 30 days."


@pytest.fixture
def general(discord: DiscordDouble) -> Channel:
    return discord.channel("general")


@pytest.fixture
def ada(discord: DiscordDouble) -> User:
    return discord.user("Ada")


def files(messages: list[Message]) -> list[tuple[str, str, bytes]]:
    """What was said beside each file, its name, and what is in it."""
    return [(one.content, file.name, file.data) for one in messages for file in one.attachments]


def handing(dispatcher: ScriptedDispatcher) -> FileDelivery:
    surface = dispatcher.begun[0][1]
    assert isinstance(surface, FileDelivery)
    return surface


async def test_it_comes_below_the_answer_without_a_word_and_once(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await ask(discord, general, ada)
    await discord.until(lambda: answered(discord, asked))
    for _ in range(2):
        await handing(dispatcher).hand_over("answer.md", TEXT.encode())
    assert files(discord.answers(asked)) == [("", "answer.md", TEXT.encode())]


async def test_where_the_bot_may_attach_nothing_it_comes_to_the_asker_who_is_told_why(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    general.denied = {"attach_files"}
    await connect()
    asked = await ask(discord, general, ada)
    await discord.until(lambda: answered(discord, asked))
    await handing(dispatcher).hand_over("answer.md", TEXT.encode())
    assert files(discord.answers(asked)) == []
    told = f"I may not show this in <#{general.id}>, so you get it here."
    assert files(discord.answers(discord.world.dm(ada))) == [(told, "answer.md", TEXT.encode())]


async def test_the_file_of_a_private_answer_stays_in_the_direct_message(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings, general: Channel, ada: User
) -> None:
    private = discord.world.dm(ada)
    key = ThreadKey(f"discord:{discord.world.guild_id}", "discord", str(general.id), "ask:1f")
    dispatcher.left_behind = [dispatcher.keep(key, "ask:1f", Author(str(ada.id), "Ada"), "what do I earn?")]
    async with serving(discord, dispatcher, settings):
        await discord.until(lambda: answered(discord, private))
        await handing(dispatcher).hand_over("answer.md", TEXT.encode())
    assert files(discord.answers(private)) == [("", "answer.md", TEXT.encode())]
    assert discord.messages(general) == []
