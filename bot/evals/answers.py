"""Evaluates answers: asks the questions of a file of cases, and checks what each answer says and cites.

A case is a JSON object: ``id``, ``question``, and what is expected. ``facts`` must stand in the answer, each a text or
a list of texts of which one is enough. ``not_facts`` must not. ``sources`` must be cited, each a part of a source's
name. With ``abstain``, the answer must cite nothing, because the documents do not tell; with ``answered``, it must cite
something. Optional: ``kind``, by which the results are counted, and ``earlier``, the questions that are asked before in
the same thread.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from bot.errors import UsageError
from bot.evals import jsonl
from bot.types.turns import Outcome
from knowledge.text.word_splitter import is_unspaced

AT_ONCE = 4
"""Cases that are asked at the same time."""
_MARKUP = re.compile(r"[*_`|]+|\s*\[\d+(?:,\s*\d+)*\]")


@dataclass(frozen=True, slots=True)
class Case:
    """A question and what its answer must and must not have. Each of ``facts`` is a choice of texts."""

    id: str
    kind: str
    question: str
    earlier: tuple[str, ...] = ()
    facts: tuple[tuple[str, ...], ...] = ()
    not_facts: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    abstain: bool = False
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case. ``why`` says what is wrong with the answer; empty if it passed."""

    case: Case
    why: str
    cost_usd: Decimal | None


class Asks(Protocol):
    """Asks questions in one thread, one after another, and returns the outcome of the last one."""

    async def __call__(self, questions: Sequence[str]) -> Outcome: ...


def read(path: Path) -> list[Case]:
    """Return the cases of a JSONL file. Raises UsageError."""
    cases = jsonl.read(path, _case, of="cases with question and facts")
    if not cases:
        raise UsageError(f'{path} has no case. Add a line such as {{"question": "...", "facts": ["..."]}}.')
    repeated = [name for name, count in Counter(case.id for case in cases).items() if count > 1]
    if repeated:
        raise UsageError(f"{path} has several cases with the id {repeated[0]}. Give each its own.")
    return cases


async def evaluate(cases: Sequence[Case], ask: Asks) -> dict[str, Any]:
    """Ask every case, and return the document of ``parley eval answers``."""
    at_once = asyncio.Semaphore(AT_ONCE)

    async def result(case: Case) -> Result:
        async with at_once:
            outcome = await ask([*case.earlier, case.question])
        return Result(case, why_failed(case, outcome), outcome.cost_usd)

    return as_document(await asyncio.gather(*map(result, cases)))


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
    rows = jsonl.read(path, lambda row, where: row, of="an earlier result of parley eval answers --json")
    try:
        [document] = rows
        float(document["pass_rate"])
        [str(one["id"]) for one in document["failed"]]
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path} is no result of parley eval answers --json. Save one there first.") from None
    return document


def table(document: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
    """Return the results by kind as a table, and the total below."""
    kinds = [(kind, one["cases"], one["passed"]) for kind, one in document["by_kind"].items()]
    return ("kind", "cases", "passed"), [*kinds, ("all", document["cases"], document["passed"])]


def _case(row: Mapping[str, Any], where: str) -> Case:
    question = jsonl.text(row, "question", where)
    facts = tuple(_choice(fact, where) for fact in _list(row, "facts", where))
    case = Case(
        id=str(row.get("id") or where.rpartition(", ")[2]),
        kind=str(row.get("kind") or "other"),
        question=question,
        earlier=_texts(row, "earlier", where),
        facts=facts,
        not_facts=_texts(row, "not_facts", where),
        sources=_texts(row, "sources", where),
        abstain="abstain" in row and jsonl.boolean(row, "abstain", where),
        answered="answered" in row and jsonl.boolean(row, "answered", where),
    )
    if not (case.facts or case.not_facts or case.sources or case.abstain or case.answered):
        raise UsageError(f"{where}: nothing is expected. Add facts, not_facts, sources, abstain or answered.")
    return case


def _choice(fact: object, where: str) -> tuple[str, ...]:
    choice = fact if isinstance(fact, list) else [fact]
    if not choice or not all(isinstance(one, str) and one.strip() for one in choice):
        raise UsageError(f"{where}: each of facts must be a text or a list of texts.")
    return tuple(choice)


def _texts(row: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    values = _list(row, name, where)
    if not all(isinstance(value, str) and value.strip() for value in values):
        raise UsageError(f"{where}: {name} must be a list of texts.")
    return tuple(values)


def _list(row: Mapping[str, Any], name: str, where: str) -> list[Any]:
    value = row.get(name, [])
    if not isinstance(value, list):
        raise UsageError(f"{where}: {name} must be a list.")
    return value


def _plain(text: str) -> str:
    """Return a text without case, Markdown's marks, citations, and differences of spaces and compatible characters."""
    return " ".join(_MARKUP.sub(" ", unicodedata.normalize("NFKC", text)).casefold().split())


def _says(said: str, fact: str) -> bool:
    """Return whether a plain text has a fact, as whole words and whole numbers.

    In scripts that put no spaces between words, a word may stand anywhere.
    """
    words = _plain(fact)
    before = "" if is_unspaced(words[0]) else r"(?<!\w)(?<!\d[.,])"
    behind = "" if is_unspaced(words[-1]) else r"(?!\w)(?![.,]\d)"
    return re.search(before + re.escape(words) + behind, said) is not None


def _shown(answer: str) -> str:
    line = " ".join(answer.split())
    return line if len(line) <= 160 else f"{line[:159]}…"
