"""Tests that the pages of one process show what other processes do."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bot.platforms.web.command_cards import CommandCard
from bot.platforms.web.playground import Playground
from bot.types.conversation import Author
from bot.types.turns import Turn
from tests.web.fakes import MemoryCards, MemoryHistory, ScriptedDispatcher, scripted_playground

THREAD = "thread-0001"
ANN, BEN = Author("you", "Ann", is_admin=True), Author("ben", "Ben")


class Pair:
    """Two playgrounds on one store: ``there`` answers, and ``here`` is polled."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.dispatcher = ScriptedDispatcher(self.gate.wait)
        self.cards = MemoryCards()
        self.there = scripted_playground(self.dispatcher, cards=self.cards)
        self.here = scripted_playground(ScriptedDispatcher(self.gate.wait), cards=self.cards)
        self.here.history = self.here.poller.history = MemoryHistory(self.dispatcher)

    async def ask(self, playground: Playground, text: str = "What is the limit?") -> Turn:
        turn = await playground.ask(thread_id=THREAD, message_id=text, text=text, author=ANN)
        assert turn is not None
        return turn

    async def answered(self) -> None:
        self.gate.set()
        await asyncio.gather(*self.dispatcher.running.values())

    def shown(self, turn: Turn) -> list[tuple[str, bool]]:
        return [(view.id.partition("-")[0], view.final) for view in self.here.hub.messages_of_turn(turn.id)]


async def test_a_question_of_another_process_appears_before_its_answer() -> None:
    pair = Pair()
    await pair.here.poller.poll()
    turn = await pair.ask(pair.there)
    pair.here._local.accepting += 1
    await pair.here.poller.poll()
    assert pair.shown(turn) == [], "this process may have asked it and be about to show it"
    pair.here._local.accepting -= 1
    await pair.here.poller.poll()
    assert pair.shown(turn) == [("q", False), ("e", False)]
    assert [thread.id for thread in pair.here.hub.threads("you")] == [THREAD]
    await pair.answered()
    await pair.here.poller.poll()
    assert pair.shown(turn) == [("q", True), ("h", True)]
    assert "220 EUR" in "".join(pair.here.hub.messages_of_turn(turn.id)[1].blocks)
    seq = pair.here.hub.seq
    await pair.here.poller.poll()
    assert pair.here.hub.seq == seq, "the answer is shown once"


async def test_own_questions_are_not_shown_twice() -> None:
    pair = Pair()
    await pair.there.poller.poll()
    turn = await pair.ask(pair.there)
    await pair.there.poller.poll()
    await pair.answered()
    await asyncio.gather(*pair.there._tasks)
    seq = pair.there.hub.seq
    await pair.there.poller.poll()
    assert pair.there.hub.seq == seq
    assert [view.id for view in pair.there.hub.messages_of_turn(turn.id)] == [f"q-{turn.id}", f"a-{turn.id}-2"]


async def test_a_question_deleted_elsewhere_disappears() -> None:
    pair = Pair()
    turn = await pair.ask(pair.there)
    await pair.answered()
    await pair.here.poller.poll()
    await asyncio.gather(*pair.there._tasks)
    pair.dispatcher.turns.pop(turn.id)
    for playground in (pair.here, pair.there):
        await playground.poller.poll()
        assert playground.hub.messages_of_turn(turn.id) == []


async def test_a_question_edited_elsewhere_is_shown_with_its_other_answer() -> None:
    pair = Pair()
    turn = await pair.ask(pair.there)
    await pair.answered()
    await asyncio.gather(*pair.there._tasks)
    await pair.there.poller.poll()
    pair.dispatcher.turns[turn.id] = replace(turn, question="And in Ghent?")
    pair.dispatcher.answers.pop(turn.id)
    await pair.there.poller.poll()
    views = pair.there.hub.messages_of_turn(turn.id)
    assert [view.id for view in views] == [f"q-{turn.id}", f"e-{turn.id}"]
    assert "Ghent" in views[0].blocks[0]
    pair.dispatcher.answers[turn.id] = "140 EUR"
    await pair.there.poller.poll()
    views = pair.there.hub.messages_of_turn(turn.id)
    assert [(view.id, view.final) for view in views] == [(f"q-{turn.id}", True), (f"h-{turn.id}", True)]
    assert "140 EUR" in views[1].blocks[0]


