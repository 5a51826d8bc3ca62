"""A turn is lost to another process between two steps: no second message, nothing below a deleted question."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.engine import user_messages as said
from bot.engine.display import reply_messages, split
from bot.engine.display.retraction import Retracting, delete_reply, retract_or_offer
from bot.engine.display.stream import Display
from bot.errors import LeaseLost, SurfaceError
from bot.types.display import Limits, Part
from bot.types.turns import Turn
from tests.engine.display_harness import Channel, Harness, stream
from tests.engine.fakes import FakeStores, Screen, Writer, turn
from tests.engine.test_engine import ANSWER, engine, script


@dataclass
class Interloper(Screen):
    """A Screen that runs an action while a message is posted."""

    meanwhile: Callable[[], Coroutine[Any, Any, None] | None] = lambda: None

    async def post(self, part: Part) -> str:
        ref = await super().post(part)
        if waiting := self.meanwhile():
            await waiting
        return ref


async def test_a_post_that_lands_when_the_turn_is_lost_is_left_to_the_next_holder() -> None:
    store, screen = FakeStores(), Interloper()

    def lose() -> None:
        store.lost = True

    screen.meanwhile = lose
    with pytest.raises((LeaseLost, asyncio.CancelledError)):
        await engine(store, Writer([script(ANSWER)])).handle(turn(), screen)
    assert store.parts == {0: "m0"}, "the next one goes on in it"
    assert list(screen.messages) == ["m0"]


async def test_a_post_that_lands_after_the_next_holders_own_is_taken_away() -> None:
    store, screen = FakeStores(), Interloper()

    def lose() -> None:
        store.lost, store.parts[0] = True, "theirs"

    screen.meanwhile = lose
    with pytest.raises((LeaseLost, asyncio.CancelledError)):
        await engine(store, Writer([script(ANSWER)])).handle(turn(), screen)
    assert store.parts == {0: "theirs"}
    assert screen.messages == {}


async def test_a_post_that_lands_under_a_deleted_question_is_taken_away() -> None:
    store, screen = FakeStores(), Interloper()

    async def delete() -> None:
        await store.forget(turn())

    screen.meanwhile = lambda: delete() if not store.forgotten else None
    with pytest.raises((LeaseLost, asyncio.CancelledError)):
        await engine(store, Writer([script(ANSWER)])).handle(turn(), screen)
    assert (screen.messages, store.parts) == ({}, {})


async def test_a_holder_whose_message_was_posted_by_another_goes_on_in_that_one() -> None:
    store, screen = FakeStores(), Interloper()
    screen.messages["theirs"] = [Part("_Looking…_", "7b1c:0", "7b1c")]

    def posts() -> None:
        store.parts.setdefault(0, None)
        store.parts[0] = store.parts[0] or "theirs"

    screen.meanwhile = posts
    outcome = await engine(store, Writer([script(ANSWER)])).handle(turn(), screen)
    assert outcome.state == "done"
    assert [(ref, parts[-1].text) for ref, parts in screen.messages.items()] == [("theirs", ANSWER)]


async def test_a_post_goes_on_though_whoever_waited_for_it_is_cancelled() -> None:
    store, screen, landing = FakeStores(), Interloper(), asyncio.Event()

    async def slowly() -> None:
        await landing.wait()

    screen.meanwhile = slowly
    async with Display(screen, turn_id="7b1c", record=store.record_waiting_for(turn())) as display:
        saying = asyncio.create_task(display.say("_Looking…_"))
        while not screen.messages:
            await asyncio.sleep(0)
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)
        asyncio.get_running_loop().call_soon(landing.set)
        await retract_or_offer(store.stores, turn(), display)
    assert store.parts == {0: "m0"}


async def test_an_edit_that_takes_too_long_is_broken_off_before_the_lease_can_lapse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reply_messages, "SHOW_TIMEOUT", 0.01)
    asked = 0

    @dataclass
    class Stuck(Screen):
        tries: int = 0

        async def edit(self, ref: str, part: Part) -> None:
            self.tries += 1
            if self.tries == 1:
                await asyncio.sleep(60)
            await super().edit(ref, part)

    async def confirm() -> None:
        nonlocal asked
        asked += 1

    screen, store = Stuck(), FakeStores()
    display = Display(screen, turn_id="7b1c", record=store.record_waiting_for(turn()), confirm=confirm)
    async with display:
        await display.open("_Looking…_")
        await asyncio.wait_for(display.close("Five days."), 10)
    assert screen.last.text == "Five days."
    assert asked >= 3, "before the post and before each try"


@dataclass
class Owing(FakeStores):
    """A Memory that knows which replies must be removed."""

    owed: list[Turn] = field(default_factory=list)
    stored: Turn | None = None

    async def withdrawn(self, platform: str, *, known: object = (), most: int = 20) -> Sequence[Turn]:
        return [one for one in self.owed if one.id not in known]  # type: ignore[operator]

    async def turn(self, tenant_id: str, turn_id: str) -> Turn | None:
        return self.stored

    async def mark_removed(self, turn: Turn) -> bool:
        self.owed.clear()
        return True


async def test_messages_are_taken_away_even_if_only_their_record_is_known() -> None:
    screen = Screen()
    for index in range(2):
        await screen.post(Part(f"draft {index}", f"7b1c:{index}", "7b1c"))
    left = turn(parts=("m0",), recorded=3)
    store = Owing(owed=[left], stored=left)
    assert await delete_reply(store.stores, left, screen)
    assert (screen.messages, store.owed) == ({}, [])


async def test_what_a_platform_does_not_let_go_stays_owed_unless_it_says_that_it_was_deleted() -> None:
    @dataclass
    class Sticky(Screen):
        deaf: bool = True

        async def delete(self, ref: str) -> None:
            raise SurfaceError("not now")

        async def edit(self, ref: str, part: Part) -> None:
            if self.deaf:
                raise SurfaceError("not now")
            await super().edit(ref, part)

    screen = Sticky()
    await screen.post(Part("draft", "7b1c:0", "7b1c"))
    left = turn(parts=("m0",), recorded=1)
    store = Owing(owed=[left], stored=left)
    assert not await delete_reply(store.stores, left, screen)
    assert store.owed == [left]
    screen.deaf = False
    assert await delete_reply(store.stores, left, screen)
    assert screen.last.text == said.FORGOTTEN


async def test_a_reply_is_taken_away_by_one_task_at_a_time() -> None:
    left, tasks = turn(recorded=0), []
    store = Owing(owed=[left], stored=left)
    retracting = Retracting(store.stores, lambda work, _: tasks.append(asyncio.ensure_future(work)))
    await retracting.poll("slack", lambda _: Screen(), [])
    await retracting.poll("slack", lambda _: Screen(), [])
    assert len(tasks) == 1
    await asyncio.gather(*tasks)
    await retracting.poll("slack", lambda _: Screen(), [])
    assert len(tasks) == 1


@dataclass
class Files(Channel):
    """A channel that takes files."""

    files: list[str] = field(default_factory=list)

    async def hand_over(self, name: str, data: bytes) -> None:
        self.files.append(name)


@dataclass
class Immediate(Channel):
    """A channel that is called in the step of the event loop in which the lease was confirmed."""

    something_ran: bool = False
    late: list[str] = field(default_factory=list)

    async def confirm(self) -> None:
        self.something_ran = False
        asyncio.get_running_loop().call_soon(setattr, self, "something_ran", True)

    async def _call(self, name: str, part: Part | None) -> None:
        if self.something_ran:
            self.late.append(name)
        await super()._call(name, part)


async def test_a_process_cannot_be_paused_for_long_between_the_check_of_its_lease_and_a_message() -> None:
    """What a paused process does first when it wakes is not bounded by a timeout that begins only then."""
    harness = Harness(Limits(200, 0.0), channel=Immediate)
    assert isinstance(harness.channel, Immediate)
    harness.confirm = harness.channel.confirm  # type: ignore[method-assign]
    async with harness.display as display:
        await display.open("…")
        await stream(harness, "word " * 100)
        await display.close("word " * 100)
    assert harness.channel.late == []
    assert len(harness.channel.times("post")) == len(harness.channel.messages) > 1
    assert harness.channel.times("edit")


@pytest.mark.parametrize("text", ["Short.", "word " * 1000], ids=["a message to delete", "a file to upload"])
async def test_a_process_that_lost_the_turn_after_its_last_edit_deletes_and_uploads_nothing(text: str) -> None:
    harness = Harness(Limits(500, 0.0, 3), parts=("m0", "m1", "m2"), channel=Files)
    channel = harness.channel
    assert isinstance(channel, Files)
    last_edit = len(split.rendered(text, channel.limits, frozenset()).parts)

    async def lose_after_the_last_edit() -> None:
        harness.taken = len(channel.times("edit")) == last_edit

    channel.slow = lose_after_the_last_edit
    async with harness.display as display:
        with pytest.raises(LeaseLost):
            await display.close(text)
    assert len(channel.times("edit")) == last_edit
    assert (channel.times("delete"), channel.files) == ([], [])
    assert list(channel.messages) == ["m0", "m1", "m2"]


async def test_the_reply_to_a_deleted_question_is_removed_although_the_lease_is_lost() -> None:
    harness = Harness(parts=("m0", "m1"))
    harness.taken = True
    async with harness.display as display:
        assert await display.remove()
    assert harness.channel.messages == {}
