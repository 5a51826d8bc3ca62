"""What one process answers is seen on the pages of another."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from bot.platforms.web.cross_process_events import OWN_MOMENT, Elsewhere
from bot.platforms.web.event_hub import Hub
from bot.platforms.web.playground import person
from tests.web.fakes import MemoryHistory, ScriptedDispatcher, now, room


async def test_a_question_stands_at_once_and_its_answer_when_it_has_ended() -> None:
    gate, later = asyncio.Event(), timedelta(0)
    dispatcher = ScriptedDispatcher(gate.wait)
    there, here = room(dispatcher), Hub()
    elsewhere = Elsewhere(here, MemoryHistory(dispatcher), lambda: now() + later)
    await elsewhere.look()
    turn = await there.ask(thread_id="thread-0001", message_id="m1", text="What is the limit?", author=person("Ann"))
    assert turn is not None
    await elsewhere.look()
    assert here.of_turn(turn.id) == [], "it may be about to be shown by whoever took it in"
    later = OWN_MOMENT
    await elsewhere.look()
    assert [(view.role, view.final) for view in here.of_turn(turn.id)] == [("user", False), ("assistant", False)]
    assert [thread.id for thread in here.threads()] == ["thread-0001"]
    gate.set()
    await asyncio.gather(*dispatcher.running.values())
    await elsewhere.look()
    assert [(view.role, view.final) for view in here.of_turn(turn.id)] == [("user", True), ("assistant", True)]
    assert "220 EUR" in "".join(here.of_turn(turn.id)[1].blocks)
    seq = here.seq
    await elsewhere.look()
    assert here.seq == seq, "said once"


async def test_what_is_shown_here_is_left_alone() -> None:
    dispatcher = ScriptedDispatcher(lambda: asyncio.sleep(0))
    playground = room(dispatcher)
    elsewhere = Elsewhere(playground.hub, MemoryHistory(dispatcher), lambda: now() + OWN_MOMENT)
    await elsewhere.look()
    turn = await playground.ask(thread_id="thread-0001", message_id="m1", text="Why?", author=person("Ann"))
    assert turn is not None
    await elsewhere.look()
    await asyncio.gather(*dispatcher.running.values())
    seq = playground.hub.seq
    await elsewhere.look()
    assert playground.hub.seq == seq
