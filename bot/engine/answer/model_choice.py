"""Chooses the model that answers. Rates the question only if that is needed and the budget allows it."""

from __future__ import annotations

from bot.engine.answer import budget_limits, reservation
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.context import Context
from bot.engine.answer.query import Query
from bot.engine.ports.classifier import Classifier
from bot.engine.routing import choice
from bot.types.turns import TurnRecord
from bot.types.usage import Route


async def choose_route(context: Context, attempt: Attempt, query: Query, record: TurnRecord) -> Route:
    """Return the tier, its model and the reason. Raises OverBudget if a rating no longer fits the budget."""
    accounting = attempt.accounting
    return await choice.choose(
        attempt.turn.question,
        query=query.expanded,
        wish=attempt.turn.wish,
        channel=record.settings,
        budget=budget_limits.pressing(accounting.limits),
        last=record.history.tier,
        model=context.llm.model,
        classifier=_classifier(context, attempt, query),
        meter=accounting,
        fixed=context.settings.fixed_tier,
    )


def _classifier(context: Context, attempt: Attempt, query: Query) -> Classifier:
    """Return the classifier; for what needs no rating, one that asks no model and embeds nothing."""
    if query.is_small_talk:
        return choice.cheap_for_small_talk
    may_rate = attempt.accounting.reservation is not None or context.free
    return context.classifier if may_rate else reservation.cheap_without_rating
