"""Mentions, threads and direct messages over a real Socket Mode connection."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from bot.errors import UsageError
from bot.types.conversation import Author, ThreadKey
from tests.doubles.slack import SlackDouble
from tests.slack.conftest import serving
from tests.slack.fake_dispatcher import ScriptedDispatcher


async def test_a_mention_is_answered_once_in_its_thread(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    question = await slack.say("general", "alice", f"hey {slack.bot} what about <https://a.example|a.example> &amp; b?")
    await slack.until(lambda: any("again" in " ".join(reply.now.buttons) for reply in slack.replies(question)))
    await slack.settled()
    assert [incoming.text for incoming in dispatcher.accepted] == ["hey what about https://a.example & b?"]
    assert len(slack.socket.deliveries) >= 3, "both events of the mention and the unfurl were delivered"
    (reply,) = slack.replies(question)
    assert reply.thread_ts == question.ts
    assert "*[1]* <https://handbook.example/leave#page=4|Leave> › Holidays › page 4" in reply.shown
    assert "“Everyone has 30 days.”" in reply.shown
    assert reply.metadata == {
        "event_type": "parley_part",
        "event_payload": {"nonce": f"turn-{question.ts}-0", "turn_id": f"turn-{question.ts}"},
    }
    print(slack.transcript(versions=True))


async def test_author_place_and_time_reach_the_dispatcher(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    question = await slack.say("secret", "alice", f"{slack.bot} hello there")
    await slack.until(lambda: dispatcher.accepted)
    (incoming,) = dispatcher.accepted
    assert incoming.thread == ThreadKey("slack:T0PARLEY", "slack", "C0SECRET", question.ts)
    assert incoming.author == Author("U0ALICE", "alice", is_admin=False)
    assert incoming.kind == "mention"
    assert abs((datetime.now(UTC) - incoming.sent_at).total_seconds()) < 3600


async def test_redelivery_under_a_new_event_id_is_ignored(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    question = await slack.say("general", "alice", f"{slack.bot} once?")
    for _ in range(5):
        slack.redeliver(question)
    await slack.settled()
    await slack.until(lambda: slack.replies(question))
    assert len(dispatcher.accepted) == len(slack.replies(question)) == 1


async def test_a_thread_continues_without_a_mention(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    question = await slack.say("general", "alice", f"{slack.bot} first")
    await slack.until(lambda: len(slack.replies(question)) == 1)
    await slack.say("general", "bob", "and second?", thread_ts=question.ts)
    await slack.say("general", "bob", "<@U0ALICE> shall we have lunch?", thread_ts=question.ts)
    await slack.until(lambda: len(dispatcher.accepted) == 2)
    await slack.settled()
    assert [(incoming.kind, incoming.text) for incoming in dispatcher.accepted] == [
        ("mention", "first"),
        ("follow_up", "and second?"),
    ]
    assert dispatcher.accepted[1].thread == dispatcher.accepted[0].thread


async def test_other_threads_and_plain_messages_are_ignored(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    greeting = await slack.say("general", "alice", "good morning")
    await slack.say("general", "bob", "morning!", thread_ts=greeting.ts)
    await slack.say("random", "bob", f"{slack.bot} not invited here")
    await slack.settled()
    assert dispatcher.accepted == []


async def test_a_direct_message_needs_no_mention(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    question = await slack.dm("bob", "how long is the notice period?")
    await slack.until(lambda: slack.replies(question))
    await slack.settled()
    (incoming,) = dispatcher.accepted
    assert (incoming.kind, incoming.thread.channel_id) == ("dm", "D0BOB")
    assert len(slack.replies(question)) == 1, "the bot ignores its own answers"


async def test_edits_and_deletions_reach_the_dispatcher(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    question = await slack.say("general", "alice", f"{slack.bot} one")
    await slack.until(lambda: any(reply.edits == 2 for reply in slack.replies(question)))
    await slack.edit(question, f"{slack.bot} two")
    await slack.edit(question, f"{slack.bot} two")
    await slack.delete(question)
    await slack.say("general", "alice", f"{slack.bot} joined", subtype="channel_join")
    await slack.settled()
    assert [incoming.text for incoming in dispatcher.accepted] == ["one", "joined"], (
        "only the app_mention event of the join"
    )
    # Each edit arrives as a change and as another mention; the real dispatcher ignores what is unchanged.
    assert {(edited.text, edited.message_id) for edited in dispatcher.edits} == {("two", question.ts)}
    assert dispatcher.deletions == [(dispatcher.edits[0].thread, question.ts)]


async def test_previews_and_the_bots_own_edits_are_ignored(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    question = await slack.say("general", "alice", f"{slack.bot} see <https://example.com/a>")
    await slack.until(lambda: any(reply.edits == 2 for reply in slack.replies(question)))
    await slack.settled()
    assert (len(dispatcher.accepted), dispatcher.edits) == (1, [])


async def test_edits_in_threads_without_the_bot_are_ignored(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    root = await slack.say("general", "bob", "by the way")
    reply = await slack.say("general", "alice", "this is between us", thread_ts=root.ts)
    await slack.edit(reply, "this is still between us")
    await slack.edit(root, "never mind")
    await slack.settled()
    assert (dispatcher.accepted, dispatcher.edits) == ([], [])


async def test_eleven_deliveries_of_a_mentioned_command_run_once(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    asked = await slack.say("general", "alice", f"{slack.bot} help")
    for _ in range(10):
        slack.redeliver(asked)
    await slack.settled()
    assert len(dispatcher.first_seen) == 1
    await slack.edit(asked, f"{slack.bot} help me")
    await slack.settled()
    assert dispatcher.accepted == []


async def test_only_the_asker_sees_a_refusal(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    dispatcher.refusal = UsageError("The question is empty; write it after the mention.")
    await slack.say("general", "alice", slack.bot)
    await slack.until(lambda: slack.ephemeral_texts("alice"))
    await slack.settled()
    assert slack.ephemeral_texts("alice") == ["The question is empty; write it after the mention."]


async def test_a_message_that_could_not_be_stored_is_redelivered(
    failing_once: tuple[SlackDouble, ScriptedDispatcher],
) -> None:
    slack, dispatcher = failing_once
    question = await slack.dm("alice", "are you there?")
    await slack.until(lambda: len(slack.replies(question)) == 2)
    assert len(dispatcher.accepted) == 1
    assert slack.socket.deliveries[0].attempts == 2
    assert "I cannot save your message right now" in slack.replies(question)[0].shown


async def test_orphaned_turns_are_resumed(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    asked = await slack.say("general", "bob", "an old question")
    thread = ThreadKey("slack:T0PARLEY", "slack", "C0GENERAL", asked.ts)
    dispatcher.orphans.append(dispatcher.turn(thread, Author("U0BOB", "bob"), "an old question", asked.ts))
    await slack.until(lambda: any(reply.edits == 2 for reply in slack.replies(asked)))
    assert "You said: **an old question**" in slack.replies(asked)[0].shown


async def test_a_refreshed_connection_loses_no_event(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    await slack.socket.refresh()
    question = await slack.say("general", "alice", f"{slack.bot} still there?")
    await slack.until(lambda: slack.replies(question))
    assert sum(method == "apps.connections.open" for method, _ in slack.calls) >= 2
    assert len(dispatcher.accepted) == 1


async def test_a_lost_connection_is_restored(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    await slack.socket.drop()
    question = await slack.say("general", "alice", f"{slack.bot} are you back?")
    await slack.until(lambda: slack.replies(question))
    assert len(dispatcher.accepted) == 1


async def test_a_file_is_read_with_the_bots_token(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    files = [("notes.txt", b"remember the milk", "text/plain")]
    await slack.say("general", "alice", f"{slack.bot} what do these say?", files=files)
    await slack.until(lambda: dispatcher.accepted)
    (attachment,) = dispatcher.accepted[0].attachments
    assert (attachment.name, attachment.content_type, attachment.size) == ("notes.txt", "text/plain", 17)
    assert await attachment.read() == b"remember the milk"


async def test_an_answer_continues_while_the_platform_closes(slack: SlackDouble) -> None:
    dispatcher = ScriptedDispatcher()
    dispatcher.pause = asyncio.Event()
    async with serving(slack, dispatcher):
        question = await slack.dm("alice", "a long story")
        await slack.until(lambda: slack.replies(question))
    dispatcher.pause.set()
    await dispatcher.close()
    assert "You said: **a long story**" in slack.replies(question)[0].shown


async def test_slack_is_asked_about_overheard_people_only_where_they_may_be_answered(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    """Its limits also hold for questions: one whose readers Slack does not tell gets no team documents."""
    await slack.settled()
    before = len(slack.calls)
    for user in ("alice", "bob"):
        await slack.say("general", user, "Does anybody know how many days of leave we have?")
    await slack.settled()
    assert slack.calls[before:] == []
    dispatcher.answers_unmentioned = True
    await slack.say("general", "alice", "Lunch at twelve, see you all there.")
    await slack.settled()
    assert slack.calls[before:] == []
    await slack.say("general", "bob", "Does anybody know how many days of leave we have?")
    await slack.until(lambda: dispatcher.overheard_messages)
    assert [incoming.author.name for incoming in dispatcher.overheard_messages] == ["bob"]
