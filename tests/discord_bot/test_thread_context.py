"""Reads the context of a question, answers without a mention, and stops loops with programs."""

from __future__ import annotations

import pytest

from bot.engine.ports.surface import ContextReader
from bot.errors import SurfaceError
from bot.platforms.discord.bot_loop_guard import LoopGuard
from bot.types.conversation import StoredAttachment
from tests.discord_bot.conftest import Connect
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.discord_bot.test_conversation import answered
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import Channel, User


def context_reader(dispatcher: ScriptedDispatcher) -> ContextReader:
    surface = dispatcher.started[-1][1]
    assert isinstance(surface, ContextReader)
    return surface


async def test_an_attached_file_can_be_fetched_again(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    text = f"{discord.bot.mention} what does this say?"
    asked = await discord.say(general, ada, text, attachments=(("note.txt", "text/plain", b"hello"),))
    await discord.until(lambda: answered(discord, asked))
    (file,) = dispatcher.incoming[0].attachments
    assert file.ref
    kept = StoredAttachment("turn-1", 0, "file", file.name, ref=file.ref)
    assert await context_reader(dispatcher).fetch(kept) == b"hello"
    asked.attachments = []
    with pytest.raises(SurfaceError, match="no longer attached"):
        await context_reader(dispatcher).fetch(kept)


async def test_mentioned_in_a_thread_it_reads_the_messages_above(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    first = await discord.say(general, ada, "The heating is broken again.")
    thread = await discord.open_thread(first, "heating", owner=ada)
    await discord.say(thread, discord.user("Bob"), f"{ada.mention} since when?")
    await discord.say(thread, discord.user("Alarm", bot=True), "18 degrees in room 4")
    await discord.say(thread, ada, f"{discord.bot.mention} who is to be told?")
    await discord.until(lambda: answered(discord, thread))
    above = await context_reader(dispatcher).above()
    assert above is not None
    assert above.text == (
        "Ada: The heating is broken again.\nBob: @Ada since when?\nAlarm (a bot): 18 degrees in room 4"
    )
    assert above.people == (str(ada.id), str(discord.user("Bob").id))


async def test_a_question_that_replies_to_a_message_is_about_it(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    said = await discord.say(general, discord.user("Bob"), "Leave must be asked for in May.")
    asked = await discord.say(general, ada, f"{discord.bot.mention} is that so?", reply_to=said)
    await discord.until(lambda: answered(discord, asked))
    above = await context_reader(dispatcher).above()
    assert above is not None
    assert above.text == "Bob: Leave must be asked for in May."
    plain = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, plain))
    assert await context_reader(dispatcher).above() is None


async def test_the_dispatcher_decides_whether_to_answer_without_a_mention(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    await discord.say(general, ada, "how many days of leave do we have?")
    await discord.until(lambda: dispatcher.without_mention)
    dispatcher.auto_answers = True
    asked = await discord.say(general, ada, "and how many of parental leave?")
    await discord.say(general, discord.user("OtherBot", bot=True), "how many bots are there here?")
    await discord.until(lambda: answered(discord, asked))
    assert [one.text for one in dispatcher.without_mention] == [
        "how many days of leave do we have?",
        "and how many of parental leave?",
    ]
    assert dispatcher.incoming == []


async def test_a_program_that_writes_as_a_person_is_warned_once_and_then_ignored(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.platforms.discord.bot_loop_guard.LoopGuard.__init__", _strict_init)
    await connect()
    for number in range(6):
        last = await discord.dm(ada, f"answer number {number}")
    await discord.until(lambda: len(dispatcher.incoming) == 2 and answered(discord, last.channel_id, 2))
    warnings = [one for one in discord.answers(last.channel_id) if "ignore further messages" in one.content]
    assert len(warnings) == 1
    assert [one.text for one in dispatcher.incoming] == ["answer number 0", "answer number 1"]


_original_init = LoopGuard.__init__


def _strict_init(self: LoopGuard) -> None:
    _original_init(self, max_messages=2, window_seconds=3600)
