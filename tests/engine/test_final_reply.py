"""What a reply shows in the end: the buttons under it, and which notes a stopped answer has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from bot.engine.ports.llm import Event, Prompt
from bot.types.usage import Tier
from tests.engine.fakes import FakeStores, Library, Screen, Writer, turn
from tests.engine.test_engine import ANSWER, OTHER, RULE, engine, script


@dataclass
class OneModel(Writer):
    """A Writer that uses one model for both tiers, as it is without a model."""

    def model(self, tier: Tier) -> str:
        return "fake-only"


@pytest.mark.parametrize(("writer", "offered"), [(Writer, True), (OneModel, False)])
async def test_the_stronger_model_is_offered_only_if_there_is_one(writer: type[Writer], offered: bool) -> None:
    store, screen = FakeStores(), Screen()
    await engine(store, writer([script(ANSWER)])).handle(turn(), screen)
    assert ("strong" in screen.last.actions) is offered
    cached = Screen()
    outcome = await engine(store, writer([])).handle(turn(id="8c2d"), cached)
    assert outcome.cached
    assert ("strong" in cached.last.actions) is offered


@pytest.mark.parametrize("stop", [True, False])
async def test_a_stopped_answer_has_no_note_that_nothing_was_found(stop: bool) -> None:
    screen, reached, rest = Screen(), asyncio.Event(), asyncio.Event()

    async def slow(_: Prompt) -> AsyncIterator[str | Event]:
        yield "The documents say nothing "
        reached.set()
        await rest.wait()
        yield "about it."

    library = Library((RULE, OTHER), confidence=0.01)
    stopped = False
    answering = engine(FakeStores(), Writer([slow]), library).handle(turn(), screen, stopped=lambda: stopped)
    task = asyncio.create_task(answering)
    async with asyncio.timeout(60):
        await reached.wait()
    if stop:
        stopped = True
        task.cancel()
    rest.set()
    assert (await task).state == ("cancelled" if stop else "done")
    assert any("Closest documents" in note for note in screen.last.notes) is not stop
