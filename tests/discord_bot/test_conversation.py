"""Mentions, threads and direct messages, over real sockets with the real library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.types.conversation import Author, ThreadKey
from tests.discord_bot.conftest import Connect
from tests.discord_bot.fake_dispatcher import SCRIPT, ScriptedDispatcher
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import VOICE, Channel, Message, User
from tests.doubles.discord_rest import DROPPED


def answered(discord: DiscordDouble, place: Channel | Message | int, count: int = 1) -> bool:
    finished = [message for message in discord.answers(place) if "Why?" in message.buttons()]
    return len(finished) >= count


async def test_a_mention_is_answered_in_a_thread_created_from_it(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave do we have?")
    await discord.until(lambda: answered(discord, asked))

    thread = discord.thread(asked)
    assert thread is not None
    assert thread.name == "how many days of leave do we have?"
    assert discord.answers(general) == []
    (answer,) = discord.answers(asked)
    assert answer.content == SCRIPT[-1]
    assert answer.edits == len(SCRIPT) + 1
    assert "Leave" in answer.embed_text()
    assert "30 days of paid leave" in answer.embed_text()
    assert list(answer.buttons()) == ["Sources", "Why?", "👍", "👎", "Ask again", "Stronger model"]
    assert [len(row["components"]) for row in answer.components] == [4, 2]
    assert [list(version.components) != [] for version in answer.versions] == [True] * len(answer.versions)
    (incoming,) = dispatcher.incoming
    tenant = f"discord:{discord.world.guild_id}"
    assert incoming.thread == ThreadKey(tenant, "discord", str(general.id), str(asked.id))
    assert incoming.text == "how many days of leave do we have?"
    assert incoming.author == Author(str(ada.id), "Ada", is_admin=False)
    print(discord.transcript())


async def test_a_follow_up_in_the_thread_needs_no_mention(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, asked))
    thread = discord.thread(asked)
    assert thread is not None
    await discord.say(thread, discord.user("Bob"), "and for interns?")
    await discord.until(lambda: answered(discord, asked, 2))

    first, second = dispatcher.incoming
    assert second.kind == "follow_up"
    assert second.thread == first.thread
    assert second.author.name == "Bob"


async def test_messages_of_people_to_each_other_are_not_answered(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    chatter = await discord.say(general, ada, "lunch?")
    theirs = await discord.open_thread(chatter, "lunch", owner=ada)
    await discord.say(theirs, ada, "who knows a good place?")
    asked = await discord.say(theirs, ada, f"{discord.bot.mention} do you?")
    await discord.until(lambda: answered(discord, theirs))

    assert [incoming.message_id for incoming in dispatcher.incoming] == [str(asked.id)]
    assert dispatcher.incoming[0].thread.thread_id == str(theirs.id)
    assert dispatcher.incoming[0].thread.channel_id == str(general.id)


async def test_a_direct_message_is_answered_where_it_was_written(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, ada: User
) -> None:
    await connect()
    asked = await discord.dm(ada, "how many days of leave?")
    await discord.until(lambda: answered(discord, asked.channel_id))

    (incoming,) = dispatcher.incoming
    assert incoming.kind == "dm"
    assert incoming.thread == ThreadKey("discord:dm", "discord", str(asked.channel_id), str(asked.channel_id))
    assert discord.thread(asked) is None


async def test_a_redelivered_event_is_answered_once(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.redeliver(asked)
    await discord.redeliver(asked)
    await discord.until(lambda: answered(discord, asked))
    later = await discord.say(general, ada, f"{discord.bot.mention} and sick days?")
    await discord.until(lambda: answered(discord, later))

    assert len(dispatcher.incoming) == 2
    assert len(discord.answers(asked)) == 1


async def test_bots_are_never_answered(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    await discord.say(general, discord.user("OtherBot", bot=True), f"{discord.bot.mention} hello, fellow bot")
    asked = await discord.say(general, ada, f"{discord.bot.mention} hello?")
    await discord.until(lambda: answered(discord, asked))

    assert [incoming.author.name for incoming in dispatcher.incoming] == ["Ada"]


async def test_without_permission_to_create_threads_a_chain_of_replies_is_one_conversation(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    general.denied = {"create_public_threads"}
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, general))
    (answer,) = discord.answers(general)
    assert answer.reference is not None
    assert answer.reference["message_id"] == str(asked.id)

    await discord.say(general, ada, "and for interns?", reply_to=answer)
    await discord.until(lambda: answered(discord, general, 2))
    assert [incoming.thread.thread_id for incoming in dispatcher.incoming] == [str(asked.id)] * 2
    assert discord.thread(asked) is None


async def test_in_a_voice_channel_it_replies_because_there_are_no_threads(
    discord: DiscordDouble, connect: Connect, ada: User
) -> None:
    lounge = discord.channel("lounge", VOICE)
    await connect()
    await discord.say(lounge, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, lounge))


async def test_an_empty_question_and_an_unexpected_error_are_explained(
    discord: DiscordDouble, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    await discord.say(general, ada, discord.bot.mention)
    await discord.until(lambda: discord.answers(general))
    await discord.say(general, ada, f"{discord.bot.mention} crash")
    await discord.until(lambda: len(discord.answers(general)) == 2)

    usage, failure = discord.answers(general)
    assert usage.content == "Ask me something: write your question after my name."
    assert "trace ID" in failure.content
    assert "database" not in failure.content


async def test_a_question_in_an_archived_thread_is_answered(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    old = await discord.say(general, ada, "an old matter")
    thread = await discord.open_thread(old, "old matter", owner=ada)
    thread.archived = True
    await connect()
    await discord.say(thread, ada, f"{discord.bot.mention} what came of it?")
    await discord.until(lambda: answered(discord, thread))

    assert dispatcher.incoming[0].thread.channel_id == str(general.id)


async def test_admins_are_recognized_by_permission(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel
) -> None:
    await connect()
    boss = discord.user("Boss", admin=True)
    asked = await discord.say(general, boss, f"{discord.bot.mention} hello?")
    await discord.until(lambda: answered(discord, asked))
    assert dispatcher.incoming[0].author.is_admin


async def test_attachments_are_part_of_the_question(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    text = f"{discord.bot.mention} what does this say?"
    asked = await discord.say(general, ada, text, attachments=(("note.txt", "text/plain", b"hello"),))
    await discord.until(lambda: answered(discord, asked))

    (file,) = dispatcher.incoming[0].attachments
    assert (file.name, file.content_type, file.size) == ("note.txt", "text/plain", 5)
    assert await file.read() == b"hello"


async def test_edits_and_deletions_reach_the_dispatcher(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, asked))
    await discord.add_link_preview(asked)
    await discord.edit(asked, f"{discord.bot.mention} how many weeks?")
    await discord.until(lambda: dispatcher.edits)
    assert [(edited.text, edited.message_id) for edited in dispatcher.edits] == [("how many weeks?", str(asked.id))]
    await discord.delete(asked)
    await discord.until(lambda: dispatcher.deletions)
    ((thread, message_id),) = dispatcher.deletions
    assert (thread.channel_id, message_id) == (str(general.id), str(asked.id))
    assert len(dispatcher.incoming) == 1


async def test_an_edited_question_that_was_answered_without_a_mention_is_answered_again(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    dispatcher.auto_answers = True
    await connect()
    asked = await discord.say(general, ada, "how many days of leave?")
    await discord.until(lambda: answered(discord, asked))
    dispatcher.auto_answers = False
    ignored = await discord.say(general, ada, "see you at lunch")
    await discord.edit(ignored, "see you at noon")
    await discord.edit(asked, "how many weeks?")
    await discord.until(lambda: dispatcher.edits)
    assert [(edited.text, edited.message_id) for edited in dispatcher.edits] == [("how many weeks?", str(asked.id))]


async def test_messages_sent_while_no_process_was_connected_are_answered_later(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    missed = await discord.say_undelivered(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.say_undelivered(general, ada, "nothing to you")
    dispatcher.last_connected = datetime.now(UTC) - timedelta(minutes=1)
    await connect()
    await discord.until(lambda: answered(discord, missed))
    await discord.redeliver(missed)
    await discord.say(general, ada, f"{discord.bot.mention} and of parental leave?")
    await discord.until(lambda: len(dispatcher.incoming) == 2)
    assert [incoming.text for incoming in dispatcher.incoming] == ["how many days of leave?", "and of parental leave?"]


async def test_missed_messages_are_read_once_the_database_is_back(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    connect: Connect,
    general: Channel,
    ada: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only then does the process count as connected, so that the next one reads from where it stopped."""
    monkeypatch.setattr("bot.platforms.discord.catch_up.STORE_RETRY_SECONDS", 0.05)
    asked = await discord.say_undelivered(general, ada, f"{discord.bot.mention} how many days of leave?")
    dispatcher.last_connected, dispatcher.store_failures_at_start = datetime.now(UTC) - timedelta(minutes=1), 3
    await connect()
    assert dispatcher.served == []
    await discord.until(lambda: answered(discord, asked))
    await discord.until(lambda: dispatcher.served == ["discord"])


