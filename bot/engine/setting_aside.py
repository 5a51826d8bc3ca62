"""Tokens set aside before a question's prompt is known: nothing that costs is begun without."""

from __future__ import annotations

from bot.engine import budget, prompt, words
from bot.engine.means import Means
from bot.engine.ports import Meter, Verdict
from bot.engine.run import Run
from bot.errors import OverBudget, Refused
from bot.types import Brief


async def begin(means: Means, run: Run, brief: Brief) -> None:
    """Take what was set aside when the question was accepted; set it aside now where that is gone, or never was.

    Where too little is left for it, nothing is: the prompt may yet fit when it is known.
    """
    run.budgets, run.reservation = brief.budgets, brief.reservation
    expected = budget.expected(means.count(run.turn.question), system=_system(means), settings=means.settings)
    if run.reservation is None and all(state.left >= expected for state in run.budgets):
        try:
            run.reservation = await means.store.reserve(run.turn, expected)
        except OverBudget as spent:
            run.restarts.append(f"nothing was set aside ahead: {spent}")


def check(means: Means, run: Run) -> None:
    """Tell at once who has too little left for any answer. Raises Refused."""
    if run.reservation is not None:
        return
    least = int(budget.FARTHEST_OFF * (_system(means) + means.count(run.turn.question)))
    try:
        budget.answer_tokens(run.budgets, least, means.settings.answer_tokens)
    except OverBudget as spent:
        raise Refused(words.over_budget(spent, means.clock())) from None


async def unrated(question: str, *, query: str, meter: Meter) -> Verdict:
    """The classifier of a question for which nothing could be set aside: rating it might cost, too."""
    return Verdict("cheap", True, "too little is left of today's tokens to set an answer aside")


def _system(means: Means) -> int:
    return means.count(prompt.SYSTEM)
