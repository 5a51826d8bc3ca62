"""The buttons below an answer."""

from __future__ import annotations

from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import Message
from tests.slack.fake_dispatcher import ScriptedDispatcher


async def answered(slack: SlackDouble) -> Message:
    question = await slack.say("general", "alice", f"{slack.bot} how many days off?")
    await slack.until(lambda: any("parley_why" in reply.now.buttons for reply in slack.replies(question)))
    return slack.replies(question)[0]


async def test_a_running_answer_offers_stop_and_a_finished_one_the_rest(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    answer = await answered(slack)
    assert answer.versions[0].buttons == ["parley_stop"]
    assert answer.now.buttons == [
        "parley_sources",
        "parley_why",
        "parley_up",
        "parley_down",
        "parley_again",
        "parley_strong",
    ]


async def test_again_and_stronger_repeat_the_answer_in_the_thread(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    answer = await answered(slack)
    await slack.click("parley_strong", answer, "bob")
    await slack.until(lambda: len(slack.replies(answer)) == 1)
    await slack.click("parley_again", answer, "bob")
    await slack.until(lambda: len(slack.replies(answer)) == 2)
    turn_id = f"turn-{answer.thread_ts}"
    assert dispatcher.repeats == [(turn_id, "strong"), (turn_id, None)]
    assert {turn.thread.thread_id for turn in dispatcher.started} == {answer.thread_ts}


async def test_only_the_asker_or_an_admin_stops_and_refusals_are_ephemeral(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    answer = await answered(slack)
    answer.versions.append(answer.versions[0])
    await slack.click("parley_stop", answer, "bob")
    await slack.until(lambda: slack.ephemeral_texts("bob"))
    assert slack.ephemeral_texts("bob") == ["Only alice or an admin can stop this answer."]
    await slack.click("parley_stop", answer, "ada")
    await slack.until(lambda: dispatcher.stopped)
    assert dispatcher.stopped == [(f"turn-{answer.thread_ts}", "ada")]


async def test_a_thumb_up_is_stored_and_confirmed(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    answer = await answered(slack)
    await slack.click("parley_up", answer, "bob")
    await slack.until(lambda: slack.ephemeral_texts("bob"))
    assert dispatcher.ratings == [(f"turn-{answer.thread_ts}", "bob", 1, "")]
    assert slack.views == []


async def test_a_thumb_down_asks_for_the_reason(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    answer = await answered(slack)
    await slack.click("parley_down", answer, "bob")
    await slack.until(lambda: slack.views)
    await slack.submit(slack.views[0], {"reason": {"text": "It is 28 days."}}, "bob")
    await slack.until(lambda: slack.ephemeral_texts("bob"))
    turn_id = f"turn-{answer.thread_ts}"
    assert dispatcher.ratings == [(turn_id, "bob", -1, ""), (turn_id, "bob", -1, "It is 28 days.")]


async def test_an_unknown_button_is_acknowledged_and_explained(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    answer = await answered(slack)
    element = {"type": "button", "text": {"type": "plain_text", "text": "?"}, "value": "x"}
    row = {"type": "actions", "elements": [{**element, "action_id": "parley_of_old"}]}
    answer.versions.append(slack.world.version("old", [row]))
    await slack.click("parley_of_old", answer, "bob")
    await slack.until(lambda: slack.ephemeral_texts("bob"))
    assert "out of date" in slack.ephemeral_texts("bob")[0]
    await slack.settled()