@pytest.mark.parametrize("status", [DROPPED, 503])
async def test_channels_for_which_discord_does_not_answer_are_read_again(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    connect: Connect,
    general: Channel,
    ada: User,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.platforms.discord.catch_up.STORE_RETRY_SECONDS", 0.01)
    asked = [
        await discord.say_undelivered(place, ada, f"{discord.bot.mention} how many days of leave?")
        for place in (general, discord.channel("random"))
    ]
    discord.fail("GET", rf"/channels/{general.id}/messages$", status=status, times=5)
    dispatcher.last_connected = datetime.now(UTC) - timedelta(minutes=1)
    await connect()
    await discord.until(lambda: dispatcher.served == ["discord"])
    assert {incoming.message_id for incoming in dispatcher.incoming} == {str(message.id) for message in asked}


async def test_waiting_for_the_database_leaves_the_attempts_to_read_from_discord(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    connect: Connect,
    general: Channel,
    ada: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.platforms.discord.catch_up.STORE_RETRY_SECONDS", 0.01)
    monkeypatch.setattr("bot.platforms.discord.catch_up.MAX_ATTEMPTS", 3)
    asked = await discord.say_undelivered(general, ada, f"{discord.bot.mention} how many days of leave?")
    discord.fail("GET", rf"/channels/{general.id}/messages$", status=503, times=2)
    dispatcher.last_connected, dispatcher.store_failures_at_start = datetime.now(UTC) - timedelta(minutes=1), 3
    await connect()
    await discord.until(lambda: dispatcher.served == ["discord"])
    assert [incoming.message_id for incoming in dispatcher.incoming] == [str(asked.id)]


@pytest.mark.parametrize("attempts", [1, 2])
async def test_the_catch_up_ends_although_discord_never_answers_for_a_channel(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    connect: Connect,
    general: Channel,
    ada: User,
    attempts: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.platforms.discord.catch_up.STORE_RETRY_SECONDS", 0.01)
    monkeypatch.setattr("bot.platforms.discord.catch_up.MAX_ATTEMPTS", attempts)
    await discord.say_undelivered(general, ada, f"{discord.bot.mention} how many days of leave?")
    discord.fail("GET", rf"/channels/{general.id}/messages$", status=503, times=9)
    dispatcher.last_connected = datetime.now(UTC) - timedelta(minutes=1)
    await connect()
    await discord.until(lambda: dispatcher.served == ["discord"])
    assert dispatcher.incoming == []


@pytest.mark.parametrize(("status", "code"), [(403, 50001), (400, 50008)])
async def test_a_channel_that_cannot_be_read_does_not_end_the_catch_up(
    discord: DiscordDouble,
    dispatcher: ScriptedDispatcher,
    connect: Connect,
    general: Channel,
    ada: User,
    status: int,
    code: int,
) -> None:
    asked = [
        await discord.say_undelivered(place, ada, f"{discord.bot.mention} how many days of leave?")
        for place in (general, discord.channel("random"), discord.channel("travel"))
    ]
    discord.fail("GET", rf"/channels/{general.id}/messages$", status=status, code=code, times=5)
    dispatcher.last_connected = datetime.now(UTC) - timedelta(minutes=1)
    await connect()
    await discord.until(lambda: dispatcher.served == ["discord"])
    assert {incoming.message_id for incoming in dispatcher.incoming} == {str(message.id) for message in asked[1:]}


async def test_no_missed_messages_are_read_before_the_first_connection(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await discord.say_undelivered(general, ada, f"{discord.bot.mention} how many days of leave?")
    await connect()
    await discord.say(general, ada, f"{discord.bot.mention} hello?")
    await discord.until(lambda: dispatcher.incoming)
    assert [incoming.text for incoming in dispatcher.incoming] == ["hello?"]


async def test_a_message_that_cannot_be_stored_is_retried(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    dispatcher.store_failures = 2
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, asked))
    assert len(dispatcher.incoming) == 1
    assert len(discord.answers(asked)) == 1
    assert discord.answers(general) == []


async def test_questions_in_a_followed_thread_that_are_meant_for_others_are_not_answered(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User
) -> None:
    await connect()
    asked = await discord.say(general, ada, f"{discord.bot.mention} how many days of leave?")
    await discord.until(lambda: answered(discord, asked))
    thread, bob = discord.thread(asked), discord.user("Bob")
    assert thread is not None
    of_bob = await discord.say(thread, bob, f"{ada.mention} can you confirm that?")
    await discord.say(thread, bob, f"<@&{discord.world.admin_role_id}> can you confirm that?")
    await discord.say(thread, bob, "@everyone is that so?")
    await discord.say(thread, bob, "@here is that so?")
    await discord.say(thread, ada, "which one do you mean?", reply_to=of_bob)
    named = await discord.say(thread, bob, f"{ada.mention} wait. {discord.bot.mention} is that so?")
    answer = discord.answers(asked)[0]
    on_answer = await discord.say(thread, ada, "and for interns?", reply_to=answer)
    last = await discord.say(thread, ada, "and in May?")
    await discord.until(lambda: len(dispatcher.incoming) >= 4)
    followed = [str(message.id) for message in (asked, named, on_answer, last)]
    assert [incoming.message_id for incoming in dispatcher.incoming] == followed


@pytest.mark.parametrize(
    "text", ["write `{} hi` to ask it", "```\n{} hi\n```", "> {} hi\nthat was me", ">>> see\n{} hi"]
)
async def test_a_mention_in_code_or_in_a_quotation_does_not_call_the_bot(
    discord: DiscordDouble, dispatcher: ScriptedDispatcher, connect: Connect, general: Channel, ada: User, text: str
) -> None:
    await connect()
    await discord.say(general, ada, text.format(discord.bot.mention))
    called = await discord.say(general, ada, f"{discord.bot.mention} what does `{discord.bot.mention} hi` do?")
    await discord.until(lambda: dispatcher.incoming)
    assert [one.message_id for one in dispatcher.incoming] == [str(called.id)]
    assert dispatcher.incoming[0].text == "what does `@Parley hi` do?"
