"""The evaluation of the answer cache."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bot.errors import UsageError
from bot.evals.cache import evaluate, read
from knowledge.ports import Encoded, EncodeKind


class Apart:
    """An embedder that gives all texts the same vector, except those with the word far."""

    model, billed, dimensions, max_tokens = "apart", False, 2, 10

    def __init__(self) -> None:
        self.seen: list[str] = []

    def warm(self) -> None: ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [1 for _ in texts]

    async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
        self.seen += texts
        return Encoded(
            np.array([[0.0, 1.0] if "far" in text else [1.0, 0.0] for text in texts], np.float32), len(texts)
        )

    async def aclose(self) -> None: ...


def pairs(folder: Path, *rows: object) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


async def test_hits_and_wrong_ones_are_counted(tmp_path: Path) -> None:
    path = pairs(
        tmp_path,
        {"a": "How do I stop it now?", "b": "How do I stop it now?", "same": True},
        {"a": "How do I lock the door?", "b": "How can I lock the door?", "same": True},
        {"a": "How do I lock the gate?", "b": "How can I lock the gate?", "same": False},
        {"a": "How do I lock the door?", "b": "What keeps thieves out?", "same": True},
        {"a": "How do I see a far star?", "b": "How can I see the far stars?", "same": True},
        {"a": "How do I see one?", "b": "Why do I see one?", "same": False},
    )
    embedder = Apart()
    document = await evaluate(read(path), embedder)
    assert document == {"pairs": 6, "hits": 4, "false_hits": 1, "false_hit_rate": 0.25, "recall": 0.75}
    assert "What keeps thieves out?" not in embedder.seen


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("[]", "line 1: not a JSON object"),
        ('{"a": "x", "b": 1, "same": true}', "b must"),
        ('{"a": "", "b": ""}', "same must"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, fault: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(UsageError, match=fault):
        read(path)
