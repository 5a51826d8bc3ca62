"""Tests that pages show what other processes answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from bot.platforms.web.cross_process_events import OWN_QUESTION_DELAY, CrossProcessPoller
from bot.platforms.web.event_hub import EventHub
from bot.types.conversation import Author
from tests.web.fakes import MemoryHistory, ScriptedDispatcher, now, scripted_playground


async def test_a_question_of_another_process_appears_before_its_answer() -> None:
    gate, later = asyncio.Event(), timedelta(0)
    dispatcher = ScriptedDispatcher(gate.wait)
    there, here = scripted_playground(dispatcher), EventHub()
    poller = CrossProcessPoller(here, MemoryHistory(dispatcher), lambda: now() + later)
    await poller.poll()
    turn = await there.ask(
        thread_id="thread-0001", message_id="m1", text="What is the limit?", author=Author("you", "Ann", is_admin=True)
    )
    assert turn is not None
    await poller.poll()
    assert here.messages_of_turn(turn.id) == [], "this process may have asked it and be about to show it"
    later = OWN_QUESTION_DELAY
    await poller.poll()
    assert [(view.role, view.final) for view in here.messages_of_turn(turn.id)] == [
        ("user", False),
        ("assistant", False),
    ]
    assert [thread.id for thread in here.threads("you")] == ["thread-0001"]
    gate.set()
    await asyncio.gather(*dispatcher.running.values())
    await poller.poll()
    assert [(view.role, view.final) for view in here.messages_of_turn(turn.id)] == [("user", True), ("assistant", True)]
    assert "220 EUR" in "".join(here.messages_of_turn(turn.id)[1].blocks)
    seq = here.seq
    await poller.poll()
    assert here.seq == seq, "the answer is shown once"


async def test_own_questions_are_not_shown_twice() -> None:
    dispatcher = ScriptedDispatcher(lambda: asyncio.sleep(0))
    playground = scripted_playground(dispatcher)
    poller = CrossProcessPoller(playground.hub, MemoryHistory(dispatcher), lambda: now() + OWN_QUESTION_DELAY)
    await poller.poll()
    turn = await playground.ask(
        thread_id="thread-0001", message_id="m1", text="Why?", author=Author("you", "Ann", is_admin=True)
    )
    assert turn is not None
    await poller.poll()
    await asyncio.gather(*dispatcher.running.values())
    seq = playground.hub.seq
    await poller.poll()
    assert playground.hub.seq == seq
