"""What stands around a question, what is overheard, and conversations with programs."""

from __future__ import annotations

import pytest

from bot.engine.ports.surface import ContextReader
from bot.errors import SurfaceError
from bot.platforms.discord.bot_loop_guard import Window
from bot.types.conversation import StoredAttachment
from tests.discord_bot.conftest import Connect
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.discord_bot.test_conversation import answered
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_world import Channel, User


@pytest.fixture
def general(discord: DiscordDouble) -> Channel:
    return discord.channel("general")


@pytest.fixture
def ada(discord: DiscordDouble) -> User:
    return discord.user("Ada")


def surroundings(dispatcher: ScriptedDispatcher) -> ContextReader:
    surface = dispatcher.begun[-1][1]
    assert isinstance(surface, ContextReader)
    return surface


async def test_a_file_beside_a_question_can_be_fetched_again(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    text = f"{discord.bot.mention} what does this say?"
    asked = await discord.say(general, ada, text, attachments=(("note.txt", "text/plain", b"hello"),))
    await discord.until(lambda: answered(discord, asked))
    (file,) = dispatcher.incoming[0].attachments
    assert file.ref
    kept = StoredAttachment("turn-1", 0, "file", file.name, ref=file.ref)
    assert await surroundings(dispatcher).fetch(kept) == b"hello"
    asked.attachments = []
    with pytest.raises(SurfaceError, match="no longer beside"):
        await surroundings(dispatcher).fetch(kept)


async def test_called_into_a_thread_it_reads_what_was_said_there(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    first = await discord.say(general, ada, "The heating is broken again.")
    thread = await discord.open_thread(first, "heating", owner=ada)
    await discord.say(thread, discord.user("Bob"), f"{ada.mention} since when?")
    await discord.say(thread, discord.user("Alarm", bot=True), "18 degrees in room 4")
    await discord.say(thread, ada, f"{discord.bot.mention} who is to be told?")
    await discord.until(lambda: answered(discord, thread))
    above = await surroundings(dispatcher).above()
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
    above = await surroundings(dispatcher).above()
    assert above is not None
    assert above.text == "Bob: Leave must be asked for in May."
    plain = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, plain))
    assert await surroundings(dispatcher).above() is None


async def test_what_mentions_nobody_is_the_desks_to_answer_or_not(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    await discord.say(general, ada, "how many days of leave do we have?")
    await discord.until(lambda: dispatcher.heard_by_the_way)
    dispatcher.speaks_up = True
    asked = await discord.say(general, ada, "and how many of parental leave?")
    await discord.say(general, discord.user("OtherBot", bot=True), "how many bots are there here?")
    await discord.until(lambda: answered(discord, asked))
    assert [one.text for one in dispatcher.heard_by_the_way] == [
        "how many days of leave do we have?",
        "and how many of parental leave?",
    ]
    assert dispatcher.incoming == []


async def test_a_program_that_writes_as_a_person_is_told_once_and_then_not_heard(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.platforms.discord.bot_loop_guard.Window.__init__", _narrow)
    await connect()
    for number in range(6):
        last = await discord.dm(ada, f"answer number {number}")
    await discord.until(lambda: len(dispatcher.incoming) == 2 and answered(discord, last.channel_id, 2))
    warnings = [one for one in discord.answers(last.channel_id) if "stay silent" in one.content]
    assert len(warnings) == 1
    assert [one.text for one in dispatcher.incoming] == ["answer number 0", "answer number 1"]


_wide = Window.__init__


def _narrow(self: Window) -> None:
    _wide(self, most=2, seconds=3600)


def test_the_window_moves_on() -> None:
    window = Window(most=2, seconds=10)
    assert [window.heard("pair", f"m{at}", at) for at in (0, 1, 2, 3)] == ["heard", "heard", "warned", "ignored"]
    assert window.heard("other pair", "m3", 3) == "heard"
    assert [window.heard("pair", f"m{at}", at) for at in (14, 15, 16)] == ["heard", "heard", "warned"]


def test_a_message_that_is_tried_again_counts_once() -> None:
    window = Window(most=2, seconds=10)
    assert [window.heard("pair", "same", 0) for _ in range(50)] == ["heard"] * 50
    assert window.heard("pair", "second", 1) == "heard"
    assert [window.heard("pair", "third", 2) for _ in range(3)] == ["warned"] * 3


def test_the_window_forgets_who_was_silent_longest() -> None:
    window = Window(most=1, seconds=1e9, pairs=2)
    for pair in ("a", "b", "c"):
        window.heard(pair, "first", 0)
    assert window.heard("a", "second", 1) == "heard"
    assert window.heard("c", "second", 1) == "warned"
