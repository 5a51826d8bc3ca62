"""The evaluation of abstention."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.errors import UsageError
from bot.evals.abstention import auc, evaluate, from_words, read
from knowledge.search.evidence_confidence import shipped


def lines(folder: Path, *rows: object) -> Path:
    path = folder / "cases.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_texts_and_objects_are_read_and_a_history_is_leaned_on(tmp_path: Path) -> None:
    history = [{"speaker": "user", "text": "Who runs the Berlin office?"}, {"role": "assistant", "text": "Ada."}]
    path = lines(
        tmp_path,
        {
            "question": "And since when?",
            "passages": [{"text": "Since May."}, "Ada is there."],
            "answerable": True,
            "history": history,
        },
        {"question": "What is a lemur?", "passages": [], "answerable": False},
    )
    first, second = read(path)
    assert first.passages == ("Since May.", "Ada is there.")
    assert "Berlin" in first.question
    assert second.passages == ()


def test_what_is_declined_is_counted_at_the_shipped_threshold(tmp_path: Path) -> None:
    path = lines(
        tmp_path,
        {
            "question": "When does the canteen open?",
            "passages": ["The canteen does open at eight."],
            "answerable": True,
        },
        {"question": "When does the canteen open?", "passages": [], "answerable": False},
        {"question": "Who paid Zeno 500 EUR?", "passages": ["Grass is green."], "answerable": False},
    )
    cases = read(path)
    document = evaluate(cases, from_words(cases), shipped())
    assert document == {
        "threshold": shipped().threshold,
        "declined_unanswerable": 1.0,
        "declined_answerable": 0.0,
        "auc": 1.0,
    }


def test_auc_counts_ties_half() -> None:
    assert auc([1.0, 0.5], [0.5, 0.0]) == 0.875


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ([], "not a JSON object"),
        ({"question": 1}, "question must"),
        ({"question": "a", "answerable": "yes"}, "answerable must"),
        ({"question": "a", "answerable": True, "passages": "x"}, "passages must"),
        ({"question": "a", "answerable": True, "passages": [1]}, "passages must"),
        ({"question": "a", "answerable": True, "passages": ["x"]}, "needs both"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, row: object, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        read(lines(tmp_path, row))
