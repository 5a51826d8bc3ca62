"""Places of Discord other than text channels: forum posts, announcements, text in voice and stage channels."""

from __future__ import annotations

import pytest

from bot.platforms.discord.surface import DiscordSurface
from bot.types.display import Part
from tests.discord_bot.conftest import Connect
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.discord_bot.test_conversation import answered
from tests.discord_bot.test_thread_context import context_reader
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import FORUM, NEWS, STAGE, VOICE, User


async def test_a_mention_in_the_first_message_of_a_forum_post_is_answered_in_the_post(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, ada: User
) -> None:
    forum = discord.channel("help", FORUM)
    forum.tags = {1: "leave", 2: "solved"}
    await connect()
    asked = await discord.post(forum, ada, "Interns", f"{discord.bot.mention} how many days?", "leave")
    await discord.until(lambda: answered(discord, asked.id))
    (incoming,) = dispatcher.incoming
    assert incoming.text == "Interns\n[tags: leave]\n\nhow many days?"
    assert (incoming.thread.channel_id, incoming.thread.thread_id) == (str(forum.id), str(asked.id))
    assert await context_reader(dispatcher).above() is None
    await discord.say(discord.world.channels[asked.id], ada, "and for parents?")
    await discord.until(lambda: answered(discord, asked.id, 2))
    assert dispatcher.incoming[1].thread == incoming.thread
    assert discord.rest.refusals == []


async def test_a_mention_alone_in_a_forum_post_is_about_its_title(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, ada: User
) -> None:
    forum = discord.channel("help", FORUM)
    await connect()
    asked = await discord.post(forum, ada, "How many days do interns get?", discord.bot.mention)
    await discord.until(lambda: answered(discord, asked.id))
    assert dispatcher.incoming[0].text == "How many days do interns get?"


async def test_a_later_question_in_a_forum_post_knows_the_title_and_the_first_message(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, ada: User
) -> None:
    forum = discord.channel("help", FORUM)
    forum.tags = {1: "leave"}
    await connect()
    post = await discord.post(forum, ada, "Interns", "How many days do they get?", "leave")
    thread = discord.world.channels[post.id]
    for number in range(350):
        await discord.say_undelivered(thread, discord.user("Bob"), f"guess {number}")
    await discord.say(thread, discord.user("Bob"), f"{discord.bot.mention} who is right?")
    await discord.until(lambda: answered(discord, thread))
    above = await context_reader(dispatcher).above()
    assert above is not None
    lines = above.text.splitlines()
    assert lines[:3] == ["Interns", "[tags: leave]", "Ada: How many days do they get?"]
    assert lines[-1] == "Bob: guess 349"


@pytest.mark.parametrize("code", [10008, 50024, 160004])
async def test_a_post_that_the_bot_does_not_know_yet_is_found_by_a_request(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, ada: User, code: int
) -> None:
    """Codes for a thread that cannot be made from the first message of a post."""
    forum = discord.channel("help", FORUM)
    await connect()
    asked = await discord.post(forum, ada, "Interns", f"{discord.bot.mention} how many days?")
    await discord.until(lambda: answered(discord, asked.id))
    turn, surface = dispatcher.started[0]
    assert isinstance(surface, DiscordSurface)
    surface._client._connection._get_guild(forum.guild_id)._remove_channel(  # type: ignore[union-attr]
        surface._client.get_channel(forum.id)  # type: ignore[arg-type]
    )
    discord.fail("POST", r"/messages/\d+/threads", status=404 if code == 10008 else 400, code=code)
    later = DiscordSurface(surface._client, turn, surface._reader)
    ref = await later.post(Part("again", "again-0", turn.id))
    assert ref.startswith(f"{asked.id}/")


async def test_a_deleted_question_is_not_mistaken_for_a_post(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, ada: User
) -> None:
    general = discord.channel("general")
    await connect()
    discord.fail("POST", r"/messages/\d+/threads", status=404, code=10008)
    await discord.say(general, ada, f"{discord.bot.mention} how many days?")
    await discord.until(lambda: dispatcher.errors)
    assert "deleted" in str(dispatcher.errors[0])
    assert discord.answers(general) == []


@pytest.mark.parametrize("kind", [VOICE, STAGE])
async def test_text_in_a_voice_or_stage_channel_is_answered_by_a_reply(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, ada: User, kind: int
) -> None:
    lounge = discord.channel("lounge", kind)
    await connect()
    asked = await discord.say(lounge, ada, f"{discord.bot.mention} how many days?")
    await discord.until(lambda: answered(discord, lounge))
    (answer,) = discord.answers(lounge)
    assert answer.reference is not None
    assert answer.reference["message_id"] == str(asked.id)


async def test_an_announcement_is_answered_in_its_thread(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, ada: User
) -> None:
    news = discord.channel("news", NEWS)
    await connect()
    asked = await discord.say(news, ada, f"{discord.bot.mention} how many days?")
    await discord.until(lambda: answered(discord, asked))
    thread = discord.thread(asked)
    assert thread is not None
    await discord.say(thread, ada, f"{discord.bot.mention} and for interns?")
    await discord.until(lambda: answered(discord, thread, 2))
    assert len({one.thread for one in dispatcher.incoming}) == 1


async def test_a_thread_is_not_made_inside_a_thread(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, ada: User
) -> None:
    general = discord.channel("general")
    first = await discord.say(general, ada, "by the way")
    await connect()
    thread = await discord.open_thread(first, "by the way", owner=ada)
    await discord.say(thread, ada, f"{discord.bot.mention} how many days?")
    await discord.until(lambda: answered(discord, thread))
    assert not any(path.endswith("/threads") for _, path in discord.rest.calls)
