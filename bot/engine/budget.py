"""How many tokens an answer may take of a person's day. Pure."""

from __future__ import annotations

from bot.types import BudgetState

WARN_FROM = 0.8
LEAST_ANSWER = 200
"""Below this many tokens an answer is not worth giving."""


def answer_tokens(state: BudgetState, prompt_tokens: int, wanted: int) -> int | None:
    """The tokens the answer may take: ``wanted``, less where little is left, None where too little is."""
    left = state.limit - state.used - state.reserved - prompt_tokens
    if left >= wanted:
        return wanted
    return left if left >= min(LEAST_ANSWER, wanted) else None


def crosses_warning(used_before: int, used_now: int, limit: int) -> bool:
    """Whether this turn took the person over the warning line."""
    line = WARN_FROM * limit
    return used_before < line <= used_now
