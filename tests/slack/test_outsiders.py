"""Guests and people of other organizations in Slack: what is decided about them, and what they are shown."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.platforms.slack.channel_readers import ChannelReaders, is_shared
from bot.platforms.slack.payloads import BotUser
from bot.platforms.slack.users import UserDirectory, standing
from bot.types.conversation import Author
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import PARTNER_TEAM, TEAM
from tests.slack.fake_dispatcher import ScriptedDispatcher
from tests.slack.test_end_to_end import finished, ingest_document, running

BOT = BotUser("U0BOT", "B0BOT", "T1", "local", enterprise_id="E1")
ORGANIZATION = BotUser("U0BOT", "B0BOT", "", "local", enterprise_id="E1")


@pytest.mark.parametrize(
    ("user", "bot", "expected"),
    [
        ({"team_id": "T1"}, BOT, "member"),
        ({"team_id": "T1", "is_restricted": True}, BOT, "guest"),
        ({"team_id": "T1", "is_ultra_restricted": True}, BOT, "guest"),
        ({"team_id": "T1", "deleted": True}, BOT, "outsider"),
        ({"team_id": "T2"}, BOT, "outsider"),
        ({"team_id": "T1", "is_stranger": True}, BOT, "outsider"),
        ({}, BOT, "outsider"),
        ({"team_id": "T2", "enterprise_user": {"enterprise_id": "E1", "teams": ["T2", "T1"]}}, BOT, "member"),
        ({"team_id": "T2", "enterprise_user": {"enterprise_id": "E1", "teams": ["T2"]}}, BOT, "outsider"),
        ({"team_id": "T2", "enterprise_user": {"enterprise_id": "E1"}}, ORGANIZATION, "member"),
        ({"team_id": "T9", "enterprise_user": {"enterprise_id": "E9"}}, ORGANIZATION, "outsider"),
        ({"team_id": "T9"}, ORGANIZATION, "outsider"),
    ],
)
def test_a_users_standing(user: dict[str, object], bot: BotUser, expected: str) -> None:
    assert standing(user, bot) == expected


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ({}, False),
        ({"is_ext_shared": False, "is_shared": False}, False),
        ({"is_ext_shared": True}, True),
        ({"is_shared": True}, True),
        ({"is_pending_ext_shared": True}, True),
        ({"pending_connected_team_ids": ["T9"]}, True),
    ],
)
def test_a_channel_is_shared(channel: dict[str, object], expected: bool) -> None:
    assert is_shared(channel) is expected


async def test_the_audience_of_each_question_is_decided_from_its_channel_and_asker(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    slack.share_channel("secret", PARTNER_TEAM)
    slack.add_person("gus", "secret", is_guest=True)
    slack.add_person("eve", "secret", team_id=PARTNER_TEAM, is_admin=True)
    slack.world.channels["C0GENERAL"].invited = ()
    said = [
        ("general", "alice", "members", "member"),
        ("secret", "alice", "shared", "member"),
        ("secret", "gus", "guest", "guest"),
        ("secret", "eve", "outsider", "outsider"),
    ]
    for channel, person, _, _ in said:
        await slack.say(channel, person, f"{slack.bot} hello?")
    await slack.until(lambda: len(dispatcher.accepted) == len(said))
    by_name = {(one.thread.channel_id, one.author.name): one for one in dispatcher.accepted}
    for channel, person, readers, expected in said:
        incoming = by_name[slack.channel(channel).id, person]
        assert (incoming.audience.readers, incoming.author.standing) == (readers, expected)
        assert incoming.thread.tenant_id == f"slack:{TEAM}", "a shared channel belongs to the workspace with the app"
    assert not by_name["C0SECRET", "eve"].author.is_admin, "an admin of another workspace is no admin here"


async def test_a_guest_in_a_channel_and_a_pending_invitation_count(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    slack.add_person("gus", "general", is_single_channel_guest=True)
    slack.channel("secret").invited = (PARTNER_TEAM,)
    for channel in ("general", "secret"):
        await slack.say(channel, "alice", f"{slack.bot} hello?")
    await slack.until(lambda: len(dispatcher.accepted) == 2)
    found = {one.thread.channel_id: one.audience.readers for one in dispatcher.accepted}
    assert found == {"C0GENERAL": "guests", "C0SECRET": "shared"}


async def test_an_edit_shows_that_its_channel_is_shared_now(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    asked = await slack.say("general", "alice", f"{slack.bot} hello?")
    await slack.until(lambda: dispatcher.accepted)
    assert dispatcher.accepted[0].audience.readers == "members"
    slack.share_channel("general", PARTNER_TEAM)
    await slack.edit(asked, f"{slack.bot} hello again?")
    await slack.until(lambda: dispatcher.edits)
    assert dispatcher.edits[0].audience.readers == "shared"


async def test_an_older_lookup_does_not_replace_what_an_event_shows() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    class SlowSlack:
        async def conversations_info(self, **_: object) -> dict[str, object]:
            asked.set()
            await answer.wait()
            return {"channel": {}}

    class Directory:
        async def author(self, user_id: str) -> Author:
            return Author(user_id, user_id, standing="member")

        async def guests(self) -> frozenset[str]:
            return frozenset()

    readers = ChannelReaders(cast(AsyncWebClient, SlowSlack()), cast(UserDirectory, Directory()))
    first = asyncio.create_task(readers.asker("U1", "C1"))
    await asked.wait()
    assert (await readers.asker("U2", "C1", shared=True))[1].readers == "shared"
    answer.set()
    assert (await first)[1].readers == "shared"
    assert (await readers.asker("U1", "C1"))[1].readers == "shared"


async def test_a_failed_check_is_not_taken_for_a_yes(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    slack.fail_next("conversations.info", "internal_error")
    await slack.say("general", "alice", f"{slack.bot} hello?")
    await slack.until(lambda: dispatcher.accepted)
    assert dispatcher.accepted[0].audience.readers == "unknown"
    slack.fail_next("users.info", "internal_error")
    await slack.dm("bob", "hello?")
    await slack.until(lambda: len(dispatcher.accepted) == 2)
    assert dispatcher.accepted[1].audience.refused
    await slack.say("general", "alice", f"{slack.bot} hello again?")
    await slack.until(lambda: len(dispatcher.accepted) == 3)
    assert dispatcher.accepted[2].audience.readers == "members", "it is checked again"


async def test_a_repetition_is_for_who_presses(slack: SlackDouble, dispatcher: ScriptedDispatcher) -> None:
    slack.share_channel("general", PARTNER_TEAM)
    slack.add_person("eve", "general", team_id=PARTNER_TEAM)
    asked = await slack.say("general", "alice", f"{slack.bot} hello?")
    await slack.until(lambda: finished(slack, asked))
    await slack.click("parley_again", finished(slack, asked)[0], "eve")
    await slack.until(lambda: dispatcher.repeats)
    assert dispatcher.repeated_for[0].readers == "outsider"


async def test_people_from_outside_get_the_documents_of_their_channel_alone(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    slack.share_channel("secret", PARTNER_TEAM)
    slack.world.channels["C0SECRET"].members.add("U0ADA")
    slack.add_person("eve", "secret", team_id=PARTNER_TEAM, is_admin=True)
    question = f"{slack.bot} how many days of paid leave do I have?"
    async with running(slack, database_url, tmp_path):
        await ingest_document(slack)
        inside = await slack.say("general", "alice", question)
        await slack.until(lambda: finished(slack, inside))
        assert "30 days" in finished(slack, inside)[0].shown

        for person in ("alice", "eve"):
            asked = await slack.say("secret", person, question)
            await slack.until(partial(finished, slack, asked))
            shown = finished(slack, asked)[0].shown
            assert "30 days" not in shown
            assert "only documents added to" in shown, "the reason is given"

        await slack.say("secret", "eve", f"{slack.bot} settings external on")
        await slack.until(lambda: any("Only an admin" in text for text in slack.ephemeral_texts("eve")))
        await slack.say("secret", "eve", f"{slack.bot} docs list")
        await slack.until(lambda: any("No documents yet" in text for text in slack.ephemeral_texts("eve")))
        await slack.dm("eve", "how many days of paid leave do I have?")
        await slack.until(lambda: any("only to members" in one.shown for one in slack.messages("D0EVE") if one.bot_id))

        await slack.say("secret", "ada", f"{slack.bot} settings external on")
        await slack.until(lambda: any("all of the team" in text for text in slack.ephemeral_texts("ada")))
        allowed = await slack.say("secret", "eve", question)
        await slack.until(lambda: finished(slack, allowed))
        assert "30 days" in finished(slack, allowed)[0].shown

        await slack.say("secret", "ada", f"{slack.bot} settings external off")
        await slack.until(lambda: any("While guests" in text for text in slack.ephemeral_texts("ada")))
        wide = finished(slack, allowed)[0]
        before = len(slack.ephemeral_texts("eve"))
        await slack.click("parley_sources", wide, "eve")
        await slack.until(lambda: len(slack.ephemeral_texts("eve")) > before)
        assert "not everybody here may read" in slack.ephemeral_texts("eve")[-1]
        again = await slack.say("secret", "eve", "how many days of leave was that?", thread_ts=allowed.ts)
        await slack.until(lambda: [one for one in finished(slack, allowed) if one.ts > again.ts])
        assert "30 days" not in finished(slack, allowed)[-1].shown
