"""Interrupted replies: no second message, no edit by a process that lost the turn, no unrecorded call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from bot.engine import user_messages as said
from bot.engine.aio import closing
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.lease import CONFIRM_SECONDS
from bot.engine.answer.poison import MAX_DEATHS
from bot.engine.dispatch import turn_runner
from bot.engine.dispatch.concurrency import TurnSlots
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.engine.dispatch.running_turn import RunningTurn
from bot.engine.display.edit_pacing import SharedPacing
from bot.engine.display.stream import Display
from bot.engine.ports.llm import Event, Meter, Prompt, RecordingMeter
from bot.errors import LeaseLost, StoreAway, SurfaceError
from bot.types.conversation import ThreadKey
from bot.types.display import Part
from bot.types.turns import Lease, Turn
from tests.engine.fakes import FakeStores, Library, Screen, Writer, call, turn
from tests.engine.test_engine import ANSWER, OTHER, RULE, engine, script


@dataclass
class Forgetful(Screen):
    """A Screen that can lose responses to posts; ``deaf`` is the number of responses to lose."""

    deaf: int = 0
    looked: list[str] = field(default_factory=list)

    async def post(self, part: Part) -> str:
        ref = await super().post(part)
        if self.deaf:
            self.deaf -= 1
            raise SurfaceError("timed out")
        return ref

    async def find(self, nonce: str) -> str | None:
        self.looked.append(nonce)
        return await super().find(nonce)


async def test_a_post_whose_answer_was_lost_is_found_and_not_made_again() -> None:
    screen = Forgetful(deaf=1)
    outcome = await engine(FakeStores(), Writer([script(ANSWER)])).handle(turn(), screen)
    assert outcome.state == "done"
    assert [parts[-1].text for parts in screen.messages.values()] == [ANSWER]
    assert screen.looked == ["7b1c:0"]


async def test_a_post_that_went_well_is_not_looked_for() -> None:
    screen = Forgetful()
    await engine(FakeStores(), Writer([script(ANSWER)])).handle(turn(), screen)
    assert screen.looked == []


async def test_what_a_dead_process_had_on_record_is_looked_for_before_it_is_posted() -> None:
    screen = Forgetful()
    await screen.post(Part("_Looking…_", "7b1c:0", "7b1c"))
    outcome = await engine(FakeStores(), Writer([script(ANSWER)])).handle(turn(recorded=1), screen)
    assert outcome.state == "done"
    assert [parts[-1].text for parts in screen.messages.values()] == [ANSWER]


async def test_what_was_on_record_and_never_posted_is_posted() -> None:
    screen, store = Forgetful(), FakeStores()
    await engine(store, Writer([script(ANSWER)])).handle(turn(recorded=1), screen)
    assert [parts[-1].text for parts in screen.messages.values()] == [ANSWER]
    assert store.parts == {0: "m0"}


async def test_surplus_messages_of_a_draft_go_even_if_only_their_record_is_known() -> None:
    screen = Forgetful()
    for index in range(3):
        await screen.post(Part(f"draft {index}", f"7b1c:{index}", "7b1c"))
    await engine(FakeStores(), Writer([script(ANSWER)])).handle(turn(parts=("m0",), recorded=3), screen)
    assert [parts[-1].text for parts in screen.messages.values()] == [ANSWER]


async def test_no_edit_is_made_that_is_not_confirmed() -> None:
    screen, answers = Screen(), [None, SurfaceError("unsure"), None, LeaseLost("taken over")]

    async def confirm() -> None:
        answer = answers.pop(0) if answers else None
        if answer is not None:
            raise answer

    async def record(index: int, ref: str | None, *, replaced: str | None = None) -> str | None:
        return ref

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(0)

    async with Display(screen, turn_id="t", record=record, confirm=confirm, sleep=sleep) as display:
        await display.say("one")
        await display.say("two")
        assert [part.text for part in screen.messages["m0"]] == ["one"]
        await display.say("three")
        assert [part.text for part in screen.messages["m0"]] == ["one", "three"]
        with pytest.raises(LeaseLost):
            await display.say("four")
        assert [part.text for part in screen.messages["m0"]] == ["one", "three"]


class Renewing(FakeStores):
    """A Memory that counts how often its lease was requested."""

    renewed = 0
    away = False

    async def renew(self, turn: Turn, lease: Lease) -> None:
        self.renewed += 1
        if self.away:
            raise StoreAway("gone")
        await super().renew(turn, lease)


async def test_a_process_that_slept_asks_for_its_lease_before_it_shows_more() -> None:
    store = Renewing()
    context, moment = engine(store, Writer([]))._context, [100.0]
    context = replace(context, monotonic=lambda: moment[0])
    held = Attempt.begin(context, turn(), Lease("7b1c", 1)).lease
    await held.confirm()
    assert store.renewed == 0
    moment[0] += CONFIRM_SECONDS
    await held.confirm()
    await held.confirm()
    assert store.renewed == 1
    moment[0] += 60
    store.away = True
    with pytest.raises(SurfaceError):
        await held.confirm()
    store.away, store.lost = False, True
    with pytest.raises(LeaseLost):
        await held.confirm()


async def test_a_doubt_is_looked_into_at_once() -> None:
    store, screen, doubt = FakeStores(), Screen(), asyncio.Event()

    async def endless(_: Prompt) -> AsyncIterator[str | Event]:
        yield "Half "
        store.lost = True
        doubt.set()
        await asyncio.sleep(30)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(engine(store, Writer([endless])).handle(turn(), screen, doubt=doubt), 5)
    assert store.finished == []
    assert [len(calls) for calls in store.billed] == [1]


async def test_a_deleted_question_takes_its_messages_along() -> None:
    store, screen, doubt = FakeStores(), Screen(), asyncio.Event()

    async def endless(_: Prompt) -> AsyncIterator[str | Event]:
        yield "Half "
        await store.forget(turn())
        doubt.set()
        await asyncio.sleep(30)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(engine(store, Writer([endless])).handle(turn(), screen, doubt=doubt), 5)
    assert screen.messages == {}


async def test_a_database_that_stays_away_delays_the_answer_and_fails_nothing() -> None:
    class Away(FakeStores):
        async def reserve(self, turn: Turn, tokens: int):  # type: ignore[no-untyped-def]
            raise StoreAway("gone")

    store, screen = Away(), Screen()
    with pytest.raises(StoreAway):
        await engine(store, Writer([])).handle(turn(), screen)
    assert screen.last.text == said.STORE_AWAY
    assert (store.finished, len(store.handed_back)) == ([], 1)


async def test_a_turn_that_kills_its_processes_is_given_up() -> None:
    class Deadly(FakeStores):
        async def lease(self, turn: Turn) -> Lease | None:
            return Lease(turn.id, 9, takeovers=MAX_DEATHS)

    screen, llm = Screen(), Writer([])
    outcome = await engine(Deadly(), llm).handle(turn(), screen)
    assert (outcome.state, screen.last.text) == ("refused", said.GIVEN_UP)
    assert llm.prompts == []


async def test_a_stop_that_comes_when_the_answer_stands_leaves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = asyncio.Event()

    async def keep(*_: object) -> None:
        kept.set()
        await asyncio.sleep(60)

    monkeypatch.setattr("bot.engine.answer.cached.index", keep)
    stops: list[bool] = []
    handling = asyncio.create_task(
        engine(FakeStores(), Writer([script(ANSWER)])).handle(turn(), Screen(), stopped=lambda: bool(stops))
    )
    await kept.wait()
    stops.append(True)
    handling.cancel()
    outcome = await handling
    assert (outcome.state, outcome.answer) == ("done", ANSWER)
    assert handling.cancelling() == 0


async def test_a_stop_that_came_by_another_process_is_obeyed() -> None:
    class Stopped(FakeStores):
        async def lease(self, turn: Turn) -> Lease | None:
            return Lease(turn.id, 1, stopping=True)

    llm = Writer([])
    assert (await engine(Stopped(), llm).handle(turn(), Screen())).state == "cancelled"
    assert llm.prompts == []


async def test_the_turn_is_answered_as_it_stands_when_it_is_leased() -> None:
    class Changed(FakeStores):
        async def lease(self, turn: Turn) -> Lease | None:
            return Lease(turn.id, 2)

        async def turn(self, tenant_id: str, turn_id: str) -> Turn | None:
            return turn(id=turn_id, question="What is the new limit?")

    library = Library((RULE, OTHER))
    await engine(Changed(), Writer([script(ANSWER)]), library).handle(turn(), Screen())
    assert [query for query, _ in library.queries] == ["What is the new limit?"]


class Opens(Writer):
    """A Writer that records its calls before they are sent, as providers do."""

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncIterator[Event]:
        assert isinstance(meter, RecordingMeter)
        await meter.opens(replace(call(900, 0), status="open"))
        async with closing(super().stream(prompt, meter=meter)) as events:
            async for event in events:
                yield event


async def test_a_call_is_on_record_before_it_is_sent_and_further_ones_are_paid_for() -> None:
    store, llm = FakeStores(), Opens([script(""), script(ANSWER)])
    outcome = await engine(store, llm).handle(turn(), Screen())
    assert outcome.state == "done"
    first, further = (tokens for _, tokens in store.opened)
    assert first is not None
    assert further is not None
    assert further > first
    assert all(len(made.id) == 32 for made in outcome.calls)


async def test_a_further_call_that_does_not_fit_is_not_sent() -> None:
    class Full(FakeStores):
        async def open_call(self, *arguments: object, tokens: int | None = None) -> None:
            self.limit = 0 if self.opened else self.limit
            await super().open_call(*arguments, tokens=tokens)  # type: ignore[arg-type]

    screen, llm = Screen(), Opens([script(""), script(ANSWER)])
    outcome = await engine(Full(), llm).handle(turn(), screen)
    assert outcome.state == "refused"
    assert len(llm.prompts) == 1


async def test_whoever_waits_is_told_once_and_lets_others_have_the_turn() -> None:
    store, screen, places = FakeStores(), Screen(), TurnSlots(1)
    await places.take(turn(id="busy"))
    waiting = RunningTurn(turn(), screen, quiet_seconds=0.0)
    admitted = asyncio.create_task(waiting.wait_for_slot(places, store.stores, shared=True))
    while not store.released:
        await asyncio.sleep(0)
    assert screen.last.text == said.queued(1)
    assert screen.last.actions == ("stop",)
    assert store.parts == {0: "m0"}
    places.give(turn(id="busy"))
    await asyncio.wait_for(admitted, 5)


class Shut(SharedPacing):
    """A workspace without spare edits."""

    shut, asked = True, 0

    def blocked(self, now: float) -> float:
        self.asked += 1
        return 60.0 if self.shut else 0.0


async def test_what_an_asker_was_told_is_corrected_only_where_no_answer_needs_the_edits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.engine.dispatch.running_turn.UPDATE_SECONDS", 0.01)
    store, screen, places, pace = FakeStores(), Screen(), TurnSlots(1), Shut()
    first, busy = turn(id="first"), turn(id="busy")
    await places.take(busy)
    ahead = asyncio.create_task(places.take(first))
    await asyncio.sleep(0)
    waiting = RunningTurn(turn(), screen, quiet_seconds=0.0, pace=pace)
    admitted = asyncio.create_task(waiting.wait_for_slot(places, store.stores, shared=True))
    while not store.released:
        await asyncio.sleep(0)
    assert screen.last.text == said.queued(2)
    ahead.cancel()
    pace.asked = 0
    while not pace.asked and screen.last.text == said.queued(2):
        await asyncio.sleep(0.01)
    assert screen.last.text == said.queued(2)
    pace.shut = False
    while screen.last.text != said.queued(1):
        await asyncio.sleep(0.01)
    places.give(busy)
    await asyncio.wait_for(admitted, 5)


async def test_a_later_question_of_a_thread_is_told_nothing_before_the_earlier_one_has_ended() -> None:
    class Second(FakeStores):
        asked = 0

        async def open_turns(self, thread: ThreadKey) -> Sequence[Turn]:
            self.asked += 1
            return (turn(id="earlier"), turn())

    store, screen, places = Second(), Screen(), TurnSlots(1)
    await places.take(turn(id="busy"))
    admitted = asyncio.create_task(
        RunningTurn(turn(), screen, quiet_seconds=0.0).wait_for_slot(places, store.stores, shared=True)
    )
    while not store.asked:
        await asyncio.sleep(0)
    places.give(turn(id="busy"))
    await asyncio.wait_for(admitted, 10)
    assert screen.messages == {}


async def test_whoever_waits_learns_that_another_process_answers() -> None:
    class Taken(FakeStores):
        async def hold(self, turn: Turn) -> bool:
            return False

    places = TurnSlots(1)
    await places.take(turn(id="busy"))
    with pytest.raises(LeaseLost):
        await RunningTurn(turn(), Screen(), quiet_seconds=0.0).wait_for_slot(places, Taken().stores, shared=True)
    places.give(turn(id="busy"))
    assert places.free == 1


@pytest.mark.parametrize(("place", "word"), [(1, "next"), (3, "third"), (12, "number 12")])
def test_the_place_in_the_queue_is_said_in_words(place: int, word: str) -> None:
    assert word in said.queued(place)


class Slow(FakeStores):
    """A Memory that grants a lease at once but returns it only when the test allows it."""

    def __init__(self) -> None:
        super().__init__()
        self.granted, self.said = asyncio.Event(), asyncio.Event()

    async def lease(self, turn: Turn) -> Lease | None:
        lease = await super().lease(turn)
        self.granted.set()
        await self.said.wait()
        return lease


@pytest.mark.parametrize("by", ["a shutdown", "a person"])
async def test_a_lease_that_was_granted_while_the_turn_was_cancelled_is_not_left_to_lapse(by: str) -> None:
    store, screen = Slow(), Screen()
    running = asyncio.create_task(
        engine(store, Writer([script(ANSWER)])).handle(turn(), screen, stopped=lambda: by == "a person")
    )
    await store.granted.wait()
    running.cancel()
    await asyncio.sleep(0)
    store.said.set()
    if by == "a person":
        assert (await running).state == "cancelled"
        assert [outcome.state for outcome in store.finished] == ["cancelled"]
    else:
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(store.handed_back) == 1


@pytest.mark.parametrize("method", ["hand_back", "release"])
async def test_a_shutdown_ends_although_the_database_does_not_answer(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn_runner, "HAND_BACK_SECONDS", 0.05)
    store, screen, silent, asked = FakeStores(), Screen(), asyncio.Event(), asyncio.Event()

    async def never(*_: object, **__: object) -> None:
        asked.set()
        await silent.wait()

    async def endless(_: Prompt) -> AsyncIterator[str | Event]:
        yield "Half "
        await asyncio.sleep(3600)

    monkeypatch.setattr(store, method, never)
    answering = engine(store, Writer([endless]))
    dispatcher = Dispatcher(engine=answering, stores=store.stores, max_question_chars=1000, max_turns=1)
    running = [dispatcher.start(turn(), screen), dispatcher.start(turn(id="7b1d", thread=ELSEWHERE), Screen())]
    while not screen.messages or "Half" not in screen.last.text:
        await asyncio.sleep(0.01)
    await asyncio.wait_for(dispatcher.close(grace=0.0), 60)
    assert asked.is_set()
    silent.set()
    await asyncio.wait(running)


ELSEWHERE = ThreadKey("slack:T1", "slack", "C1", "9.0")
