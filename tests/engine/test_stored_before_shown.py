"""A finished answer is stored before it is shown, so that it is never generated twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.engine import user_messages as said
from bot.engine.answer import finish
from bot.engine.display import final_retry
from bot.engine.display.split import rendered
from bot.errors import LeaseLost, PlatformAway, RateLimited, StoreAway, SurfaceError
from bot.types.display import Limits, Part
from bot.types.turns import Lease, Outcome, Turn
from tests.engine.fakes import FakeStores, Screen, Writer, turn
from tests.engine.test_engine import ANSWER, engine, script


class Watched(Screen):
    """A screen that notes whether the answer was stored when its final text came; ``fails`` is raised then."""

    def __init__(self, store: FakeStores, fails: Exception | None = None, limits: Limits | None = None) -> None:
        super().__init__(limits or Limits(4000, 0.0))
        self.store, self.fails = store, fails
        self.stored: list[bool] = []

    async def edit(self, ref: str, part: Part) -> None:
        if part.final:
            self.stored.append(bool(self.store.finished))
            if self.fails is not None:
                raise self.fails
        await super().edit(ref, part)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(final_retry, "AWAY_SECONDS", 0.05)


async def test_the_answer_is_stored_when_its_final_text_is_shown() -> None:
    store = FakeStores()
    screen = Watched(store)
    outcome = await engine(store, Writer([script(ANSWER)])).handle(turn(), screen)
    assert screen.stored == [True]
    assert [stored.deliver_in for stored in store.finished] == [finish.FIRST_RETRY], "others show it if this one dies"
    assert (store.ended, store.postponed, outcome.deliver_in) == ([""], [], None)


async def test_an_answer_in_a_place_of_this_process_alone_is_shown_first() -> None:
    store = FakeStores()
    screen = Watched(store, limits=Limits(4000, 0.0, here_only=True))
    await engine(store, Writer([script(ANSWER)])).handle(turn(), screen)
    assert screen.stored == [False]
    assert [stored.deliver_in for stored in store.finished] == [None]
    assert store.ended == []


@pytest.mark.parametrize(
    ("error", "wait"),
    [(PlatformAway("Slack is away."), finish.FIRST_RETRY), (RateLimited("Wait.", retry_after=900.0), 900.0)],
)
async def test_an_answer_that_cannot_be_shown_now_is_shown_later(error: SurfaceError, wait: float) -> None:
    store = FakeStores()
    outcome = await engine(store, Writer([script(ANSWER)])).handle(turn(), Watched(store, error))
    assert (store.postponed, store.ended, outcome.deliver_in) == ([wait], [], wait)


async def test_an_answer_is_shown_although_the_database_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish, "STORE_SECONDS", 0.01)
    shown = asyncio.Event()

    class Slow(FakeStores):
        async def finish(self, turn: Turn, lease: Lease, outcome: Outcome, **rest: Any) -> None:
            await shown.wait()
            await super().finish(turn, lease, outcome, **rest)

    store = Slow()

    class Noting(Watched):
        async def edit(self, ref: str, part: Part) -> None:
            await super().edit(ref, part)
            if part.final:
                shown.set()

    screen = Noting(store)
    outcome = await asyncio.wait_for(engine(store, Writer([script(ANSWER)])).handle(turn(), screen), 60)
    assert (outcome.state, screen.stored, store.ended) == ("done", [False], [""])


async def test_an_answer_counts_as_given_although_it_is_not_recorded_as_shown() -> None:
    class Away(FakeStores):
        async def end(self, turn: Turn, lease: Lease, *, note: str = "", total_ms: float | None = None) -> None:
            raise StoreAway("The database is away.")

    store = Away()
    outcome = await engine(store, Writer([script(ANSWER)])).handle(turn(), Watched(store))
    assert (outcome.state, outcome.answer, len(store.finished)) == ("done", ANSWER, 1)


async def test_an_answer_whose_question_was_deleted_while_it_was_shown_is_removed() -> None:
    class Deleted(FakeStores):
        async def end(self, turn: Turn, lease: Lease, *, note: str = "", total_ms: float | None = None) -> None:
            await self.forget(turn)
            raise LeaseLost("deleted")

    store = Deleted()
    screen = Watched(store)
    with pytest.raises(LeaseLost):
        await engine(store, Writer([script(ANSWER)])).handle(turn(), screen)
    assert screen.messages == {}
    assert (len(store.finished), store.billed) == (1, []), "what it cost is stored once"


async def test_a_text_that_the_program_cannot_show_is_replaced_by_a_word_and_never_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(text: str, *rest: Any) -> Any:
        if text == ANSWER:
            raise RuntimeError("a bug")
        return rendered(text, *rest)

    monkeypatch.setattr("bot.engine.display.stream.rendered", broken)
    store, screen = FakeStores(), Screen()
    outcome = await engine(store, Writer([script(ANSWER)])).handle(turn(), screen)
    assert screen.last.text == said.failed(said.BROKEN, "7b1c")
    assert (outcome.answer, store.ended, store.postponed) == (ANSWER, [said.not_shown(said.BROKEN)], [])
