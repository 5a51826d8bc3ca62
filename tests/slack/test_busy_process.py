"""A process that is overloaded does not collect messages without a mention."""

from __future__ import annotations

import asyncio

import pytest

from bot.platforms import unmentioned_message_limit
from bot.types.conversation import Incoming
from bot.types.turns import Turn
from tests.doubles.slack import SlackDouble
from tests.slack.fake_dispatcher import ScriptedDispatcher

MOST = 3


async def test_few_messages_without_a_mention_are_considered_at_once(
    slack: SlackDouble, dispatcher: ScriptedDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unmentioned_message_limit, "MOST_CONSIDERED", MOST)
    searched = asyncio.Event()
    considered: list[str] = []

    async def accept_unmentioned(incoming: Incoming) -> Turn | None:
        considered.append(incoming.text)
        await searched.wait()
        return None

    dispatcher.answers_unmentioned = True
    monkeypatch.setattr(dispatcher, "accept_unmentioned", accept_unmentioned)
    for number in range(2 * MOST):
        await slack.say("general", "alice", f"how many days of leave are in year {number}?")
    question = await slack.say("general", "alice", f"{slack.bot} how many days of leave?")
    await slack.until(lambda: slack.replies(question) and len(considered) >= MOST)
    assert len(considered) == MOST, "the others are ignored, and a mention is answered meanwhile"
    searched.set()
    await slack.until(lambda: dispatcher.accepted)
    await slack.say("general", "alice", "how many days of leave do interns have?")
    await slack.until(lambda: len(considered) > MOST)
