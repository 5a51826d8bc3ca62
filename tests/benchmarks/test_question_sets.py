"""The question sets that benchmarks ask can be read, and are what the documentation says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import benchmarks
from benchmarks.all_evidence import beir_questions, sample_questions
from bot.evals import answer_cases
from bot.evals.retrieval import DataSet, Row
from tests.engine.fakes import passage

FOLDER = Path(benchmarks.__file__).parent


@pytest.mark.parametrize("name", ["held_out_questions.jsonl", "held_out_handbook_and_newsletter.jsonl"])
def test_there_are_fifty_held_out_questions(name: str) -> None:
    cases = answer_cases.read(FOLDER / name)
    assert len(cases) == len({case.id for case in cases}) == 50
    assert sum(case.abstain for case in cases) == 5


def test_the_sample_questions_need_two_documents_each() -> None:
    asked = sample_questions()
    assert len(asked) == 46
    assert {len(one.evidence) for one in asked} == {2}
    assert not any(holds(passage("Nothing of it.")) for one in asked for holds in one.evidence)


def test_evidence_is_held_by_a_passage_that_has_most_of_the_shorter_of_both() -> None:
    corpus = {"a": Row("", "x" * 200), "b": Row("", "y" * 40)}
    asked = beir_questions(DataSet(corpus, {"1": "Both?", "2": "One?"}, {"1": {"a": 1, "b": 1}, "2": {"a": 1}}))
    assert [one.question for one in asked] == ["Both?"]
    text = passage("x" * 60)  # the characters 100 to 160 of its document
    holds = dict(zip("ab", asked[0].evidence, strict=True))
    assert holds["a"](replace(text, source="a"))
    assert not holds["a"](replace(text, source="b"))
    assert not holds["b"](replace(text, source="b"))
