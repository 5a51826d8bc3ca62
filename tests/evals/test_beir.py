"""Reading data sets in BEIR format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.errors import UsageError
from bot.evals import beir


def test_a_text_with_a_line_separator_stays_one_row(tmp_path: Path) -> None:
    rows = [{"_id": "d1", "text": "first\u2028second\u0085third"}, {"_id": "d2", "text": "other"}]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    assert beir.rows(tmp_path, "corpus.jsonl") == rows


def test_only_relevant_documents_are_returned_with_their_grades(tmp_path: Path) -> None:
    lines = ("query-id\tcorpus-id\tscore", "q1\td1\t2", 'q1\td"2\t1', "q2\td1\t0", "")
    (tmp_path / "qrels.tsv").write_text("\n".join(lines))
    assert beir.relevance(tmp_path) == {"q1": {"d1": 2, 'd"2': 1}}


@pytest.mark.parametrize("line", ["q1\td1", "q1\td1\thigh", "q1"])
def test_a_malformed_judgment_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\nq0\td0\t1\n{line}\n")
    with pytest.raises(UsageError, match=r"qrels\.tsv, line 3: not a query, a document and a whole grade\."):
        beir.relevance(tmp_path)


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=rf"{name} cannot be read\. Name a folder with a data set in BEIR format"):
        beir.rows(tmp_path, name)
