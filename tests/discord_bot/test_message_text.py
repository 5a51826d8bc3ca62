"""What a Discord message says beside its content: forwards, embeds, polls, stickers; names; and a mention alone."""

from __future__ import annotations

from functools import partial

from tests.discord_bot.conftest import Connect
from tests.discord_bot.fake_dispatcher import ScriptedDispatcher
from tests.discord_bot.test_conversation import answered
from tests.discord_bot.test_thread_context import context_reader
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_content import poll
from tests.doubles.discord_models import Channel, User

ALERT = {"type": "rich", "title": "Disk full", "description": "on db-3", "fields": [{"name": "Owner", "value": "Ida"}]}


async def test_a_forward_alone_in_a_direct_message_is_a_question_about_it(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    bob = discord.user("Bob")
    said = await discord.say(general, bob, f"Interns get 28 days, says {ada.mention}.", embeds=[ALERT])
    asked = await discord.dm(ada, "", forwards=said)
    await discord.until(lambda: answered(discord, asked.channel_id))
    question, _, quoted = dispatcher.incoming[0].text.partition("\n\n")
    assert "this message" in question
    assert "> Interns get 28 days, says @Ada." in quoted
    assert "> Disk full\n> on db-3\n> Owner: Ida" in quoted


async def test_a_poll_with_a_question_is_what_the_question_is_about(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    voted = poll("How many days?", "28", "30", votes=(3, 5))
    asked = await discord.say(general, ada, f"{discord.bot.mention} who is right?", poll=voted)
    await discord.until(lambda: answered(discord, asked))
    assert dispatcher.incoming[0].text.startswith("who is right?\n\n")
    assert "> [poll] How many days?\n> 28: 3 votes\n> 30: 5 votes" in dispatcher.incoming[0].text


async def test_the_thread_above_contains_alerts_polls_stickers_and_forwards(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    bob = discord.user("Bob")
    first = await discord.say(general, ada, "Look at this")
    thread = await discord.open_thread(first, "disk", owner=ada)
    await discord.say(thread, discord.user("Nagios", bot=True), "", embeds=[ALERT])
    await discord.say(thread, bob, "", stickers=("thumbs up",))
    await discord.say(thread, bob, "", poll=poll("Replace it?", "yes", "no"))
    await discord.say(thread, bob, "", forwards=first)
    await discord.say(thread, ada, f"{discord.bot.mention} whose disk is it?")
    await discord.until(lambda: answered(discord, thread))
    above = await context_reader(dispatcher).above()
    assert above is not None
    assert above.text == (
        "Ada: Look at this\nNagios (a bot): Disk full\non db-3\nOwner: Ida\nBob: [sticker: thumbs up]\n"
        "Bob: [poll] Replace it?\nyes: 0 votes\nno: 0 votes\nBob: [forwarded]\nLook at this"
    )


async def test_people_roles_channels_and_dates_reach_the_bot_by_name(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    world, bob = discord.world, discord.user("Bob")
    hidden = discord.channel("board")
    hidden.hidden = True
    first = await discord.say(general, ada, "x")
    await connect()
    thread = await discord.open_thread(first, "plans", owner=ada)
    text = (
        f"did {bob.mention} or <@&{world.admin_role_id}> post in <#{general.id}>, <#{thread.id}> or <#{hidden.id}> "
        "before <t:1767225600:D>, at <t:1767225600:t> or <t:1767225600>?"
    )
    said = await discord.say(thread, bob, text)
    expected = (
        "did @Bob or @Admins post in #general, #plans or #private-channel "
        "before 2026-01-01, at 00:00 UTC or 2026-01-01 00:00 UTC?"
    )
    asked = await discord.say(thread, ada, f"{discord.bot.mention} {text}")
    await discord.until(lambda: answered(discord, thread))
    assert dispatcher.incoming[0].text == expected
    above = await context_reader(dispatcher).above()
    assert above is not None
    assert above.text == f"Ada: x\nBob: {expected}"
    assert said.id < asked.id


async def test_a_person_in_a_forward_is_looked_up_once(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    bob = discord.user("Bob")
    said = await discord.say(general, ada, f"{bob.mention} and <@123456789012345678> know it")
    for count in range(1, 3):
        asked = await discord.say(general, ada, f"{discord.bot.mention} who? {count}", forwards=said)
        await discord.until(partial(answered, discord, asked))
    assert all("> @Bob and @unknown-user know it" in one.text for one in dispatcher.incoming)
    asked_for = [path for method, path in discord.rest.calls if method == "GET" and path.endswith(f"/{bob.id}")]
    assert len(asked_for) == 1


async def test_a_sticker_or_a_forward_in_a_followed_thread_is_not_a_question(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days?")
    await discord.until(lambda: answered(discord, asked))
    thread = discord.thread(asked)
    assert thread is not None
    await discord.say(thread, ada, "", stickers=("thumbs up",))
    await discord.say(thread, ada, "", forwards=asked)
    await discord.say(thread, ada, "and for interns?")
    await discord.until(lambda: answered(discord, thread, 2))
    assert [one.text for one in dispatcher.incoming] == ["how many days?", "and for interns?"]
    assert len(discord.answers(thread)) == 2


# --- a mention without a question


async def test_a_mention_alone_in_a_reply_is_about_what_it_replies_to(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    said = await discord.say(general, discord.user("Bob"), "How many days of leave do interns get?")
    asked = await discord.say(general, ada, discord.bot.mention, reply_to=said)
    await discord.until(lambda: answered(discord, asked))
    assert "> How many days of leave do interns get?" in dispatcher.incoming[0].text


async def test_a_mention_alone_in_a_thread_is_about_the_message_above(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    first = await discord.say(general, ada, "Plans for summer")
    thread = await discord.open_thread(first, "summer", owner=ada)
    await discord.say(thread, discord.user("Bob"), "How many days of leave do interns get?")
    await discord.say(thread, ada, discord.bot.mention)
    await discord.until(lambda: answered(discord, thread))
    assert "> How many days of leave do interns get?" in dispatcher.incoming[0].text
    assert "Plans" not in dispatcher.incoming[0].text


async def test_a_mention_alone_below_the_bots_answer_or_in_a_channel_asks_for_a_question(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days?")
    await discord.until(lambda: answered(discord, asked))
    thread = discord.thread(asked)
    assert thread is not None
    await discord.say(thread, ada, discord.bot.mention)
    await discord.until(lambda: any("write your question" in one.content for one in discord.answers(thread)))
    await discord.say(general, ada, discord.bot.mention)
    await discord.until(lambda: any("write your question" in one.content for one in discord.answers(general)))
    assert len(dispatcher.incoming) == 1


async def test_a_reply_without_a_ping_goes_on_where_there_are_no_threads(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    general.denied.add("create_public_threads")
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days?")
    await discord.until(lambda: answered(discord, general))
    (answer,) = discord.answers(general)
    more = await discord.say(general, ada, "and for interns?", reply_to=answer, pings=False)
    await discord.until(lambda: answered(discord, general, 2))
    assert [one.text for one in dispatcher.incoming] == ["how many days?", "and for interns?"]
    assert {one.thread.thread_id for one in dispatcher.incoming} == {str(asked.id)}
    assert dispatcher.incoming[1].kind == "follow_up"
    bob = await discord.say(general, discord.user("Bob"), "lunch?", reply_to=more, pings=False)
    await discord.say(general, ada, f"{discord.bot.mention} done", reply_to=bob, pings=False)
    await discord.until(lambda: answered(discord, general, 3))
    assert [one.text for one in dispatcher.incoming][2:] == ["done"], "a reply to another person is not for the bot"
