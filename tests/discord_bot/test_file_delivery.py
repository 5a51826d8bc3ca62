"""Delivers a file below a reply, or to the asker's direct messages."""

from __future__ import annotations

from bot.config import Settings
from bot.engine.ports.surface import FileDelivery
from bot.types.conversation import Author, ThreadKey
from tests.discord_bot.conftest import Connect, serving
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.discord_bot.test_connection import ask
from tests.discord_bot.test_conversation import answered
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import Channel, Message, User

TEXT = "# The full answer\n\nEverybody has 30 days."


def files(messages: list[Message]) -> list[tuple[str, str, bytes]]:
    """Return the text, the name and the bytes of each attached file."""
    return [(one.content, file.name, file.data) for one in messages for file in one.attachments]


def file_delivery(dispatcher: ScriptedDispatcher) -> FileDelivery:
    surface = dispatcher.started[0][1]
    assert isinstance(surface, FileDelivery)
    return surface


async def test_a_file_is_posted_once_below_the_answer_without_text(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await ask(discord, general, ada)
    await discord.until(lambda: answered(discord, asked))
    for _ in range(2):
        await file_delivery(dispatcher).hand_over("answer.md", TEXT.encode())
    assert files(discord.answers(asked)) == [("", "answer.md", TEXT.encode())]


async def test_without_permission_to_attach_files_the_asker_gets_the_file_directly_with_the_reason(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    general.denied = {"attach_files"}
    await connect()
    asked = await ask(discord, general, ada)
    await discord.until(lambda: answered(discord, asked))
    await file_delivery(dispatcher).hand_over("answer.md", TEXT.encode())
    assert files(discord.answers(asked)) == []
    explanation = f"I have no permission to post this in <#{general.id}>, so I am sending it to you here."
    assert files(discord.answers(discord.world.dm(ada))) == [(explanation, "answer.md", TEXT.encode())]


async def test_the_file_of_a_private_answer_stays_in_the_direct_message(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings, general: Channel, ada: User
) -> None:
    private = discord.world.dm(ada)
    key = ThreadKey(f"discord:{discord.world.guild_id}", "discord", str(general.id), "ask:1f")
    dispatcher.orphaned = [dispatcher.keep(key, "ask:1f", Author(str(ada.id), "Ada"), "what do I earn?")]
    async with serving(discord, dispatcher, settings):
        await discord.until(lambda: answered(discord, private))
        await file_delivery(dispatcher).hand_over("answer.md", TEXT.encode())
    assert files(discord.answers(private)) == [("", "answer.md", TEXT.encode())]
    assert discord.messages(general) == []
