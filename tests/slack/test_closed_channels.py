"""Channels in which the bot may not post: the asker is told privately, once, with the cure."""

from __future__ import annotations

import pytest

from bot.platforms.slack import user_messages
from bot.types.display import Part
from tests.doubles import slack_errors
from tests.doubles.slack import SlackDouble
from tests.slack.test_refused_layouts import surface_of


@pytest.mark.parametrize("code", user_messages.CURES)
async def test_the_asker_is_told_once_why_there_is_no_answer(slack: SlackDouble, code: str) -> None:
    method = next(one for one in ("chat.postMessage", "chat.update") if code in slack_errors.codes_of(one))
    async with surface_of(slack, asker="U0ALICE") as (surface, _):
        ref = await surface.post(Part("…", "turn-1:0", "turn-1"))
        for _ in range(2):
            slack.fail_next(method, code)
            part = Part("Everyone has 30 days.", "turn-1:1", "turn-1")
            with pytest.raises(Exception, match=code):
                await (surface.edit(ref, part) if method == "chat.update" else surface.post(part))
    (told,) = slack.messages("D0ALICE")
    assert told.shown == user_messages.cannot_answer_in("C0GENERAL", code)
    assert user_messages.CURES[code] in told.shown
    assert "\n" not in told.shown


async def test_a_channel_that_is_archived_during_an_answer_is_explained(slack: SlackDouble) -> None:
    async with surface_of(slack, asker="U0ALICE") as (surface, _):
        ref = await surface.post(Part("…", "turn-1:0", "turn-1"))
        slack.channel("general").is_archived = True
        with pytest.raises(Exception, match="is_archived"):
            await surface.edit(ref, Part("Everyone has 30 days.", "turn-1:0", "turn-1"))
    assert "archived" in slack.messages("D0ALICE")[-1].shown


async def test_a_deleted_question_and_a_closed_direct_message_are_not_explained(slack: SlackDouble) -> None:
    async with surface_of(slack, asker="U0ALICE") as (surface, _):
        slack.fail_next("chat.postMessage", "thread_not_found")
        with pytest.raises(Exception, match="thread_not_found"):
            await surface.post(Part("…", "turn-1:0", "turn-1"))
    assert slack.messages("D0ALICE") == []


async def test_an_asker_who_cannot_be_told_changes_nothing(slack: SlackDouble) -> None:
    async with surface_of(slack, asker="U0ALICE") as (surface, _):
        slack.fail_next("chat.postMessage", "not_in_channel")
        slack.fail_next("conversations.open", "user_disabled")
        with pytest.raises(Exception, match="not_in_channel"):
            await surface.post(Part("…", "turn-1:0", "turn-1"))
