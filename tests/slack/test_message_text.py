"""What a Slack message says beside its text: forwards, alerts of apps, files, names; as a question and as context."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.platforms.slack.message_text import Names, plain_text
from tests.doubles.models import ModelDouble, Reply
from tests.doubles.slack import SlackDouble
from tests.slack.fake_dispatcher import ScriptedDispatcher
from tests.slack.test_end_to_end import finished, running

ALERT = {"type": "section", "text": {"type": "mrkdwn", "text": "*Disk full* on db-3, owned by <@U0ADA>"}}


async def test_a_forward_alone_in_a_direct_message_is_a_question_about_it(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    said = await slack.say("general", "bob", "Interns get 28 days, says <@U0ADA>.")
    await slack.dm("alice", "", forwards=said)
    await slack.until(lambda: dispatcher.accepted)
    (incoming,) = dispatcher.accepted
    question, _, quoted = incoming.text.partition("\n\n")
    assert "this message" in question
    assert "> bob\n> Interns get 28 days, says @ada." in quoted
    assert quoted.count("Interns") == 1, "the blocks of the shared message repeat its text"


async def test_a_forward_with_a_question_is_what_the_question_is_about(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    said = await slack.say("general", "bob", "Interns get 28 days.")
    await slack.say("general", "alice", f"{slack.bot} is that right?", forwards=said)
    await slack.until(lambda: dispatcher.accepted)
    (incoming,) = dispatcher.accepted
    assert incoming.text.startswith("is that right?\n\n")
    assert "> Interns get 28 days." in incoming.text


async def test_a_typed_question_is_not_repeated_by_its_own_blocks(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    text = "1. <https://a.example|the page> of <#C0GENERAL>\n• a &amp; b :wave:"
    await slack.dm("alice", text)
    await slack.until(lambda: dispatcher.accepted)
    assert dispatcher.accepted[0].text == "1. the page (https://a.example) of #general\n• a & b :wave:"


async def test_people_groups_channels_and_dates_reach_the_bot_by_name(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    await slack.say(
        "general",
        "alice",
        f"{slack.bot} did <@U0BOB> or <!subteam^S0OPS> or <@U0GONE> post in <#C0GENERAL|> before "
        "<!date^1767225600^{date_short}|Jan 1>?",
    )
    await slack.until(lambda: dispatcher.accepted)
    expected = "did @bob or @ops or @U0GONE post in #general before Jan 1?"
    assert dispatcher.accepted[0].text == expected
    for _ in range(3):
        await slack.dm("alice", "is <@U0BOB> or <!subteam^S0OPS> on duty?")
    await slack.until(lambda: len(dispatcher.accepted) == 4)
    made = [method for method, _ in slack.calls]
    assert made.count("usergroups.list") == 1, "groups are cached"
    assert [args["user"] for method, args in slack.calls if method == "users.info"].count("U0BOB") == 1


async def test_an_app_without_the_scope_for_groups_still_answers(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    slack.fail_next("usergroups.list", "missing_scope")
    await slack.dm("alice", "who is <!subteam^S0OPS>?")
    await slack.until(lambda: dispatcher.accepted)
    assert dispatcher.accepted[0].text == "who is @group?"


async def test_the_name_of_a_private_channel_is_not_told(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    await slack.dm("bob", "who is in <#C0SECRET>?")
    await slack.until(lambda: dispatcher.accepted)
    assert dispatcher.accepted[0].text == "who is in #private-channel?"


async def test_the_thread_above_contains_alerts_forwards_and_names(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    async with ModelDouble() as models:
        models.script = lambda request: Reply("Ada.")
        keys = {"anthropic_api_key": models.anthropic_key, "anthropic_base_url": models.anthropic_url}
        async with running(slack, database_url, tmp_path, **keys):
            elsewhere = await slack.say("general", "ada", "The fair costs 5,000.")
            root = await slack.say("general", "ada", "Who looks at this? <!subteam^S0OPS>")
            at = float(root.ts)
            slack.add_past(
                "general",
                "ada",
                "",
                at,
                root.ts,
                bot_id="B0CI",
                bot_name="Nagios",
                attachments=[{"color": "danger", "blocks": [ALERT], "fallback": "Disk full"}],
            )
            await slack.say("general", "bob", "see", root.ts, forwards=elsewhere)
            asked = await slack.say("general", "alice", f"{slack.bot} who owns it?", root.ts)
            await slack.until(lambda: finished(slack, asked))
            above = models.requests[-1].messages[-1][1]
            assert "ada: Who looks at this? @ops" in above
            assert "Nagios (a bot): *Disk full* on db-3, owned by @ada" in above
            assert "The fair costs 5,000." in above


async def test_the_shortcut_asks_about_an_alert_without_text(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    alert = slack.add_past("general", "ada", "", 1_700_000_000.0, bot_id="B0CI", attachments=[{"blocks": [ALERT]}])
    await slack.use_shortcut("parley_about", alert, "alice")
    await slack.until(lambda: slack.views)
    quote = slack.views[0]["blocks"][0]["elements"][0]["text"]
    assert "Disk full" in quote


async def test_a_mention_added_by_an_edit_is_answered_once(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    said = await slack.say("general", "alice", "how many days of leave?")
    await slack.edit(said, f"{slack.bot} how many days of leave?")
    await slack.until(lambda: dispatcher.edits)
    await slack.settled()
    assert {one.message_id for one in dispatcher.edits} == {said.ts}
    assert dispatcher.accepted == []


async def test_a_question_with_the_link_of_a_message_is_asked_again_with_the_message(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    said = await slack.say("general", "bob", "Interns get 28 days.")
    asked = await slack.dm("alice", "is that right? https://parley.slack.com/archives/C0GENERAL/p1")
    await slack.until(lambda: slack.replies(asked))
    await slack.show_linked(asked, said)
    await slack.show_linked(asked, said)
    await slack.until(lambda: dispatcher.edits)
    await slack.settled()
    (edited,) = dispatcher.edits
    assert edited.text.startswith("is that right?")
    assert "> Interns get 28 days." in edited.text


async def test_a_forward_in_a_followed_thread_is_not_a_question(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    said = await slack.say("general", "bob", "Interns get 28 days.")
    asked = await slack.say("general", "alice", f"{slack.bot} how many days?")
    await slack.until(lambda: slack.replies(asked))
    await slack.say("general", "bob", "", asked.ts, forwards=said)
    await slack.settled()
    assert [one.text for one in dispatcher.accepted] == ["how many days?"]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("<@U2> and <@U3|carol>", "@bob and @carol"),
        ("<!subteam^S1> <!subteam^S2|@hr> <!subteam^S3>", "@ops @hr @group"),
        ("<#C1> <#C2|random> <#C3|>", "#general #random #C3"),
        ("<!date^1767225600^{date}>", "2026-01-01 00:00 UTC"),
        ("<!date^x^{date}>", "@date"),
    ],
)
def test_ids_become_names(raw: str, text: str) -> None:
    names = Names(users={"U2": "bob", "U3": "Carol C."}, groups={"S1": "ops"}, channels={"C1": "general"})
    assert plain_text(raw, names=names) == text.replace("@carol", "@Carol C.")


async def test_a_mention_alone_in_a_thread_is_about_the_message_above(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    root = await slack.say("general", "bob", "Plans for summer")
    await slack.say("general", "bob", "How many days of leave do interns get, <@U0ADA>?", root.ts)
    await slack.say("general", "alice", slack.bot, root.ts)
    await slack.until(lambda: dispatcher.accepted)
    assert "> How many days of leave do interns get, @ada?" in dispatcher.accepted[0].text
    assert "Plans" not in dispatcher.accepted[0].text


async def test_a_mention_alone_below_the_bots_answer_or_in_a_channel_asks_for_a_question(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    async with running(slack, database_url, tmp_path):
        asked = await slack.say("general", "alice", f"{slack.bot} how many days of leave?")
        await slack.until(lambda: finished(slack, asked))
        await slack.say("general", "alice", slack.bot, asked.ts)
        await slack.until(lambda: len([one for one in slack.ephemeral_texts("alice") if "no question" in one]) == 1)
        await slack.say("general", "alice", slack.bot)
        await slack.until(lambda: len([one for one in slack.ephemeral_texts("alice") if "no question" in one]) == 2)
        assert len(slack.replies(asked)) == 1
