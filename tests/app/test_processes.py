"""Tests several processes on one Postgres; each is a whole app with a notification connection of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text

from bot.app import App, open_app
from bot.config import Settings
from bot.engine.ports.surface import Surface
from bot.errors import UsageError
from bot.types.conversation import Author, Incoming, ThreadKey
from bot.types.display import Limits, Part
from bot.types.turns import Outcome, Turn
from tests.app.conftest import incoming
from tests.doubles.models import ModelDouble, Reply, Seen

CHANNEL = ThreadKey("slack:T9", "slack", "C1", "1.0")
ASKER = Author("ann", "Ann")


class Channel:
    """The channel in which every process shows its messages."""

    def __init__(self) -> None:
        self.messages: dict[str, Part] = {}
        self.versions: list[tuple[str, str]] = []

    def surface(self, turn: Turn) -> Surface:
        return ChannelSurface(self)

    def of(self, turn: Turn) -> list[Part]:
        return [part for part in self.messages.values() if part.turn_id == turn.id]


class ChannelSurface:
    """A surface in the channel."""

    limits = Limits(4000, 0.0)

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def post(self, part: Part) -> str:
        ref = f"m{len(self._channel.versions)}"
        await self.edit(ref, part)
        return ref

    async def edit(self, ref: str, part: Part) -> None:
        self._channel.messages[ref] = part
        self._channel.versions.append((ref, part.text))

    async def delete(self, ref: str) -> None:
        self._channel.messages.pop(ref, None)

    async def find(self, nonce: str) -> str | None:
        return next((ref for ref, part in self._channel.messages.items() if part.nonce == nonce), None)


@pytest.fixture
def channel() -> Channel:
    return Channel()


@asynccontextmanager
async def processes(settings: Settings, channel: Channel, count: int, **more: object) -> AsyncIterator[list[App]]:
    """Yield apps that serve the channel."""
    async with AsyncExitStack() as stack:
        app_settings = settings.model_copy(update={"reranker": "none", **more})
        apps = [await stack.enter_async_context(open_app(app_settings)) for _ in range(count)]
        for app in apps:
            await app.dispatcher.resume("slack", channel.surface)
        yield apps


def question(text: str, thread: str = "1.0", message: str = "") -> Incoming:
    asked = incoming(text, replace(CHANNEL, thread_id=thread))
    return replace(asked, message_id=message or asked.message_id)


async def accepted(app: App, question: Incoming) -> Turn:
    turn = await app.dispatcher.accept(question)
    assert turn is not None
    return turn


def slow(_: object) -> Reply:
    return Reply("Dogs are welcome on Fridays. " * 40, pause=0.05)


def endless(seen: Seen) -> Reply:
    """Return an answer that never ends if the question is about dogs."""
    asked = seen.messages[-1][1].rpartition("asks: ")[2]
    return Reply("Dogs are welcome on Fridays. " * 40, after=20, held=asyncio.Event() if "dogs" in asked else None)


async def until_finished(channel: Channel, turn: Turn, *, finals: int = 1) -> Part:
    for _ in range(6000):
        parts = channel.of(turn)
        if sum("again" in part.actions for part in parts) >= finals:
            return parts[-1]
        await asyncio.sleep(0.02)
    raise AssertionError(f"never finished: {channel.messages}")


async def until_started(channel: Channel, turn: Turn) -> None:
    for _ in range(6000):
        if any("Dogs" in part.text for part in channel.of(turn)):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"never begun: {channel.messages}")


async def test_the_next_turn_starts_in_its_process_when_the_previous_one_ends_in_another(
    both: Settings, models: ModelDouble, channel: Channel
) -> None:
    async with processes(both, channel, 2) as (one, two):
        first, second = await accepted(one, question("When may dogs come?")), await accepted(two, question("And cats?"))
        late = two.dispatcher.start(second, channel.surface(second))
        early = one.dispatcher.start(first, channel.surface(first))
        outcomes = await asyncio.wait_for(asyncio.gather(early, late), 120)
        assert [outcome.state for outcome in outcomes] == ["done", "done"]
        refs = [ref for ref, _ in channel.versions]
        assert refs == sorted(refs, key=refs.index), "the second message came after the first was finished"
        assert channel.versions[-1][0] != channel.versions[0][0]


async def test_a_full_process_leaves_turns_to_another(
    both: Settings, models: ModelDouble, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.engine.dispatch.running_turn.QUIET_SECONDS", 0.05)
    models.script = slow
    async with processes(both, channel, 2, max_turns=1) as (one, _):
        asked = [await accepted(one, question("When may dogs come?", f"{n}.0")) for n in range(2)]
        tasks = [one.dispatcher.start(turn, channel.surface(turn)) for turn in asked]
        for turn in asked:
            await until_finished(channel, turn)
        assert [len(channel.of(turn)) for turn in asked] == [1, 1], "the placeholder became the answer"
        ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 120)
        assert sum(isinstance(end, Outcome) for end in ends) == 1, "the other was answered elsewhere"


async def test_a_question_edited_in_one_process_is_answered_again_while_another_runs_it(
    both: Settings, models: ModelDouble, channel: Channel
) -> None:
    models.script = endless
    async with processes(both, channel, 2) as (one, two):
        turn = await accepted(one, question("When may dogs come?", message="5.5"))
        old = one.dispatcher.start(turn, channel.surface(turn))
        await until_started(channel, turn)
        changed = await two.dispatcher.edited(question("When may cats come?", message="5.5"))
        assert changed is not None
        outcome = await asyncio.wait_for(two.dispatcher.start(changed, channel.surface(changed)), 120)
        await asyncio.wait([old])
        assert outcome.state == "done"
        assert old.cancelled()
        assert len(channel.of(turn)) == 1, "the same message"
        assert await two.dispatcher.edited(question("When may cats come?", message="5.5")) is None
        history = await one.services.stores.conversation.history(await accepted(one, question("And?")))
        assert history.messages[0].text == "When may cats come?"
        assert len(history.messages) == 2


async def test_a_question_edited_in_the_process_that_runs_it_is_answered_again(
    both: Settings, models: ModelDouble, channel: Channel
) -> None:
    models.script = endless
    async with processes(both, channel, 1) as (one,):
        turn = await accepted(one, question("When may dogs come?", message="5.5"))
        old = one.dispatcher.start(turn, channel.surface(turn))
        await until_started(channel, turn)
        changed = await one.dispatcher.edited(question("When may cats come?", message="5.5"))
        assert changed is not None
        new = one.dispatcher.start(changed, channel.surface(changed))
        assert new is not old
        assert (await asyncio.wait_for(new, 120)).state == "done"
        assert len(channel.of(turn)) == 1


async def test_a_question_deleted_in_one_process_is_stopped_and_removed_everywhere(
    both: Settings, models: ModelDouble, channel: Channel
) -> None:
    models.script = endless
    async with processes(both, channel, 2) as (one, two):
        turn = await accepted(one, question("When may dogs come?", message="5.5"))
        running = one.dispatcher.start(turn, channel.surface(turn))
        await until_started(channel, turn)
        (gone,) = await two.dispatcher.deleted(CHANNEL, "5.5", channel.surface)
        assert gone.id == turn.id
        await asyncio.wait([running], timeout=120)
        await asyncio.gather(one.dispatcher.settled(), two.dispatcher.settled())
        assert running.cancelled()
        assert channel.of(turn) == []
        assert await two.dispatcher.deleted(CHANNEL, "6.6", channel.surface) == []
        state = await one.services.stores.budgets.budget("slack:T9", "ann")
        assert state.reserved == 0
        assert state.used > 0, "what was spent stays in the ledger"


async def test_another_process_deletes_the_answer_when_the_first_dies_before_doing_so(
    both: Settings, models: ModelDouble, channel: Channel
) -> None:
    async with processes(both, channel, 2) as (one, two):
        turn = await accepted(one, question("When may dogs come?", message="5.5"))
        await asyncio.wait_for(one.dispatcher.start(turn, channel.surface(turn)), 120)
        assert len(channel.of(turn)) == 1
        await one.services.stores.retractions.forget(turn)
        await two.dispatcher.resume("slack", channel.surface)
        await two.dispatcher.settled()
        assert len(channel.of(turn)) == 1, "the first lives, and sees to it"
        async with one.database.tenant("slack:T9") as session:
            await session.execute(text("UPDATE turns SET holder = 1"))
        await two.dispatcher.resume("slack", channel.surface)
        await two.dispatcher.settled()
        assert channel.of(turn) == []


async def test_a_message_that_arrives_after_its_deletion_is_not_answered(both: Settings, channel: Channel) -> None:
    async with processes(both, channel, 2) as (one, two):
        assert await one.dispatcher.deleted(CHANNEL, "5.5", channel.surface) == []
        assert await two.dispatcher.accept(question("When may dogs come?", message="5.5")) is None
        assert await one.dispatcher.accept(question("When may dogs come?", message="5.6")) is not None


async def test_another_process_can_stop_a_turn(both: Settings, models: ModelDouble, channel: Channel) -> None:
    models.script = endless
    async with processes(both, channel, 2) as (one, two):
        turn = await accepted(one, question("When may dogs come?"))
        running = one.dispatcher.start(turn, channel.surface(turn))
        await until_started(channel, turn)
        await two.dispatcher.stop(turn.id, ASKER, tenant_id="slack:T9")
        assert (await asyncio.wait_for(running, 120)).state == "cancelled"
        with pytest.raises(UsageError):
            await two.dispatcher.stop(turn.id, ASKER, tenant_id="slack:T9")
        with pytest.raises(UsageError):
            await two.dispatcher.stop_thread(CHANNEL, ASKER)


async def test_a_shutdown_hands_its_turns_to_the_other_processes(
    both: Settings, models: ModelDouble, channel: Channel
) -> None:
    models.script = slow
    async with processes(both, channel, 2, max_turns=2) as (one, _):
        asked = [await accepted(one, question("When may dogs come?", f"{n}.0")) for n in range(4)]
        for turn in asked:
            one.dispatcher.start(turn, channel.surface(turn))
        await until_started(channel, asked[0])
        await one.dispatcher.close(grace=0.0)
        for turn in asked:
            part = await until_finished(channel, turn)
            assert "Dogs are welcome" in part.text
            assert len(channel.of(turn)) == 1


async def test_processes_share_their_streams_and_rate_limit_refusals(settings: Settings, channel: Channel) -> None:
    async with processes(settings, channel, 2) as (one, two):
        here, there = (app.services.workspace_pacing.of("slack:T9", "slack", 50.0) for app in (one, two))
        here.begin()
        here.refused(time.monotonic(), 60.0)
        for _ in range(500):
            if there.remote_streams:
                break
            await asyncio.sleep(0.02)
        assert (there.remote_streams, there.slow) == (1, 1.5)
        assert there.blocked(time.monotonic()) > 40
        assert (here.remote_streams, here.slow) == (0, 1.5), "its own words change nothing"


async def test_eleven_copies_to_four_processes_are_one_turn(settings: Settings, channel: Channel) -> None:
    async with processes(settings, channel, 4) as apps:
        copies = [
            app.dispatcher.accept(question("When may dogs come?", message="7.7")) for app in apps for _ in range(3)
        ]
        found = [turn for turn in await asyncio.gather(*copies) if turn is not None]
        assert len(found) == 1
