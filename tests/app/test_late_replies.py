"""A reply whose platform is away is kept, and shown once the platform is back, by any process, without a new answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from bot.app import App
from bot.commands.ask import NullSurface
from bot.config import Settings
from bot.engine import user_messages as said
from bot.engine.answer import finish, lease
from bot.engine.dispatch import queue_poller
from bot.engine.display import final_retry
from bot.errors import MessageGone, PlatformAway, RateLimited, UsageError
from bot.reports.trace import trace_of
from bot.store.privacy import erasure
from bot.store.turns import late_replies
from bot.types.display import Limits, Part
from bot.types.turns import Outcome, Turn
from tests.app.test_processes import ASKER, CHANNEL, Channel, ChannelSurface, accepted, processes, question
from tests.doubles.models import ModelDouble, Reply, Seen
from tests.superuser_access import superuser_connection

AWAY = PlatformAway("Slack cannot be reached.")
ANSWER = "Dogs are welcome on Fridays. " * 40


class Unreliable(Channel):
    """A channel whose platform is ``away`` while an error is set. ``held``: a call does not end."""

    def __init__(self) -> None:
        super().__init__()
        self.away: Exception | None = None
        self.held: asyncio.Event | None = None
        self.waiting = asyncio.Event()
        self.interrupted = asyncio.Event()

    def surface(self, turn: Turn) -> ChannelSurface:
        return UnreliableSurface(self)

    async def answer_call(self) -> None:
        if self.held is not None:
            self.waiting.set()
            try:
                await self.held.wait()
            except asyncio.CancelledError:
                self.interrupted.set()
                raise
        if self.away is not None:
            raise self.away


class UnreliableSurface(ChannelSurface):
    """A surface in the channel."""

    def __init__(self, channel: Unreliable) -> None:
        super().__init__(channel)
        self._platform = channel

    async def edit(self, ref: str, part: Part) -> None:
        await self._platform.answer_call()
        await super().edit(ref, part)

    async def delete(self, ref: str) -> None:
        await self._platform.answer_call()
        await super().delete(ref)

    async def find(self, nonce: str) -> str | None:
        await self._platform.answer_call()
        return await super().find(nonce)


@pytest.fixture
def channel() -> Unreliable:
    return Unreliable()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten every wait."""
    monkeypatch.setattr(final_retry, "AWAY_SECONDS", 0.2)
    monkeypatch.setattr(finish, "FIRST_RETRY", 0.2)
    monkeypatch.setattr(late_replies, "SHORTEST", timedelta(seconds=0.2))


