"""``parley eval answers`` asks the shipped pipeline, in a schema that it drops. Its exit status tells the result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Parley

CASES = [
    {"id": "limit", "kind": "direct", "question": "What is the hotel limit in Oslo?", "facts": ["180 EUR"]},
    {"id": "wrong", "kind": "direct", "question": "What is the hotel limit in Oslo?", "facts": ["190 EUR"]},
]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    document, cases, before = tmp_path / "travel.md", tmp_path / "cases.jsonl", tmp_path / "before.json"
    document.write_text("# Travel\n\nThe hotel limit in Oslo is 180 EUR a night.\n")
    cases.write_text("\n".join(map(json.dumps, CASES)))
    before.write_text(json.dumps({"pass_rate": 1.0, "failed": []}))
    return document, cases, before


def test_answers_are_checked_and_nothing_stays(parley: Parley, files: tuple[Path, Path, Path]) -> None:
    document, cases, before = files
    command = ("eval", "answers", "--cases", str(cases), "--documents", str(document))
    made = parley(*command, "--fail-under", "0.5", "--json")
    assert (made.status, made.document["passed"], made.document["cases"]) == (0, 1, 2)
    [failed] = made.document["failed"]
    assert (failed["id"], failed["why"]) == ("wrong", "190 EUR is missing")
    assert parley("docs", "list", "--json").document == []
    worse = parley(*command, "--baseline", str(before))
    assert worse.status == 1
    assert "wrong: What is the hotel limit in Oslo?" in worse.out
    assert "Broken: wrong." in worse.err
