"""Has the answers to cases judged: what is required of each, labels that people gave, and vague answers as probes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bot.evals.agreement import kappa, wilson
from bot.evals.answer_cases import Case
from bot.evals.judge import VAGUE, Judge, Judged, Submission

MOST_PROBES = 5
"""Cases for which the judge also sees a vague answer."""


def submission(case: Case, answer: str) -> Submission:
    """Return an answer to a case as the judge sees it."""
    required = [f"It must say: {' or: '.join(choice)}" for choice in case.facts]
    required += [f"It must not say: {fact}" for fact in case.not_facts]
    if case.sources:
        required.append(f"It rests on these documents: {', '.join(case.sources)}")
    if case.abstain:
        required.append("The documents do not tell. The answer must say so, and must not guess.")
    if case.answered:
        required.append("It must answer the question.")
    if case.reason:
        required.append(f"A person rejected an earlier answer: {case.reason}")
    asked = "\n".join((*case.earlier, case.question))
    return Submission(asked, "\n".join(f"- {line}" for line in required), answer, case.reference)


def probed(cases: Sequence[Case]) -> list[Case]:
    """Return the cases for which the judge also sees a vague answer."""
    return [case for case in cases if not case.abstain][:MOST_PROBES]


def submissions(cases: Sequence[Case]) -> list[Submission]:
    """Return all that a run has judged, without the answers that are still unknown. For the price."""
    labelled = [submission(case, one.answer) for case in cases for one in case.labelled]
    vague = [submission(case, VAGUE) for case in probed(cases)]
    return [*(submission(case, "") for case in cases), *labelled, *vague]


async def report(judge: Judge, cases: Sequence[Case], judged: Sequence[Judged | None]) -> dict[str, Any]:
    """Return ``judged`` of the document: the pass rate of what was judged, and how far the judge can be trusted.

    ``judged`` are the judgments of the cases' answers, None where there was no answer. ``kappa`` is the agreement with
    the labels; ``probes`` counts vague answers, and how many of them the judge let pass.
    """
    labels = [(case, one) for case in cases for one in case.labelled]
    of_labels, of_probes = await asyncio.gather(
        asyncio.gather(*(judge(submission(case, one.answer)) for case, one in labels)),
        asyncio.gather(*(judge(submission(case, VAGUE)) for case in probed(cases))),
    )
    known = [one for one in judged if one is not None and one.passed is not None]
    passed = sum(one.passed is True for one in known)
    pairs = [
        (found.passed, one.passed)
        for found, (_, one) in zip(of_labels, labels, strict=True)
        if found.passed is not None
    ]
    agreement = kappa(pairs)
    scores = [one.score for one in known if one.score is not None]
    return {
        "model": judge.model,
        "pass_rate": round(passed / len(known), 4) if known else None,
        "ci95": [round(limit, 4) for limit in wilson(passed, len(known))],
        "kappa": None if agreement is None else round(agreement, 4),
        "labels": len(pairs),
        "score": round(sum(scores) / len(scores), 2) if scores else None,
        "probes": {
            "asked": sum(one.passed is not None for one in of_probes),
            "passed": sum(one.passed is True for one in of_probes),
        },
    }
