"""The evaluation of memory, on a small conversation with known results."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.errors import UsageError
from bot.evals import memory
from tests.knowledge.fakes import WordEmbedder


def words(text: str) -> int:
    return len(text.split())


def written(folder: Path, document: object) -> Path:
    path = folder / "data.json"
    path.write_text(json.dumps(document))
    return path


def conversation() -> dict[str, Any]:
    turns = [
        {
            "id": f"D{n}",
            "author": ("Ann", "Ben")[n % 2],
            "time": f"2026-03-{1 + n // 10:02}T10:00",
            "text": f"topic{n} it is",
        }
        for n in range(200)
    ]
    turns[20]["text"] = "The zebra escaped"
    questions = [
        {"text": "Who escaped?", "evidence": ["D20"]},
        {"text": "What of topic150?", "evidence": ["D150", "D20"]},
        {"text": "Gone?", "evidence": ["D999"]},
    ]
    return {"conversations": [{"id": "c", "turns": turns, "questions": questions}]}


async def test_the_share_of_the_evidence_that_is_shown(tmp_path: Path) -> None:
    read = memory.read(written(tmp_path, conversation()))
    result = await memory.evaluate(read, WordEmbedder(), budget=200, count=words)
    assert result.keys() == {"questions", "evidence_recall", "all_evidence", "tokens_mean", "baselines"}
    assert (result["questions"], result["baselines"]) == (2, {"recent": 0.0})
    assert result["evidence_recall"] == pytest.approx(2 / 3, abs=1e-4)
    assert result["all_evidence"] == 0.5
    assert 50 < result["tokens_mean"] <= 200


async def test_a_budget_for_everything_shows_everything(tmp_path: Path) -> None:
    data = conversation()
    data["conversations"][0]["turns"] = data["conversations"][0]["turns"][:24]
    data["conversations"][0]["questions"] = [{"text": "Who escaped?", "evidence": ["D20"]}]
    result = await memory.evaluate(memory.read(written(tmp_path, data)), WordEmbedder(), budget=9000, count=words)
    assert (result["evidence_recall"], result["baselines"]["recent"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    "document", [[], {}, {"conversations": []}, {"conversations": [{"turns": 1}]}, {"conversations": [{"id": 1}]}]
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, document: object) -> None:
    with pytest.raises(UsageError) as refused:
        memory.read(written(tmp_path, document))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"turns": None}, "conversation 1: turns must be a list"),
        ({"turns": [{"author": "a", "text": "t"}]}, "conversation 1, turn 1: must be an object with id"),
        ({"turns": [{"id": 1, "text": "t"}]}, "conversation 1, turn 1: author must be a text"),
        ({"questions": [{"text": "Who?", "evidence": "D20"}]}, "question 1: evidence must be a list"),
        ({"questions": [{"text": 1, "evidence": ["D20"]}]}, "question 1: text must be a text"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, changed: dict[str, object], told: str) -> None:
    data = conversation()
    data["conversations"][0] |= changed
    with pytest.raises(UsageError, match=told):
        memory.read(written(tmp_path, data))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        memory.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2023-05-08T13:56:00", datetime(2023, 5, 8, 13, 56, tzinfo=UTC)),
        ("1:56 pm on 8 May, 2023", datetime(2023, 5, 8, 13, 56, tzinfo=UTC)),
        ("12:05 am on 9 May, 2023", datetime(2023, 5, 9, 0, 5, tzinfo=UTC)),
        (1683554160, datetime(2023, 5, 8, 13, 56, tzinfo=UTC)),
        ("some time", None),
        (None, None),
    ],
)
def test_times_as_data_sets_write_them(written: object, meant: datetime | None) -> None:
    assert memory.parse_time(written) == meant