async def test_a_turn_taken_over_from_a_dead_process_is_shown_once() -> None:
    pair = Pair()
    turn = await pair.ask(pair.there)
    await pair.here.poller.poll()
    assert pair.shown(turn) == [("q", False), ("e", False)]
    for task in list(pair.dispatcher.running.values()):
        task.cancel()
    pair.dispatcher.running.clear()
    dispatcher = pair.here.dispatcher
    assert isinstance(dispatcher, ScriptedDispatcher)
    dispatcher.answers = pair.dispatcher.answers
    task = dispatcher.start(turn, pair.here.surface(turn))
    while len(pair.here.hub.messages_of_turn(turn.id)) != 2 or pair.shown(turn)[1][0] != "a":
        await asyncio.sleep(0)
    await pair.here.poller.poll()
    assert pair.shown(turn) == [("q", False), ("a", False)], "no placeholder beside the answer"
    pair.gate.set()
    await task
    await pair.here.poller.poll()
    assert pair.shown(turn) == [("q", True), ("a", True)]


async def test_a_command_is_shown_to_its_author_on_every_process() -> None:
    pair = Pair()
    reply = await pair.there.start_command("costs", "", thread_id=THREAD, author=ANN)
    await pair.here.poller.poll()
    for views in (pair.here.hub.messages_of_thread(THREAD, "you"), pair.there.hub.messages_of_thread(THREAD, "you")):
        assert [(view.role, view.final) for view in views] == [("user", True), ("command", False)]
    assert pair.here.hub.messages_of_thread(THREAD, BEN.id) == []
    assert pair.here.hub.threads(BEN.id) == []
    await asyncio.gather(*pair.there._tasks)
    await pair.here.poller.poll()
    ended = pair.here.hub.message(reply)
    assert ended == pair.there.hub.message(reply)
    assert ended is not None
    assert ended.final
    assert ended.file is not None
    assert pair.there._local.commands == {}, "the process no longer reports it as running"


async def test_a_reply_that_the_poller_stores_at_the_same_time_is_shown() -> None:
    class Polled(MemoryCards):
        """Cards that the poller writes too, before the command's own write returns."""

        async def write(self, card: CommandCard) -> None:
            await super().write(card)
            if card.reply.final and not self.polled:
                self.polled = True
                await playground.poller.keep_commands_alive()

        polled = False

    playground = scripted_playground(ScriptedDispatcher(asyncio.Event().wait), cards=Polled())
    reply = await playground.start_command("costs", "", thread_id=THREAD, author=ANN)
    assert await asyncio.gather(*playground._tasks) == [None]
    assert playground._local.commands == {}
    shown = playground.hub.message(reply)
    assert shown is not None
    assert shown.final


async def test_a_command_of_a_dead_process_ends() -> None:
    pair = Pair()
    reply = await pair.there.start_command("costs", "", thread_id=THREAD, author=ANN)
    await pair.there.close()
    await pair.here.poller.poll()
    shown = pair.here.hub.message(reply)
    assert shown is not None
    assert (shown.final, shown.failed) == (True, True), "a shutdown ends its commands"

    killed = await pair.there.start_command("costs", "", thread_id=THREAD, author=ANN)
    await pair.there.poller.keep_commands_alive()
    assert pair.cards.touched[-1] == [killed]
    (card,) = [card for card in (await pair.cards.changes(0))[0] if card.id == killed]
    pair.cards.dead = [card]
    await pair.here.poller.poll()
    shown = pair.here.hub.message(killed)
    assert shown is not None
    assert (shown.final, shown.failed, shown.actions) == (True, True, ())
    assert "Run the command again" in shown.blocks[0]