@pytest.fixture
def rare(hurried: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the first retry come too late for a test."""
    monkeypatch.setattr(finish, "FIRST_RETRY", 3600.0)


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    async with asyncio.timeout(120):
        while not await holds():
            await asyncio.sleep(0.02)
    assert await holds(), what


async def row_of(app: App, turn: Turn) -> Any:
    async with superuser_connection(app.database) as connection:
        statement = text("SELECT *, deliver_at - now() AS wait FROM turns WHERE turn_id = CAST(:turn AS uuid)")
        return (await connection.execute(statement, {"turn": turn.id})).one_or_none()


async def change(app: App, assignments: str) -> None:
    async with superuser_connection(app.database) as connection:
        await connection.execute(text(f"UPDATE turns SET {assignments}"))


async def calls_of(app: App) -> int:
    async with superuser_connection(app.database) as connection:
        return int(await connection.scalar(text("SELECT count(*) FROM ledger WHERE purpose = 'answer'")) or 0)


async def end_while_away(
    app: App, models: ModelDouble, channel: Unreliable, error: Exception = AWAY, *, deaths: int = 0, **asked: str
) -> tuple[Turn, Outcome]:
    """Ask a question, whose processes died ``deaths`` times; the platform goes away while its answer is written."""
    go_on = asyncio.Event()
    models.script = lambda _: Reply(ANSWER, after=3, held=go_on)
    turn = await accepted(app, question("When may dogs come?", **asked))
    await change(app, f"takeovers = {deaths}")
    running = app.dispatcher.start(turn, channel.surface(turn))
    await until_drafted(channel, turn)
    channel.away = error
    go_on.set()
    outcome = await asyncio.wait_for(running, 120)
    models.script = write
    return turn, outcome


def write(seen: Seen) -> Reply:
    return Reply("Cats stay at home.")


async def until_drafted(channel: Channel, turn: Turn) -> None:
    async def drafted() -> bool:
        return any("Dogs" in part.text for part in channel.of(turn))

    await until(drafted, "a draft is shown")


async def until_shown(app: App, turn: Turn) -> None:
    async def shown() -> bool:
        row = await row_of(app, turn)
        return row is None or (row.state not in ("queued", "running") and row.deliver_at is None)

    await until(shown, "nothing is left to be shown")


async def answered(app: App, turn: Turn, channel: Channel) -> None:
    """Start an edited question, which a look at the queue may have started already, and wait for its answer."""
    await asyncio.wait([app.dispatcher.start(turn, channel.surface(turn))], timeout=120)
    await until_shown(app, turn)


@asynccontextmanager
async def two(settings: Settings, channel: Channel) -> AsyncIterator[tuple[App, App]]:
    async with processes(settings, channel, 2) as (one, other):
        yield one, other


async def test_an_answer_that_could_not_be_shown_is_shown_by_another_process_once_the_platform_is_back(
    both: Settings, models: ModelDouble, channel: Unreliable
) -> None:
    async with two(both, channel) as (one, other):
        turn, outcome = await end_while_away(one, models, channel)
        assert (outcome.state, outcome.deliver_in) == ("done", 0.2)
        assert [part.actions for part in channel.of(turn)] == [("stop",)], "the draft still has its button"
        row, calls = await row_of(one, turn), await calls_of(one)
        assert row.answer.startswith("Dogs are welcome")
        async with one.database.tenant(CHANNEL.tenant_id) as session:
            trace = await trace_of(session, tenant_id=CHANNEL.tenant_id, turn_id=turn.id)
            assert trace is not None
            assert trace.as_json()["to_be_shown"] is True
        await one.dispatcher.close(grace=0.0)
        channel.away = None
        await until_shown(other, turn)
        (part,) = channel.of(turn)
        assert part.final
        assert part.text.startswith("Dogs are welcome")
        assert "stop" not in part.actions
        assert "again" in part.actions
        assert (await row_of(other, turn)).trace["shown_after_s"] >= 0
        assert await calls_of(other) == calls == 1, "nothing was generated or billed again"
        state = await other.services.stores.budgets.budget(CHANNEL.tenant_id, ASKER.id)
        assert state.reserved == 0
        assert state.used > 0


async def test_a_late_reply_looks_like_one_that_was_shown_at_once(
    both: Settings, models: ModelDouble, channel: Unreliable
) -> None:
    answer = "Dogs come on Fridays [1]. See https://evil.example/x for more."
    models.script = lambda _: Reply(answer)
    async with processes(both, channel, 1) as (one,):
        first = await accepted(one, question("May dogs come?", "1.0"))
        await asyncio.wait_for(one.dispatcher.start(first, channel.surface(first)), 120)
        channel.away = AWAY
        second = await accepted(one, question("When may dogs come to the office?", "2.0"))
        outcome = await asyncio.wait_for(one.dispatcher.start(second, channel.surface(second)), 120)
        assert outcome.deliver_in is not None
        channel.away = None
        await until_shown(one, second)
        (at_once,), (late,) = channel.of(first), channel.of(second)
        assert (late.text, late.notes, late.actions) == (at_once.text, at_once.notes, at_once.actions)


async def test_a_process_that_dies_while_it_shows_a_late_reply_leaves_it_to_another(
    both: Settings, models: ModelDouble, channel: Unreliable
) -> None:
    async with two(both, channel) as (one, other):
        turn, _ = await end_while_away(one, models, channel)
        channel.held = asyncio.Event()
        await asyncio.wait_for(channel.waiting.wait(), 120)
        row = await row_of(one, turn)
        assert row.lease_until is not None, "one of them tries"
        held, channel.held, channel.away = channel.held, None, None
        await change(one, "holder = 1")  # a number that no process has
        await other.dispatcher.resume("slack", channel.surface)
        await until_shown(other, turn)
        assert [part.final for part in channel.of(turn)] == [True]
        held.set()
        await asyncio.gather(one.dispatcher.settled(), other.dispatcher.settled())
        assert len(channel.of(turn)) == 1


async def test_an_edited_question_is_answered_anew_and_its_old_answer_never_shown(
    both: Settings, models: ModelDouble, channel: Unreliable
) -> None:
    async with two(both, channel) as (one, other):
        turn, _ = await end_while_away(one, models, channel, message="5.5")
        changed = await other.dispatcher.edited(question("When may cats come?", message="5.5"))
        assert changed is not None
        assert (await row_of(one, turn)).deliver_at is None
        channel.away = None
        await answered(other, changed, channel)
        await until_shown(other, turn)
        assert [part.text for part in channel.of(turn)] == ["Cats stay at home."]


async def test_the_answer_to_a_deleted_question_is_not_shown(
    both: Settings, models: ModelDouble, channel: Unreliable
) -> None:
    async with two(both, channel) as (one, other):
        turn, _ = await end_while_away(one, models, channel, message="5.5")
        await other.dispatcher.deleted(CHANNEL, "5.5", channel.surface)
        channel.away = None
        for app in (one, other):
            await app.dispatcher.resume("slack", channel.surface)
            await app.dispatcher.settled()
        assert channel.of(turn) == []


@pytest.mark.parametrize("deleted", [True, False])
async def test_a_question_deleted_or_edited_while_its_late_reply_is_being_shown_wins(
    both: Settings, models: ModelDouble, channel: Unreliable, deleted: bool
) -> None:
    async with two(both, channel) as (one, other):
        turn, _ = await end_while_away(one, models, channel, message="5.5")
        channel.held = asyncio.Event()
        await asyncio.wait_for(channel.waiting.wait(), 120)
        held, channel.held, channel.away = channel.held, None, None
        if deleted:
            await other.dispatcher.deleted(CHANNEL, "5.5", channel.surface)
        else:
            changed = await other.dispatcher.edited(question("When may cats come?", message="5.5"))
            assert changed is not None
            await answered(other, changed, channel)
        held.set()
        await asyncio.gather(one.dispatcher.settled(), other.dispatcher.settled())
        for app in (one, other):
            await app.dispatcher.resume("slack", channel.surface)
            await app.dispatcher.settled()
        assert [part.text for part in channel.of(turn)] == ([] if deleted else ["Cats stay at home."])


@pytest.mark.usefixtures("rare")
async def test_the_stop_button_of_a_complete_answer_shows_it_at_once(
    both: Settings, models: ModelDouble, channel: Unreliable
) -> None:
    async with two(both, channel) as (one, other):
        turn, _ = await end_while_away(one, models, channel)
        channel.away = None
        await other.dispatcher.stop(turn.id, ASKER, tenant_id=CHANNEL.tenant_id)
        await until_shown(one, turn)
        assert [part.text.startswith("Dogs are welcome") for part in channel.of(turn)] == [True]
        with pytest.raises(UsageError):
            await other.dispatcher.stop(turn.id, ASKER, tenant_id=CHANNEL.tenant_id)


@pytest.mark.usefixtures("rare")
async def test_the_next_question_of_its_thread_shows_a_late_reply_at_once_and_is_answered_below_it(
    both: Settings, models: ModelDouble, channel: Unreliable
) -> None:
    async with two(both, channel) as (one, other):
        channel.away = AWAY
        models.script = lambda _: Reply(ANSWER)
        first = await accepted(one, question("When may dogs come?"))
        outcome = await asyncio.wait_for(one.dispatcher.start(first, channel.surface(first)), 120)
        assert outcome.deliver_in == 3600
        assert channel.messages == {}, "not even a draft is shown"
        channel.away = None
        models.script = write
        second = await accepted(other, question("And cats?"))
        await answered(other, second, channel)
        assert [part.turn_id for part in channel.messages.values()] == [first.id, second.id]
        assert all(part.final for part in channel.messages.values())


async def test_a_permanent_refusal_ends_the_turn_at_once(
    both: Settings, models: ModelDouble, channel: Unreliable
) -> None:
    async with processes(both, channel, 1) as (one,):
        turn, outcome = await end_while_away(one, models, channel, MessageGone("The message was deleted."))
        assert outcome.deliver_in is None
        row = await row_of(one, turn)
        assert row.deliver_at is None
        assert row.trace["notes"][-1:] == ["Not shown: The message was deleted."]


async def test_a_late_reply_whose_place_is_gone_ends(both: Settings, models: ModelDouble, channel: Unreliable) -> None:
    async with processes(both, channel, 1) as (one,):
        turn, _ = await end_while_away(one, models, channel)
        channel.away = MessageGone("The channel is archived.")
        await until_shown(one, turn)
        assert (await row_of(one, turn)).trace["notes"][-1:] == ["Not shown: The channel is archived."]


async def test_a_platform_that_asks_to_wait_is_given_that_time(
    both: Settings, models: ModelDouble, channel: Unreliable
) -> None:
    async with processes(both, channel, 1) as (one,):
        turn, outcome = await end_while_away(one, models, channel, RateLimited("Wait.", retry_after=500.0))
        assert outcome.deliver_in == pytest.approx(500, abs=30)
        assert (await row_of(one, turn)).wait > timedelta(seconds=400)
        channel.away = None
        await change(one, "deliver_at = now()")
        await one.dispatcher.resume("slack", channel.surface)
        await one.dispatcher.settled()
        assert (await row_of(one, turn)).wait > timedelta(seconds=400), "the workspace is not called meanwhile"
        assert not channel.of(turn)[0].final


@pytest.mark.usefixtures("rare")
async def test_an_asker_is_told_once_when_a_day_has_passed(
    both: Settings, models: ModelDouble, channel: Unreliable
) -> None:
    async with processes(both, channel, 1) as (one,):
        turn, _ = await end_while_away(one, models, channel)
        channel.away = None
        await change(one, "finished_at = now() - interval '25 hours', deliver_at = now()")
        await one.dispatcher.resume("slack", channel.surface)
        await until_shown(one, turn)
        assert [part.text for part in channel.of(turn)] == [said.TOO_LATE_TO_SHOW]
        versions = len(channel.versions)
        await one.dispatcher.resume("slack", channel.surface)
        await one.dispatcher.settled()
        assert len(channel.versions) == versions


@pytest.mark.usefixtures("rare")
async def test_a_late_reply_is_given_up_after_two_days(
    both: Settings, models: ModelDouble, channel: Unreliable
) -> None:
    async with processes(both, channel, 1) as (one,):
        turn, _ = await end_while_away(one, models, channel)
        versions = len(channel.versions)
        await change(one, "finished_at = now() - interval '49 hours', deliver_at = now()")
        await one.dispatcher.resume("slack", channel.surface)
        await until_shown(one, turn)
        assert len(channel.versions) == versions
        assert (await row_of(one, turn)).trace["notes"][-1:] == [said.not_shown(said.TOO_LATE_TO_SHOW)]


async def test_a_shutdown_keeps_a_complete_answer_that_the_platform_does_not_take(
    both: Settings, models: ModelDouble, channel: Unreliable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(final_retry, "AWAY_SECONDS", 3600.0)
    async with two(both, channel) as (one, other):
        go_on = asyncio.Event()
        models.script = lambda _: Reply(ANSWER, after=3, held=go_on)
        turn = await accepted(one, question("When may dogs come?"))
        running = one.dispatcher.start(turn, channel.surface(turn))
        await until_drafted(channel, turn)
        channel.held = asyncio.Event()
        go_on.set()
        await asyncio.wait_for(channel.waiting.wait(), 120)
        async with asyncio.timeout(60):
            while (await calls_of(one)) == 0 or not channel.waiting.is_set():
                await asyncio.sleep(0.02)
        await asyncio.wait_for(one.dispatcher.close(grace=0.0), 60)
        assert running.cancelled()
        held, channel.held = channel.held, None
        await until_shown(other, turn)
        held.set()
        assert [part.final for part in channel.of(turn)] == [True]
        assert channel.of(turn)[0].text.startswith("Dogs are welcome")


@pytest.mark.usefixtures("rare")
async def test_erasing_the_asker_ends_a_late_reply(both: Settings, models: ModelDouble, channel: Unreliable) -> None:
    async with processes(both, channel, 1) as (one,):
        turn, _ = await end_while_away(one, models, channel)
        before = [version for _, version in channel.versions]
        async with one.database.tenant(CHANNEL.tenant_id) as session:
            await erasure.erase(session, tenant_id=CHANNEL.tenant_id, user_id=ASKER.id)
        channel.away = None
        await one.dispatcher.resume("slack", channel.surface)
        await one.dispatcher.settled()
        assert [version for _, version in channel.versions] == before
        assert await row_of(one, turn) is None


@pytest.mark.parametrize("late", [True, False])
async def test_erasing_the_asker_while_a_reply_is_being_shown_stops_it_at_once(
    both: Settings, models: ModelDouble, channel: Unreliable, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 3600.0)
    async with two(both, channel) as (one, other):
        if late:
            turn, _ = await end_while_away(one, models, channel)
            channel.held = asyncio.Event()
        else:
            channel.held = asyncio.Event()
            models.script = write
            turn = await accepted(one, question("When may cats come?"))
            one.dispatcher.start(turn, channel.surface(turn))
        await asyncio.wait_for(channel.waiting.wait(), 120)
        held, channel.away = channel.held, None
        before = len(channel.versions)
        erasing = partial(erasure.erase, tenant_id=CHANNEL.tenant_id, user_id=ASKER.id)
        await other.database.run(CHANNEL.tenant_id, erasing)
        await asyncio.wait_for(channel.interrupted.wait(), 120)
        channel.held = None
        held.set()
        await asyncio.gather(one.dispatcher.settled(), other.dispatcher.settled())
        assert len(channel.versions) == before, "nothing of the reply is shown any more"
        assert await row_of(one, turn) is None


async def test_a_place_that_only_this_process_can_show_keeps_nothing_for_later(
    both: Settings, models: ModelDouble, channel: Unreliable
) -> None:
    class Terminal(NullSurface):
        limits = Limits(4000, 0.0, here_only=True)

        async def edit(self, ref: str, part: Part) -> None:
            if part.final:
                raise AWAY

    models.script = write
    async with processes(both, channel, 1) as (one,):
        turn = await accepted(one, question("When may cats come?"))
        outcome = await asyncio.wait_for(one.dispatcher.start(turn, Terminal()), 120)
        assert (outcome.state, outcome.deliver_in) == ("done", None)
        assert outcome.trace["notes"][-1:] == ["Not shown: Slack cannot be reached."]


@pytest.mark.parametrize(("age", "least", "most"), [(10, 4, 5), (100, 9, 11), (7200, 290, 300), (80_000, 290, 300)])
@pytest.mark.usefixtures("rare")
async def test_the_time_between_two_tries_grows_with_the_outage(
    both: Settings,
    models: ModelDouble,
    channel: Unreliable,
    monkeypatch: pytest.MonkeyPatch,
    age: int,
    least: int,
    most: int,
) -> None:
    monkeypatch.setattr(late_replies, "SHORTEST", timedelta(seconds=5))
    monkeypatch.setattr(queue_poller, "LOOK_SECONDS", 3600.0)  # A look would claim the reply first.
    async with processes(both, channel, 1) as (one,):
        turn, _ = await end_while_away(one, models, channel)
        await change(one, f"finished_at = now() - interval '{age} seconds', deliver_at = now()")
        found = await one.services.stores.late_replies.claim("slack")
        assert [reply.turn.id for reply in found.due] == [turn.id]
        assert timedelta(seconds=least) < (await row_of(one, turn)).wait <= timedelta(seconds=most)
        assert (await one.services.stores.late_replies.claim("slack")).due == (), "it is leased"
