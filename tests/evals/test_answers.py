"""The evaluation of answers: what a case expects, what passes, and what differs from an earlier run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.engine.answer import prompt
from bot.errors import UsageError
from bot.evals.answer_cases import Case, read
from bot.evals.answers import AT_ONCE, changes, evaluate, read_baseline, table, why_failed
from bot.types.conversation import ThreadKey
from bot.types.display import Citation
from bot.types.turns import Outcome
from knowledge import sample

THREAD = ThreadKey("local", "console", "console", "t")


def outcome(answer: str, *sources: str, refused: str | None = None, cost: Decimal | None = Decimal(1)) -> Outcome:
    cited = tuple(Citation(n, source, source, "quote") for n, source in enumerate(sources, 1))
    return Outcome("turn", THREAD, "done", answer, cited, refused=refused, cost_usd=cost)


def case(**expected: Any) -> Case:
    return Case("c", "direct", "How much?", **expected)


@pytest.mark.parametrize(
    ("expected", "given", "why"),
    [
        ({"facts": (("220 EUR",),)}, outcome("Up to **220\u00a0EUR** a night [1].", "travel.md"), ""),
        ({"facts": (("22",),)}, outcome("220 EUR, 0.22 or 22,5 [1]", "travel.md"), "22 is missing"),
        ({"facts": (("22",),)}, outcome("There are 22. [1]", "travel.md"), ""),
        ({"facts": (("six months", "6 months"),)}, outcome("6 Months [1]", "a.md"), ""),
        ({"facts": (("a", "b"), ("c",))}, outcome("none [1]", "a.md"), "a or b is missing; c is missing"),
        ({"facts": (("yes",),), "not_facts": ("160 EUR",)}, outcome("yes, 160 EUR", "a"), "160 EUR must not be said"),
        ({"facts": (("yes",),), "sources": ("travel",)}, outcome("yes", "folder/travel.md"), ""),
        ({"sources": ("travel",)}, outcome("yes", "leave.md"), "travel is not cited"),
        ({"facts": (("yes",),)}, outcome("yes"), "no source is cited"),
        ({"abstain": True}, outcome("I found nothing."), ""),
        (
            {"abstain": True},
            outcome("It is red [1].", "a"),
            "answered, although the documents do not tell: It is red [1].",
        ),
        ({"abstain": True}, outcome("", refused="No tokens left."), "not answered: No tokens left."),
    ],
)
def test_an_answer_passes_only_if_it_has_what_is_expected(expected: dict[str, Any], given: Outcome, why: str) -> None:
    assert why_failed(case(**expected), given) == why


async def test_earlier_questions_come_first_and_results_are_counted_by_kind() -> None:
    asked: list[list[str]] = []
    running = most = 0

    async def ask(questions: Sequence[str]) -> Outcome:
        nonlocal running, most
        asked.append(list(questions))
        running += 1
        most = max(most, running)
        for _ in range(3):
            await asyncio.sleep(0)
        running -= 1
        return outcome("220 EUR [1]", "travel.md", cost=None if questions[-1] == "free?" else Decimal("0.5"))

    cases = [
        Case("one", "follow-up", "And Oslo?", ("And London?",), facts=(("180 EUR",),)),
        *(Case(f"d{n}", "direct", "London?", facts=(("220 EUR",),)) for n in range(9)),
    ]
    document = await evaluate(cases, ask)
    assert ["And London?", "And Oslo?"] in asked
    assert most == AT_ONCE
    assert document == {
        "cases": 10,
        "passed": 9,
        "pass_rate": 0.9,
        "by_kind": {"follow-up": {"cases": 1, "passed": 0}, "direct": {"cases": 9, "passed": 9}},
        "prompt_version": prompt.VERSION,
        "judged": None,
        "not_judged": 0,
        "cost_usd": Decimal("5.0"),
        "failed": [{"id": "one", "question": "And Oslo?", "why": "180 EUR is missing"}],
    }
    assert table(document)[1][-1] == ("all", 10, 9)
    unpriced = await evaluate([Case("x", "direct", "free?", facts=(("220 EUR",),))], ask)
    assert unpriced["cost_usd"] is None, "the price of a model is unknown"


def test_the_cases_of_the_sample_are_sixty_in_six_kinds() -> None:
    cases = read(sample.answer_cases())
    assert len(cases) == 60
    assert {one.kind for one in cases} == {"direct", "follow-up", "compare", "list", "unanswerable", "contradicting"}
    assert {one.kind for one in cases if one.abstain} == {"unanswerable"}
    files = {path.name for path in sample.path().rglob("*")}
    assert all(source in files for one in cases for source in one.sources)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{}", "question must be a text"),
        ('{"question": "Why?"}', "nothing is expected"),
        ('{"question": "Why?", "facts": "x"}', "facts must be a list"),
        ('{"question": "Why?", "facts": [1]}', "a text or a list of texts"),
        ('{"question": "Why?", "facts": [[]]}', "a text or a list of texts"),
        ('{"question": "Why?", "sources": [""]}', "sources must be a list of texts"),
        ('{"question": "Why?", "abstain": "yes"}', "abstain must be true or false"),
        (
            '{"id": "a", "question": "A?", "abstain": true}\n{"id": "a", "question": "B?", "abstain": true}',
            "several",
        ),
        ("", "has no case"),
    ],
)
def test_a_malformed_case_is_named_with_its_line(tmp_path: Path, line: str, fault: str) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text(line)
    with pytest.raises(UsageError, match=fault):
        read(file)


def test_what_changed_since_an_earlier_run(tmp_path: Path) -> None:
    file = tmp_path / "before.json"
    file.write_text(json.dumps({"pass_rate": 0.5, "failed": [{"id": "a"}, {"id": "b"}]}))
    before = read_baseline(file)
    assert changes({"failed": [{"id": "b"}, {"id": "c"}]}, before) == (["a"], ["c"])
    file.write_text('{"pass_rate": 0.5}')
    with pytest.raises(UsageError, match="no result"):
        read_baseline(file)


@pytest.mark.parametrize(
    ("answer", "fact", "says"),
    [
        ("办公室六点关门。", "六点", True),
        ("办公室16点关门。", "6点", False),
        ("コアタイムは午前10時からです。", "10時", True),
        ("宿泊費は一泊12,000円です。", "2,000円", False),
        ("in 16 days", "6 days", False),
    ],
)
def test_a_fact_in_a_script_without_spaces_may_stand_anywhere(answer: str, fact: str, says: bool) -> None:
    case = Case("1", "zh", "?", facts=((fact,),))
    assert (f"{fact} is missing" not in why_failed(case, outcome(answer))) is says
