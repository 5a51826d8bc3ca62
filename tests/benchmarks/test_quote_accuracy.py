"""The benchmark of the right sentence counts quotes of the relevant document that have the answer."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.quote_accuracy import Outcome, has_answer, line, outcome, questions
from bot.evals import retrieval
from knowledge.types.search_results import Found
from tests.llm.llm_requests import passage

ROWS = {"d1": "The gate opens at six. Every hall has a lamp.", "d2": "The pump runs for forty minutes."}
QUERIES = (("q1", "When does the gate open?", "at Six"), ("q2", "How long does the pump run?", "an hour"))


def data_set(folder: Path) -> Path:
    rows = {
        "corpus.jsonl": [{"_id": name, "text": text} for name, text in ROWS.items()],
        "queries.jsonl": [{"_id": name, "text": text, "answer": answer} for name, text, answer in QUERIES],
    }
    for name, lines in rows.items():
        (folder / name).write_text("\n".join(map(json.dumps, lines)))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n")
    return folder


def test_only_questions_whose_answer_is_in_their_document_are_asked(tmp_path: Path) -> None:
    folder = data_set(tmp_path)
    (asked,) = questions(folder, retrieval.read(folder))
    assert asked.question == "When does the gate open?"
    found = passage(ROWS["d1"])
    right = outcome(asked, Found((found,), {}, 0.9, 1, decline_below=0.5))
    assert (right.found, right.declined, right.quotes) == (False, False, (False,))  # another document says the same


def test_a_declined_question_has_no_quotes(tmp_path: Path) -> None:
    folder = data_set(tmp_path)
    (asked,) = questions(folder, retrieval.read(folder))
    assert outcome(asked, Found((passage(ROWS["d1"]),), {}, 0.1, 1, decline_below=0.5)).declined


def test_an_answer_is_found_across_lines_and_in_any_case() -> None:
    assert has_answer("It opens at\n SIX.", "at six")
    assert not has_answer("It opens at seven.", "at six")


def test_a_line_has_the_shares() -> None:
    answered = [Outcome(True, False, (False, True)), Outcome(True, True)]
    text = line("en", answered, [Outcome(False, True)])
    assert "found 1.000, first 0.000, first_two 0.500, any 0.500, declined 0.500, kept_quiet 1.000" in text
