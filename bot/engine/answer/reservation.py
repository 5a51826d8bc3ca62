"""Tokens set aside before a question's prompt is known: nothing that costs is begun without."""

from __future__ import annotations

from bot.engine import user_messages
from bot.engine.answer import budget, prompt
from bot.engine.answer.context import Context
from bot.engine.answer.run import Run
from bot.engine.ports.classifier import Verdict
from bot.engine.ports.llm import Meter
from bot.errors import OverBudget, Refused
from bot.types.turns import TurnRecord


async def begin(context: Context, run: Run, brief: TurnRecord) -> None:
    """Take what was set aside when the question was accepted; set it aside now where that is gone, or never was.

    Where too little is left for it, nothing is: the prompt may yet fit when it is known.
    """
    run.budgets, run.reservation = brief.budgets, brief.reservation
    expected = budget.expected(context.count(run.turn.question), system=_system(context), settings=context.settings)
    if run.reservation is None and all(state.left >= expected for state in run.budgets):
        try:
            run.reservation = await context.store.reserve(run.turn, expected)
        except OverBudget as spent:
            run.restarts.append(f"nothing was set aside ahead: {spent}")


def check(context: Context, run: Run) -> None:
    """Tell at once who has too little left for any answer. Raises Refused."""
    if run.reservation is not None:
        return
    least = int(budget.FARTHEST_OFF * (_system(context) + context.count(run.turn.question)))
    try:
        budget.answer_tokens(run.budgets, least, context.settings.answer_tokens)
    except OverBudget as spent:
        raise Refused(user_messages.over_budget(spent, context.clock())) from None


async def unrated(question: str, *, query: str, meter: Meter) -> Verdict:
    """The classifier of a question for which nothing could be set aside: rating it might cost, too."""
    return Verdict("cheap", True, "too little is left of today's tokens to set an answer aside")


def _system(context: Context) -> int:
    return context.count(prompt.SYSTEM)
