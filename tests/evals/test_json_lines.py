"""JSONL is split at line breaks alone: a JSON text may contain the other separators that ``splitlines`` knows."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path

from bot.evals import followups, retrieval
from bot.llm.batches.batch_results import json_lines

ROOT = Path(__file__).resolve().parents[2]
ODD = "one\u2028two\u2029three\x85four"


def lines(*rows: Mapping[str, object]) -> str:
    return "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"


def test_results_of_a_batch() -> None:
    assert list(json_lines(lines({"text": ODD}, {"text": "b"}))) == [{"text": ODD}, {"text": "b"}]


def test_data_sets(tmp_path: Path) -> None:
    asked = {"_id": "q1", "text": ODD, "last_turn": ODD, "user_turns": [ODD], "standalone": ODD}
    (tmp_path / "queries.jsonl").write_text(lines(asked), encoding="utf-8")
    (tmp_path / "corpus.jsonl").write_text(lines({"_id": "d1", "title": "", "text": ODD}), encoding="utf-8")
    (tmp_path / "qrels.tsv").write_text("query\tdocument\tscore\nq1\td1\t1\n", encoding="utf-8")
    assert [one.id for one in followups.read(tmp_path)] == ["q1"]
    assert retrieval.read(tmp_path).relevance == {"q1": {"d1": 1}}


def test_no_function_splits_json_lines_at_other_separators() -> None:
    wrong = []
    for path in sorted(path for package in ("bot", "knowledge") for path in (ROOT / package).rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                called = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
                if {"splitlines", "loads"} <= called:
                    wrong.append(f"{path.relative_to(ROOT)}: {function.name}")
    assert wrong == []
