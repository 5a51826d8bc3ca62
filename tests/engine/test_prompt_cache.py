"""The cache lifetime of a thread's prefix follows the pauses between its questions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.engine.answer.prompt import build
from bot.engine.answer.prompt_cache import life, pauses
from bot.engine.memory import Selected
from bot.types.conversation import History, PastMessage
from tests.engine.fakes import NOON


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ((), "5m"),
        ((40,), "5m"),
        ((40, 100, 200), "5m"),
        ((900, 1200, 700), "1h"),
        ((40, 60, 900, 1100, 1500), "1h"),
        ((40, 60, 50, 70, 900), "5m"),
        ((7200, 9000, 8000, 7200), None),
    ],
)
def test_the_life_follows_the_pace(seconds: tuple[float, ...], chosen: str | None) -> None:
    assert life(seconds) == chosen


def test_pauses_are_those_between_questions() -> None:
    past = tuple(
        PastMessage(n // 2, "assistant" if n % 2 else "user", "Ann", "Hm.", 1, NOON + timedelta(seconds=30 * n))
        for n in range(4)
    )
    assert pauses(History("", 0, past), NOON + timedelta(seconds=200)) == (60.0, 140.0)
    assert pauses(History("", 0, ()), NOON) == ()


def test_the_prompt_marks_the_end_of_its_history() -> None:
    past = Selected(
        "", (PastMessage(1, "user", "Ann", "Hm?", 1, NOON), PastMessage(1, "assistant", "P", "So.", 1, NOON))
    )
    made = build(
        question="And?",
        searched="And?",
        author="Ann",
        past=past,
        passages=(),
        tier="cheap",
        max_tokens=100,
        persona=None,
        cache_key="k",
        life="1h",
    )
    assert [message.cache for message in made.messages] == [None, "1h", None]
    assert made.system_cache == "1h"


def test_a_thread_of_any_length_has_a_life() -> None:
    assert life([10.0] * 20_000) == life([10.0] * 50)
