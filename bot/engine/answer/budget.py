"""What a day's tokens leave to an answer: its length, its model, its warnings. Pure.

A turn counts on three days at once, the asker's, the channel's and the tenant's; the tightest one decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from bot.config import Settings
from bot.errors import OverBudget
from bot.types.usage import BudgetState, Reservation

PASSAGE_SHARE = 3000 / 8000
"""Of the prompt, for the passages."""
PLACE, FRAME, RATING = 20, 60, 250
"""Tokens that say where a passage stands, those around the question, and those of a model's rating of it."""
WARN_FROM = 0.8
NEAR = 0.9
MIN_REAL_SHARE = 0.5
"""An estimate errs high, but no real count is less than half of it."""
LEAST_ANSWER = 200
"""Below this many tokens an answer is not worth giving."""


def expected(question: int, *, system: int, settings: Settings) -> int:
    """Tokens that a question of so many will take, before anything was found for it: what is set aside at once.

    The system prompt, the usual passages, the longest answer, and the rating of the question where a model rates it.
    """
    passages = min(settings.passages * (settings.chunk_tokens + PLACE), int(settings.prompt_tokens * PASSAGE_SHARE))
    rating = RATING + question if settings.router == "model" else 0
    return system + passages + FRAME + question + settings.answer_tokens + rating


def without(state: BudgetState, reservation: Reservation | None) -> BudgetState:
    """The day as if the reservation were not set aside on it."""
    if reservation is None or (state.resets_at - timedelta(microseconds=1)).date() != reservation.day:
        return state
    return replace(state, reserved=max(0, state.reserved - reservation.tokens))


def pressing(states: Sequence[BudgetState]) -> BudgetState:
    """The day of which the largest share is spent or set aside."""
    return max(states, key=lambda state: (state.used + state.reserved) / max(state.limit, 1))


def answer_tokens(states: Sequence[BudgetState], prompt_tokens: int, wanted: int) -> int:
    """The tokens the answer may take: ``wanted``, less where little is left. Raises OverBudget where too little is."""
    scarcest = min(states, key=lambda state: state.left)
    left = scarcest.left - prompt_tokens
    if left >= wanted:
        return wanted
    if left >= min(LEAST_ANSWER, wanted):
        return left
    raise OverBudget(
        "Too little is left of today's token budget.",
        used=scarcest.used,
        limit=scarcest.limit,
        resets_at=scarcest.resets_at,
        whose=scarcest.whose,
    )


def is_close(states: Sequence[BudgetState], prompt_tokens: int, wanted: int) -> bool:
    """Whether so little is left that the prompt should be counted exactly, and not so little that it cannot matter."""
    left = min(state.left for state in states)
    return prompt_tokens + wanted >= NEAR * left and left >= prompt_tokens * MIN_REAL_SHARE


def crossed(before: Sequence[BudgetState], spent: int) -> list[BudgetState]:
    """The days, as they stand now, that ``spent`` tokens took over the warning line."""
    return [
        replace(state, used=state.used + spent)
        for state in before
        if state.used < WARN_FROM * state.limit <= state.used + spent
    ]
