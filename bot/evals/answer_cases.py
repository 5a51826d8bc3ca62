"""Reads cases for the evaluation of answers.

A case is a JSON object: ``id``, ``question``, and what is expected. ``facts`` must stand in the answer, each a text or
a list of texts of which one is enough. ``not_facts`` must not. ``sources`` must be cited, each a part of a source's
name. With ``abstain``, the answer must cite nothing, because the documents do not tell; with ``answered``, it must cite
something. Optional: ``kind``, by which the results are counted, and ``earlier``, the questions that are asked before in
the same thread.

For a judge: ``reference`` is a right answer, ``reason`` says why a person rejected an earlier one, and ``labelled`` are
answers that people judged, each with ``answer`` and ``pass``, by which the judge is checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.errors import UsageError
from bot.evals import jsonl


@dataclass(frozen=True, slots=True)
class Labelled:
    """An answer to a case, and whether a person let it pass."""

    answer: str
    passed: bool


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
    reference: str = ""
    reason: str = ""
    labelled: tuple[Labelled, ...] = ()


def read(path: Path) -> list[Case]:
    """Return the cases of a JSONL file. Raises UsageError."""
    cases = jsonl.read(path, _case, of="cases with question and facts")
    if not cases:
        raise UsageError(f'{path} has no case. Add a line such as {{"question": "...", "facts": ["..."]}}.')
    repeated = [name for name, count in Counter(case.id for case in cases).items() if count > 1]
    if repeated:
        raise UsageError(f"{path} has several cases with the id {repeated[0]}. Give each its own.")
    return cases


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
        reference=jsonl.text(row, "reference", where) if "reference" in row else "",
        reason=jsonl.text(row, "reason", where) if "reason" in row else "",
        labelled=tuple(_labelled(one, where) for one in _list(row, "labelled", where)),
    )
    if not (case.facts or case.not_facts or case.sources or case.abstain or case.answered):
        raise UsageError(f"{where}: nothing is expected. Add facts, not_facts, sources, abstain or answered.")
    return case


def _labelled(value: object, where: str) -> Labelled:
    if not isinstance(value, dict):
        raise UsageError(f"{where}: each of labelled must be an object with answer and pass.")
    return Labelled(jsonl.text(value, "answer", where), jsonl.boolean(value, "pass", where))


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
