"""A judge with real SDKs on real sockets: what it cannot judge never passes, and how far it can be trusted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.config import Settings
from bot.evals.agreement import kappa, wilson
from bot.evals.answer_cases import Case, Labelled
from bot.evals.judge import (
    VAGUE,
    Cache,
    Judge,
    Submission,
    Verdict,
    cache_key,
    combined,
    expected_usage,
    family,
    prompt,
)
from bot.evals.judged_answers import report, submission, submissions
from bot.evals.verdict_file import VerdictFile
from bot.llm.build import NamedModel
from bot.llm.prices import Prices
from bot.llm.tokens import TokenCounter
from tests.doubles.models import ModelDouble, Reply, Seen

SUBMISSION = Submission("How long is the leave?", "- It must say: 30 days", "30 days [1].", "It is 30 days.")


@pytest.fixture
async def double() -> AsyncIterator[ModelDouble]:
    async with ModelDouble() as found:
        yield found


@pytest.fixture(params=["claude-haiku-5-5", "gpt-6-luna"])
async def judge(request: pytest.FixtureRequest, double: ModelDouble) -> AsyncIterator[Judge]:
    async for found in opened(double, request.param):
        yield found


async def opened(
    double: ModelDouble, model: str, cache: Cache | None = None, *, timeout: float = 120
) -> AsyncIterator[Judge]:
    settings = Settings(
        _env_file=None,
        anthropic_api_key=SecretStr(double.anthropic_key),
        anthropic_base_url=double.anthropic_url,
        openai_api_key=SecretStr(double.openai_key),
        openai_base_url=double.openai_url,
    )
    named = NamedModel.parse(settings, model, named_by="--judge")
    async with aclosing(named.build(settings, TokenCounter(), Prices())) as llm:
        yield Judge(llm, model, cache=cache, timeout=timeout)


def verdict(score: int, *, passed: bool | None = None) -> Reply:
    return Reply(
        json.dumps({"reason": "So it is.", "score": score, "passed": score >= 4 if passed is None else passed})
    )


def answers_in(replies: Iterator[Reply]) -> Callable[[Seen], Reply]:
    return lambda _: next(replies)


async def test_both_orders_are_asked_and_must_agree(judge: Judge, double: ModelDouble) -> None:
    double.script = lambda _: verdict(5)
    judged = await judge(SUBMISSION)
    assert (judged.passed, judged.score, judged.why) == (True, 5.0, "So it is.")
    first, second = (seen.messages[-1][1] for seen in double.requests[-2:])
    assert first.index("<reference>") < first.index("<answer>")
    assert second.index("<answer>") < second.index("<reference>")
    assert [call.purpose for call in judge.calls] == ["judge", "judge"]
    double.script = answers_in(iter([verdict(5), verdict(2)]))
    judged = await judge(Submission("Other?", "- x", "y"))
    assert (judged.passed, "depends on the order" in judged.why) == (None, True)
    double.script = lambda _: verdict(2)
    assert (await judge(Submission("Another?", "- x", "y"))).passed is False


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply("Sounds fine to me!"), "does not"),
        (Reply('{"reason": "x", "score": 9, "passed": true}'), "score"),
        (verdict(1, passed=True), "contradicts"),
        (Reply("I would rather not.", stop="refused"), ""),
        (Reply(fault="status", status=400), ""),
        (Reply('{"reason": "x", "sc', stop="cut"), ""),
    ],
    ids=["nonsense", "out of range", "contradiction", "refusal", "error", "cut"],
)
async def test_what_cannot_be_judged_does_not_pass(judge: Judge, double: ModelDouble, reply: Reply, why: str) -> None:
    double.script = lambda _: reply
    judged = await judge(SUBMISSION)
    assert judged.passed is None
    assert judged.why.startswith("not judged: ")
    assert why in judged.why or why == "does not"
    assert "\n" not in judged.why


async def test_a_judge_that_times_out_does_not_pass(double: ModelDouble) -> None:
    double.script = lambda _: Reply(fault="deaf")
    async for judge in opened(double, "claude-haiku-5-5", timeout=0.2):
        judged = await judge(SUBMISSION)
        assert (judged.passed, judged.why) == (None, "not judged: the judge gave no verdict within 0.2 s")


async def test_verdicts_are_kept_and_not_paid_for_again(double: ModelDouble, tmp_path: Path) -> None:
    double.script = lambda _: verdict(4)
    path = tmp_path / "more" / "verdicts.jsonl"
    async for judge in opened(double, "claude-haiku-5-5", VerdictFile(path)):
        await judge(SUBMISSION)
        assert len(judge.calls) == 2
    path.write_text(path.read_text() + "broken\n")
    async for judge in opened(double, "claude-haiku-5-5", VerdictFile(path)):
        assert (await judge(SUBMISSION)).passed is True
        assert judge.calls == []
        assert judge.cost_usd == 0
        await judge(Submission("How long is the leave?", "- It must say: 30 days", "20 days [1].", "It is 30 days."))
        assert len(judge.calls) == 2, "another answer is judged"
    assert cache_key("a", SUBMISSION, answer_first=True) != cache_key("b", SUBMISSION, answer_first=True)


async def test_the_report_has_agreement_with_labels_and_vague_probes(double: ModelDouble) -> None:
    def fair(seen: Seen) -> Reply:
        answer = seen.messages[-1][1].partition("<answer>")[2].partition("</answer>")[0]
        return verdict(5 if "30 days" in answer or "generous" in answer else 1)

    double.script = fair
    labels = (Labelled("It is 30 days.", True), Labelled("Ten.", False), Labelled("It is generous.", False))
    cases = [Case("a", "direct", "How long?", facts=(("30 days",),), labelled=labels)]
    async for judge in opened(double, "claude-haiku-5-5"):
        judged = [await judge(submission(case, "30 days")) for case in cases]
        found = await report(judge, cases, judged)
    assert (found["model"], found["pass_rate"], found["labels"]) == ("claude-haiku-5-5", 1.0, 3)
    assert found["kappa"] == pytest.approx(0.4, abs=0.01)
    assert found["probes"] == {"asked": 1, "passed": 0}
    double.script = lambda _: verdict(5)
    async for judge in opened(double, "claude-haiku-5-5"):
        found = await report(judge, cases, [None])
    assert (found["pass_rate"], found["ci95"], found["probes"]["passed"]) == (None, [0.0, 1.0], 1)


def test_the_judge_is_told_what_is_required() -> None:
    case = Case(
        "a", "x", "And in Oslo?", ("What in London?",), (("180", "190"),), ("220",), ("travel",), reason="Too old.",
        reference="It is 180.",
    )  # fmt: skip
    text = prompt(submission(case, "180"), answer_first=False).messages[0].text
    for part in ("What in London?", "180 or: 190", "must not say: 220", "travel", "Too old.", "It is 180."):
        assert part in text
    assert "must not guess" in submission(Case("b", "x", "?", abstain=True), "").required
    assert "must answer" in submission(Case("c", "x", "?", answered=True), "").required


def test_the_price_counts_each_answer_twice_with_labels_and_probes() -> None:
    case = Case("a", "x", "Why?", labelled=(Labelled("So.", True),), answered=True)
    assert [one.answer for one in submissions([case])] == ["", "So.", VAGUE]
    assert expected_usage([SUBMISSION], len).completion_tokens == 240


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-haiku-5-5", "claude"), ("gpt-6-luna", "gpt"), ("o3-mini", "gpt"), ("chatgpt-4o", "gpt"),
        ("meta-llama/Llama-3.3", "llama"), ("qwen2.5:7b", "qwen"), ("7b", "7b"),
    ],
)  # fmt: skip
def test_families_are_told_by_the_names(model: str, expected: str) -> None:
    assert family(model) == expected


def test_agreement_by_hand() -> None:
    assert kappa([]) is None
    assert kappa([(True, True)] * 3) is None
    assert kappa([(True, True), (False, False)]) == 1
    assert kappa([(True, False), (False, True)]) == -1
    low, high = wilson(8, 10)
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)
    assert wilson(0, 0) == (0.0, 1.0)


def test_two_verdicts_count_if_they_agree() -> None:
    good, bad = Verdict(reason="a", score=5, passed=True), Verdict(reason="b", score=4, passed=True)
    assert combined([good, bad]).score == 4.5
