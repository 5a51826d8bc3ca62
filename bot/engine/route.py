"""Which model answers: wish > channel setting > budget pressure > stickiness in the thread > complexity. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from bot.types import BudgetState, ChannelSettings, Route, Tier

STRONG_FROM = 2.0
PRESSURE = 0.8
"""The share of a day's budget from which the cheap model answers."""

_REASONING = re.compile(
    r"\b(why|explain|compare|difference|versus|vs|trade-?offs?|analy[sz]e|evaluate|recommend|design|plan|prove|derive|"
    r"calculate|estimate|step[- ]by[- ]step|pros and cons|implications?|consequences?|strategy|root cause|summari[sz]e|"
    r"warum|erkläre|vergleiche|unterschied|bewerte|berechne|entwirf)\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"\b(if|unless|assuming|suppose|given that|except|falls|wenn)\b", re.IGNORECASE)
_CODE = re.compile(r"```|\b(traceback|exception|stack trace|def |class |SELECT )", re.IGNORECASE)
_CLAUSE = re.compile(r"\?|;|\band (?:what|how|why|when|who|which)\b", re.IGNORECASE)


def complexity(question: str) -> float:
    """How much a question asks of a model: 0 for a look-up, 2 and more for several steps."""
    words = len(question.split())
    score = min(words / 40, 1.5)
    score += min(1.5 * len({match.lower() for match in _REASONING.findall(question)}), 3.0)
    score += 0.5 * min(len(_CONDITION.findall(question)), 2)
    score += 0.75 * max(min(len(_CLAUSE.findall(question)), 4) - 1, 0)
    return score + (1.0 if _CODE.search(question) else 0.0)


def choose(
    question: str,
    *,
    wish: Tier | None,
    channel: ChannelSettings,
    budget: BudgetState,
    last: Tier | None,
    model: Callable[[Tier], str],
) -> Route:
    """The tier, its model and the reason."""
    tier, reason = _decide(question, wish, channel, budget, last)
    return Route(tier, model(tier), reason)


def _decide(
    question: str, wish: Tier | None, channel: ChannelSettings, budget: BudgetState, last: Tier | None
) -> tuple[Tier, str]:
    if wish:
        return wish, f"asked for the {wish} model"
    if channel.tier:
        return channel.tier, f"the channel is set to the {channel.tier} model"
    if budget.used + budget.reserved >= PRESSURE * budget.limit:
        return "cheap", f"{PRESSURE:.0%} of the day's budget is spent"
    score = complexity(question)
    if last == "strong":
        return "strong", "the thread has been with the strong model, whose prompt cache is warm"
    if score >= STRONG_FROM:
        return "strong", f"complex question (score {score:.1f})"
    if last == "cheap":
        return "cheap", "the thread has been with the cheap model, whose prompt cache is warm"
    return "cheap", f"simple question (score {score:.1f})"
