"""The reply of a command reaches its user although Discord refuses the first place for it."""

from __future__ import annotations

import pytest

from bot.commands.base import Command, Context, File, Reply
from bot.config import Settings
from bot.platforms.discord import user_messages
from tests.discord_bot.conftest import COMMANDS, FakeCommands, serving
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import Channel, User

CHART = File("costs.png", b"\x89PNG", "image/png")


def answering(reply: Reply, progress: str = "") -> FakeCommands:
    """Return commands whose ``ingest`` gives this reply, after some progress."""

    async def ingest(context: Context, _: str) -> Reply:
        if progress:
            await context.update(progress)
        return reply

    return FakeCommands({**COMMANDS, "ingest": Command("ingest", "adds documents", "ADDRESS", ingest)})


def texts(discord: DiscordDouble, channel: Channel) -> list[str]:
    return [message.content for message in discord.answers(channel)]


@pytest.mark.parametrize("private", [True, False])
async def test_a_file_that_discord_does_not_take_is_left_out(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    settings: Settings,
    general: Channel,
    ada: User,
    private: bool,
) -> None:
    discord.fail("PATCH" if private else "POST", r"/webhooks/", status=413, code=40005)
    reply = Reply("The costs of May.", file=CHART, private=private)
    async with serving(discord, dispatcher, settings, commands=answering(reply)):
        await discord.slash("ingest", {"address": "https://handbook.example"}, user=ada, channel=general)
        expected = f"The costs of May.\n{user_messages.FILES_LEFT_OUT}"
        await discord.until(lambda: expected in texts(discord, general))
    (shown,) = [one for one in discord.answers(general) if one.content == expected]
    assert shown.ephemeral == private
    assert shown.attachments == []


async def test_a_late_private_reply_to_a_person_without_direct_messages_becomes_a_word_in_the_channel(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings, general: Channel, ada: User
) -> None:
    discord.fail("PATCH", "/webhooks/", status=401, code=50027, times=9)
    private = discord.world.dm(ada)
    discord.fail("POST", f"/channels/{private.id}/messages", status=403, code=50007, times=9)
    async with serving(discord, dispatcher, settings, commands=answering(Reply("You earn 5,000."))):
        await discord.slash("ingest", {"address": "https://handbook.example"}, user=ada, channel=general)
        word = user_messages.cannot_send_privately(ada.id)
        await discord.until(lambda: word in texts(discord, general))
    assert not any("5,000" in text for text in texts(discord, general)), "the reply is only for the asker"


async def test_a_public_reply_that_the_channel_does_not_take_goes_to_the_asker(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings, general: Channel, ada: User
) -> None:
    discord.fail("POST", "/webhooks/", status=403, code=50013, times=9)
    discord.fail("POST", f"/channels/{general.id}/messages", status=403, code=50013, times=9)
    async with serving(discord, dispatcher, settings, commands=answering(Reply("Added.", private=False))):
        await discord.slash("ingest", {"address": "https://handbook.example"}, user=ada, channel=general)
        private = discord.world.dm(ada)
        await discord.until(lambda: texts(discord, private) == ["Added."])
        await discord.until(lambda: texts(discord, general) == [user_messages.SENT_PRIVATELY])


@pytest.mark.parametrize(("status", "code"), [(404, 10008), (403, 50005), (400, 50035)])
async def test_a_reply_whose_progress_message_cannot_be_edited_is_posted_anew(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    settings: Settings,
    general: Channel,
    ada: User,
    status: int,
    code: int,
) -> None:
    discord.fail("PATCH", "/messages/", status=status, code=code)
    commands = answering(Reply("Added 2 documents.", private=False), progress="1 of 2 documents")
    async with serving(discord, dispatcher, settings, commands=commands):
        await discord.say(general, ada, f"{discord.bot.mention} ingest https://handbook.example")
        await discord.until(lambda: texts(discord, general) == ["Added 2 documents."])


async def test_a_mentioned_command_loses_its_file_and_not_its_reply(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, settings: Settings, general: Channel, ada: User
) -> None:
    private = discord.world.dm(ada)
    discord.fail("POST", f"/channels/{private.id}/messages", status=413, code=40005)
    async with serving(discord, dispatcher, settings, commands=answering(Reply("The costs of May.", file=CHART))):
        await discord.say(general, ada, f"{discord.bot.mention} ingest https://handbook.example")
        await discord.until(lambda: texts(discord, general) == [user_messages.SENT_PRIVATELY])
    assert texts(discord, private) == [f"The costs of May.\n{user_messages.FILES_LEFT_OUT}"]
