"""The chunking benchmark counts the tokens and the share of the evidence that a reader sees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.chunking import Question, Texts, questions, read, share


def count(texts: Sequence[str]) -> list[int]:
    return [1 for _ in texts]


TEXTS = Texts({"a": "one two three four five", "b": "six seven"}, count)


def test_cost_of_a_span_counts_the_words_that_end_in_it() -> None:
    assert TEXTS.cost(("a", 0, 23)) == 5
    assert TEXTS.cost(("a", 4, 13)) == 2
    assert TEXTS.cost(("b", 0, 3)) == 1


def test_reading_stops_at_the_budget_and_counts_overlaps_once() -> None:
    spans = [("a", 0, 13), ("a", 4, 18), ("b", 0, 9)]
    assert read(spans, TEXTS, 3) == {"a": set(range(13))}
    four = read(spans, TEXTS, 4)
    assert max(four["a"]) == 17
    assert "b" not in four
    five = read(spans, TEXTS, 5)
    assert set(range(3)) <= five["b"]
    assert 8 not in five["b"]
    assert read(spans, TEXTS, 100) == {"a": set(range(18)), "b": set(range(9))}


def test_share_of_the_evidence_that_was_read() -> None:
    question = Question("?", (("a", 0, 10), ("b", 0, 10), ("a", 5, 10)))
    assert share(question, {}) == 0
    assert share(question, {"a": set(range(5))}) == 0.25
    assert share(question, {"a": set(range(100)), "b": set(range(10))}) == 1


def test_questions_are_loaded_with_their_offsets(tmp_path: Path) -> None:
    row = {"question": "?", "corpus": "a", "references": [{"content": "one", "start_index": 0, "end_index": 3}]}
    (tmp_path / "questions.jsonl").write_text(json.dumps(row) + "\n\n")
    assert questions(tmp_path) == [Question("?", (("a", 0, 3),))]
