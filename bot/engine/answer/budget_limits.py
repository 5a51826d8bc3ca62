"""Calculates how long an answer may be within the daily token limits, and when to warn about a limit. Does no I/O.

A turn counts against three limits at once: the asker's, the channel's and the tenant's. The tightest one decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from bot.config import Settings
from bot.errors import OverBudget
from bot.types.usage import BudgetState, Reservation

PASSAGE_SHARE = 3000 / 8000
"""Share of the prompt's tokens for the passages."""
PLACE, FRAME, RATING = 20, 60, 250
"""Tokens of a passage's heading line, of the text around the question, and of a model's rating of the question."""
WARN_FROM = 0.8
NEAR = 0.9
MIN_REAL_SHARE = 0.5
"""Smallest ratio of the real token count to the estimate. Estimates are rather too high."""
LEAST_ANSWER = 200
"""Shortest useful answer, in tokens."""


def expected(question: int, *, system: int, settings: Settings) -> int:
    """Estimate the tokens to reserve before the search, for a question of ``question`` tokens.

    Counts the system prompt, the usual passages, the longest answer and, if a model rates questions, the rating.
    """
    passages = min(settings.passages * (settings.chunk_tokens + PLACE), int(settings.prompt_tokens * PASSAGE_SHARE))
    rating = RATING + question if settings.router == "model" else 0
    return system + passages + FRAME + question + settings.answer_tokens + rating


def without(state: BudgetState, reservation: Reservation | None) -> BudgetState:
    """Return the day's budget without the reservation."""
    if reservation is None or (state.resets_at - timedelta(microseconds=1)).date() != reservation.day:
        return state
    return replace(state, reserved=max(0, state.reserved - reservation.tokens))


def pressing(states: Sequence[BudgetState]) -> BudgetState:
    """Return the budget of which the largest share is used or reserved."""
    return max(states, key=lambda state: (state.used + state.reserved) / max(state.limit, 1))


def answer_tokens(states: Sequence[BudgetState], prompt_tokens: int, wanted: int) -> int:
    """Return the tokens the answer may take: ``wanted``, or less if little is left. Raises OverBudget."""
    scarcest = min(states, key=lambda state: state.left)
    left = scarcest.left - prompt_tokens
    if left >= wanted:
        return wanted
    if left >= min(LEAST_ANSWER, wanted):
        return left
    raise OverBudget(
        "Too few tokens are left in today's token budget.",
        used=scarcest.used,
        limit=scarcest.limit,
        resets_at=scarcest.resets_at,
        whose=scarcest.whose,
    )


def is_close(states: Sequence[BudgetState], prompt_tokens: int, wanted: int) -> bool:
    """Return whether the limit is close enough that an exact count of the prompt decides."""
    left = min(state.left for state in states)
    return prompt_tokens + wanted >= NEAR * left and left >= prompt_tokens * MIN_REAL_SHARE


def crossed(before: Sequence[BudgetState], spent: int) -> list[BudgetState]:
    """Return the current budgets that ``spent`` tokens moved past the warning threshold."""
    return [
        replace(state, used=state.used + spent)
        for state in before
        if state.used < WARN_FROM * state.limit <= state.used + spent
    ]
