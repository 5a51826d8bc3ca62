"""Evaluates answers: asks the questions of cases, checks what each answer says and cites, and has it judged."""

from __future__ import annotations

import asyncio
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from bot.engine.answer import prompt
from bot.errors import UsageError
from bot.evals.answer_cases import Case
from bot.evals.judge import Judge, Judged, family
from bot.evals.judged_answers import report, submission
from bot.types.turns import Outcome
from knowledge.text.word_splitter import SPACED_LETTER, is_unspaced

AT_ONCE = 4
"""Cases that are asked at the same time."""
_MARKUP = re.compile(r"[*_`|]+|\s*\[\d+(?:,\s*\d+)*\]")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case. ``why`` says what is wrong with the answer; empty if it passed.

    ``judged`` is None without a judge, and if there is no answer to judge.
    """

    case: Case
    why: str
    cost_usd: Decimal | None
    judged: Judged | None = None


class Asks(Protocol):
    """Asks questions in one thread, one after another, and returns the outcome of the last one."""

    async def __call__(self, questions: Sequence[str]) -> Outcome: ...


async def evaluate(cases: Sequence[Case], ask: Asks, judge: Judge | None = None) -> dict[str, Any]:
    """Ask every case, and return the document of ``parley eval answers``.

    With a judge, a case passes only if the judge lets its answer pass as well. An answer that could not be judged does
    not pass.
    """
    at_once = asyncio.Semaphore(AT_ONCE)

    async def result(case: Case) -> Result:
        async with at_once:
            outcome = await ask([*case.earlier, case.question])
        why = why_failed(case, outcome)
        if judge is None or outcome.refused is not None:
            return Result(case, why, outcome.cost_usd)
        judged = await _judged(judge, case, outcome)
        if not why and judged.passed is not True:
            why = judged.why if judged.passed is None else f"the judge: {judged.why}"
        return Result(case, why, outcome.cost_usd, judged)

    results = await asyncio.gather(*map(result, cases))
    document = as_document(results)
    if judge is not None:
        document["judged"] = await report(judge, cases, [one.judged for one in results])
        document["not_judged"] = sum(one.judged is None or one.judged.passed is None for one in results)
        costs = (document["cost_usd"], judge.cost_usd)
        document["cost_usd"] = None if None in costs else sum(costs)
    return document


async def _judged(judge: Judge, case: Case, outcome: Outcome) -> Judged:
    wrote = {family(call.model) for call in outcome.calls if call.purpose == "answer" and call.status == "ok"}
    if family(judge.model) in wrote:  # a fallback may have answered
        return Judged(None, None, "not judged: a model of the judge's family wrote the answer")
    return await judge(submission(case, outcome.answer))


def as_document(results: Sequence[Result]) -> dict[str, Any]:
    """Return results as the JSON document. The costs are unknown if the price of one model is."""
    kinds: dict[str, dict[str, int]] = {}
    for result in results:
        counts = kinds.setdefault(result.case.kind, {"cases": 0, "passed": 0})
        counts["cases"] += 1
        counts["passed"] += not result.why
    passed = sum(not result.why for result in results)
    costs = [result.cost_usd for result in results]
    return {
        "cases": len(results),
        "passed": passed,
        "pass_rate": round(passed / len(results), 4),
        "by_kind": kinds,
        "prompt_version": prompt.VERSION,
        "judged": None,
        "not_judged": 0,
        "cost_usd": None if None in costs else sum((cost for cost in costs if cost is not None), Decimal(0)),
        "failed": [{"id": one.case.id, "question": one.case.question, "why": one.why} for one in results if one.why],
    }


def why_failed(case: Case, outcome: Outcome) -> str:
    """Return what is wrong with an answer, in one line; empty if nothing is."""
    if outcome.refused is not None:
        return f"not answered: {outcome.refused}"
    cited = [citation.source for citation in outcome.citations]
    if case.abstain:
        return "answered, although the documents do not tell: " + _shown(outcome.answer) if cited else ""
    said = _plain(outcome.answer)
    missing = [choice for choice in case.facts if not any(_says(said, one) for one in choice)]
    faults = [f"{' or '.join(choice)} is missing" for choice in missing]
    faults += [f"{fact} must not be said" for fact in case.not_facts if _says(said, fact)]
    faults += [f"{name} is not cited" for name in case.sources if not any(name in source for source in cited)]
    if not cited and not faults:
        faults = ["no source is cited"]
    return "; ".join(faults)


def changes(document: Mapping[str, Any], baseline: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the ids of the cases that failed in the baseline only, and of those that fail now only."""
    before = {str(one["id"]) for one in baseline["failed"]}
    now = {str(one["id"]) for one in document["failed"]}
    return sorted(before - now), sorted(now - before)


def read_baseline(path: Path) -> Mapping[str, Any]:
    """Return the document of an earlier run. Raises UsageError."""
    try:
        document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        float(document["pass_rate"])
        [str(one["id"]) for one in document["failed"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(f"{path} is no result of parley eval answers --json. Save one there first.") from None
    return document


def table(document: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
    """Return the results by kind as a table, and the total below."""
    kinds = [(kind, one["cases"], one["passed"]) for kind, one in document["by_kind"].items()]
    return ("kind", "cases", "passed"), [*kinds, ("all", document["cases"], document["passed"])]


def _plain(text: str) -> str:
    """Return a text without case, Markdown's marks, citations, and differences of spaces and compatible characters."""
    return " ".join(_MARKUP.sub(" ", unicodedata.normalize("NFKC", text)).casefold().split())


def _says(said: str, fact: str) -> bool:
    """Return whether a plain text has a fact, as whole words and whole numbers.

    In scripts that put no spaces between words, a word may stand anywhere.
    """
    words = _plain(fact)
    before = "" if is_unspaced(words[0]) else rf"(?<!{SPACED_LETTER})(?<!\d[.,])"
    behind = "" if is_unspaced(words[-1]) else rf"(?!{SPACED_LETTER})(?![.,]\d)"
    return re.search(before + re.escape(words) + behind, said) is not None


def _shown(answer: str) -> str:
    line = " ".join(answer.split())
    return line if len(line) <= 160 else f"{line[:159]}…"
