"""The cost of showing a streamed piece does not grow with the length of the answer."""

from __future__ import annotations

import pytest

from bot.engine.answer import generation
from bot.types.display import Limits
from tests.engine.fakes import FakeStores, Screen, Writer, turn
from tests.engine.test_engine import engine, script


async def test_the_text_is_scanned_once_for_each_edit_not_for_each_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []

    def counted(text: str, count: int) -> str:
        looks.append(len(text))
        return text

    monkeypatch.setattr(generation, "renumber", counted)
    screen = Screen(Limits(4000, 3600.0))
    llm = Writer([script(*["a piece of it "] * 150)])
    outcome = await engine(FakeStores(), llm).handle(turn(), screen)
    assert outcome.answer == "a piece of it " * 150
    assert len(looks) <= 3
