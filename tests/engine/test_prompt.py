"""The layout of a prompt."""

from __future__ import annotations

import re

import pytest

from bot.engine.answer import prompt
from bot.engine.memory import Selected
from knowledge.types import Passage


@pytest.mark.parametrize(
    ("number", "order"), [(0, []), (1, [1]), (2, [1, 2]), (3, [1, 3, 2]), (5, [1, 3, 5, 4, 2]), (6, [1, 3, 5, 6, 4, 2])]
)
def test_the_best_passages_stand_first_and_last(number: int, order: list[int]) -> None:
    assert prompt.edges_first(number) == order


def test_a_passage_keeps_its_number_wherever_it_stands() -> None:
    passages = [
        Passage(n, "d", f"text {n}", "s", f"title {n}", heading=(), start=0, end=6, page=None, score=1.0)
        for n in range(1, 6)
    ]
    made = prompt.build(
        question="What?",
        searched="What?",
        author="Ann",
        past=Selected("", ()),
        passages=passages,
        tier="cheap",
        max_tokens=10,
        persona=None,
        cache_key="",
    )
    shown = re.findall(r"^\[(\d)\] title (\d)$", made.messages[-1].text, re.MULTILINE)
    assert shown == [("1", "1"), ("3", "3"), ("5", "5"), ("4", "4"), ("2", "2")]
    assert [passage.chunk_id for passage in made.passages] == [1, 2, 3, 4, 5]
