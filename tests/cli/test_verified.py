"""The commands for verified answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Parley


@pytest.fixture
def travel(parley: Parley, tmp_path: Path) -> Path:
    document = tmp_path / "travel.md"
    document.write_text("# Travel\n\nThe hotel limit in Oslo is 180 EUR a night.\n")
    assert parley("ingest", str(document)).status == 0
    return document


def test_added_answers_are_listed_given_and_removed(parley: Parley, travel: Path) -> None:
    added = parley(
        *("verified", "add", "Who waters the ferns?", "--answer", "Kim does [1].", "--source", "travel.md"),
        *("--also", "Who takes care of the plants?", "--until", "90d", "--owner", "Ann", "--json"),
    ).document
    assert set(added) == {
        "id", "questions", "answer", "sources", "audience", "owner", "verified_at", "expires_at", "turn_id", "stale",
    }  # fmt: skip
    assert parley("verified", "list", "--json").document == [added]
    assert (added["audience"], added["owner"], added["stale"]) == ("tenant", "Ann", None)
    for question in ("who waters the fern", "Who takes care of the plants?"):
        asked = parley("ask", question, "--json").document
        assert (asked["answer"], asked["cached"], asked["cost_usd"]) == ("Kim does [1].", True, 0)
        assert parley("why", asked["turn_id"], "--json").document["verified"]["owner"] == "Ann"
    shown = parley("verified", "list")
    assert "in force" in shown.out
    assert parley("verified", "remove", added["id"], "--json").document == {"removed": added["id"]}
    assert parley("verified", "list", "--json").document == []
    assert parley("ask", "Who waters the ferns?", "--json").document["answer"] != "Kim does [1]."


def test_an_answer_that_was_given_is_verified(parley: Parley, travel: Path, tmp_path: Path) -> None:
    asked = parley("ask", "What is the hotel limit in Oslo?", "--json").document
    added = parley("verified", "add", "--answer-of", asked["turn_id"], "--until", "never", "--json").document
    assert (added["answer"], added["turn_id"], added["expires_at"]) == (asked["answer"], asked["turn_id"], None)
    (tmp_path / "answer.md").write_text("Ask Kim.")
    from_file = parley("verified", "add", "Where is it?", "--answer-file", str(tmp_path / "answer.md"), "--json")
    assert from_file.document["answer"] == "Ask Kim."


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("add", "Who?"), "--answer"),
        (("add", "Who?", "--answer", "Kim", "--answer-of", "12345678"), "one of --answer"),
        (("add", "Who?", "--answer-of", "12345678"), "Leave out QUESTION"),
        (("add", "--answer", "Kim"), "Write the question"),
        (("add", "Who?", "--answer", "Kim", "--until", "soon"), "no day or period"),
        (("add", "--answer-of", "12345678"), "No answer has the ID"),
        (("remove", "12345678"), "No verified answer has the ID"),
    ],
)
def test_what_is_wrong_is_said_on_one_line(parley: Parley, args: tuple[str, ...], words: str) -> None:
    failed = parley("verified", *args)
    assert failed.status == 2
    assert words in failed.err
    assert failed.err.count("\n") == 1


def test_an_answer_is_read_as_editors_write_it(parley: Parley, tmp_path: Path) -> None:
    file = tmp_path / "answer.md"
    file.write_bytes(b"\xef\xbb\xbfAsk Kim.")
    added = parley("verified", "add", "Where is it?", "--answer-file", str(file), "--json").document
    assert added["answer"] == "Ask Kim."
    file.write_bytes("Im Büro.".encode("latin-1"))
    failed = parley("verified", "add", "Where is it?", "--answer-file", str(file))
    assert failed.status == 1
    assert "is not text in UTF-8" in failed.err


def test_a_source_that_does_not_exist_is_named(parley: Parley) -> None:
    failed = parley("verified", "add", "Who?", "--answer", "Kim", "--source", "nowhere.md")
    assert failed.status == 1
    assert "There is no document nowhere.md" in failed.err


def test_rejected_answers_are_written_as_cases(parley: Parley, travel: Path, tmp_path: Path) -> None:
    parley("ask", "Which zebras may I bring?")
    path = tmp_path / "cases.jsonl"
    assert parley("feedback", "--as-cases", str(path), "--json").document == {"file": str(path), "cases": 1}
    assert "Wrote 1 case to" in parley("feedback", "--as-cases", str(path)).out
    ran = parley("eval", "answers", "--cases", str(path), "--documents", str(travel), "--json").document
    assert (ran["cases"], ran["passed"], ran["failed"][0]["why"]) == (1, 0, "no source is cited")
    assert "cannot be written" in parley("feedback", "--as-cases", str(tmp_path / "no" / "cases.jsonl")).err
