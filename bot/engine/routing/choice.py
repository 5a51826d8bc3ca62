"""Chooses the model of an answer: user's wish > channel setting > budget > fixed tier > thread > classifier."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bot.engine.ports.classifier import Classifier, Verdict
from bot.engine.ports.llm import Meter
from bot.types.settings import ChannelSettings
from bot.types.usage import BudgetState, Route, Tier

PRESSURE = 0.8
"""Share of the daily budget from which the cheap model answers."""


async def choose(
    question: str,
    *,
    query: str,
    wish: Tier | None,
    channel: ChannelSettings,
    budget: BudgetState,
    last: Tier | None,
    model: Callable[[Tier], str],
    classifier: Classifier,
    meter: Meter,
    fixed: Tier | None = None,
) -> Route:
    """Return the tier, its model and the reason. The classifier runs only if no other rule applies."""
    by_rule = _tier_by_rule(wish, channel, budget, fixed, last)
    if by_rule is None and model("cheap") == model("strong"):
        by_rule = "cheap", "one model answers everything"
    tier, reason = by_rule or await _by_question(last, classifier(question, query=query, meter=meter))
    return Route(tier, model(tier), reason)


async def cheap_for_small_talk(question: str, *, query: str, meter: Meter) -> Verdict:
    """Return the cheap tier without rating the message: it asks nothing."""
    return Verdict("cheap", True, "the message is small talk")


def _tier_by_rule(
    wish: Tier | None, channel: ChannelSettings, budget: BudgetState, fixed: Tier | None, last: Tier | None
) -> tuple[Tier, str] | None:
    """Return the tier and reason of the first rule that does not depend on the question, or None if none applies."""
    if wish:
        return wish, f"asked for the {wish} model"
    if channel.tier:
        return channel.tier, f"the channel is set to the {channel.tier} model"
    if budget.used + budget.reserved >= PRESSURE * budget.limit:
        return "cheap", f"{PRESSURE:.0%} of the day's budget is spent"
    if fixed:
        return fixed, f"the operator has set every question to the {fixed} model"
    if last == "strong":
        return "strong", "the thread uses the strong model, whose prompt cache is warm"
    return None


async def _by_question(last: Tier | None, classification: Awaitable[Verdict]) -> tuple[Tier, str]:
    """Return the classifier's tier.

    A thread leaves the cheap model, and its warm cache, only if the classifier is sure.
    """
    verdict = await classification
    if last == "cheap" and verdict.tier == "strong" and not verdict.sure:
        return "cheap", f"the thread stays with the cheap model, whose prompt cache is warm, though {verdict.reason}"
    return verdict.tier, verdict.reason
