"""Channels that the workspace shares with other organizations: whose tenant answers, and who may act there."""

from __future__ import annotations

import pytest

from bot.engine.ports.surface import Surface
from bot.platforms.slack.payloads import installed_team
from bot.types.display import Part
from bot.types.turns import Outcome, Turn
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import PARTNER_TEAM, TEAM
from tests.slack.conftest import serving
from tests.slack.fake_dispatcher import ScriptedDispatcher
from tests.slack.oauth_serving import ONE, TWO, Browser, clock, cloud, is_answered, served
from tests.slack.test_end_to_end import finished

__all__ = ["clock", "cloud", "served"]

OURS = f"slack:{TEAM}"


async def test_a_question_in_a_channel_of_another_organization_belongs_to_the_installation(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    slack.share_channel("general", PARTNER_TEAM, owner=PARTNER_TEAM)
    asked = await slack.say("general", "alice", f"{slack.bot} hello?")
    await slack.until(lambda: finished(slack, asked))
    await slack.say("general", "alice", "and then?", thread_ts=asked.ts)
    await slack.until(lambda: len(dispatcher.accepted) == 2)
    await slack.edit(asked, f"{slack.bot} hello again?")
    await slack.until(lambda: dispatcher.edits)
    await slack.delete(asked)
    await slack.until(lambda: dispatcher.deletions)
    threads = [one.thread for one in (*dispatcher.accepted, *dispatcher.edits)] + [dispatcher.deletions[0][0]]
    assert {thread.tenant_id for thread in threads} == {OURS}
    assert {event.payload["team_id"] for event in slack.socket.deliveries} == {PARTNER_TEAM}


async def test_buttons_work_for_people_of_another_organization(
    slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    slack.share_channel("general", PARTNER_TEAM)
    slack.add_person("eve", "general", team_id=PARTNER_TEAM)
    asked = await slack.say("general", "alice", f"{slack.bot} hello?")
    await slack.until(lambda: finished(slack, asked))
    await slack.click("parley_again", finished(slack, asked)[0], "eve")
    await slack.until(lambda: dispatcher.repeats)
    assert {turn.thread.tenant_id for turn in dispatcher.started} == {OURS}


async def test_an_outsiders_shortcut_and_modal_concern_the_installation(slack: SlackDouble) -> None:
    tenants: list[str] = []

    class Recording(ScriptedDispatcher):
        async def rate(self, turn_id: str, by: object, *, tenant_id: str, value: int, reason: str = "") -> None:
            tenants.append(tenant_id)

        async def forget(self, turn_id: str, by: object, *, tenant_id: str, surface_for: object) -> list[object]:
            tenants.append(tenant_id)
            return []

    slack.share_channel("general", PARTNER_TEAM)
    slack.add_person("eve", "general", team_id=PARTNER_TEAM)
    recording = Recording()
    async with serving(slack, recording):
        asked = await slack.say("general", "alice", f"{slack.bot} hello?")
        await slack.until(lambda: finished(slack, asked))
        answer = finished(slack, asked)[0]
        await slack.click("parley_down", answer, "eve")
        await slack.until(lambda: slack.views)
        await slack.submit(slack.views[0], {"reason": {"text": "It is 28 days."}}, "eve")
        await slack.until(lambda: len(tenants) == 2)
        await slack.use_shortcut("parley_forget", answer, "eve")
        await slack.until(lambda: len(tenants) == 3)
    await recording.close()
    assert set(tenants) == {OURS}


@pytest.mark.parametrize(
    ("body", "team"),
    [
        ({"team_id": "T2", "authorizations": [{"team_id": "T1"}]}, "T1"),
        ({"team_id": "T2", "authorizations": []}, "T2"),
        ({"team": {"id": "T2"}, "message": {"team": "T1"}, "actions": [{"action_id": "parley_why"}]}, "T1"),
        ({"team": {"id": "T2"}, "message": {"team": "T3", "bot_id": "B3"}, "callback_id": "about"}, "T2"),
        ({"team": {"id": "T2"}, "view": {"app_installed_team_id": "T1"}}, "T1"),
        ({"team": {"id": "T2"}}, "T2"),
        ({"team_id": "T1", "command": "/ask"}, "T1"),
        ({"team": None, "is_enterprise_install": True, "user": {"team_id": "T2"}}, "T2"),
        ({"type": "ssl_check"}, None),
    ],
)
def test_the_installation_that_a_request_is_for(body: dict[str, object], team: str | None) -> None:
    assert installed_team(body) == team


async def test_with_two_installations_a_click_goes_to_the_one_whose_bot_wrote_the_message(
    served: tuple[Browser, ScriptedDispatcher], cloud: object
) -> None:
    browser, dispatcher = served
    for team in (ONE, TWO):
        await browser.install(team)
    slack = cloud.workspaces[ONE]  # type: ignore[attr-defined]
    asked = await browser.ask(ONE, "hello?")
    await slack.until(lambda: is_answered(slack, asked))
    answer = slack.replies(asked)[0]
    payload = slack.click_payload("parley_again", answer, "bob")
    # Bob is of the other workspace, which has the app too.
    payload |= {"team": {"id": TWO}, "user": {**payload["user"], "team_id": TWO}}
    payload["message"] |= {"team": ONE}
    assert await browser.interact(payload) == 200
    await slack.until(lambda: dispatcher.repeats)
    assert {turn.thread.tenant_id for turn in dispatcher.started} == {f"slack:{ONE}"}


@pytest.mark.parametrize(("person", "team"), [("eve", PARTNER_TEAM), ("alice", TEAM)])
async def test_a_stream_in_a_shared_channel_names_the_team_of_the_asker(
    slack: SlackDouble, person: str, team: str
) -> None:
    class Streaming(ScriptedDispatcher):
        async def _answer(self, turn: Turn, surface: Surface) -> Outcome:
            ref = await surface.post(Part("Searching", f"{turn.id}-0", turn.id, waiting=True, settled=0))
            await surface.edit(ref, Part("Done.", f"{turn.id}-0", turn.id, final=True, actions=("up",)))
            return Outcome(turn.id, turn.thread, "done", "Done.")

    slack.share_channel("general", PARTNER_TEAM)
    slack.add_person("eve", "general", team_id=PARTNER_TEAM)
    streaming = Streaming()
    async with serving(slack, streaming, slack_streaming="everywhere"):
        asked = await slack.say("general", person, f"{slack.bot} hello?")
        await slack.until(lambda: is_answered(slack, asked))
    await streaming.close()
    started = [arguments for method, arguments in slack.calls if method == "chat.startStream"]
    assert [one["recipient_team_id"] for one in started] == [team]
