"""Reserves tokens for an answer: when its question is accepted, and again once its prompt is measured."""

from __future__ import annotations

from bot.engine import user_messages
from bot.engine.answer import budget_limits, prompt
from bot.engine.answer.accounting import Accounting
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.context import Context
from bot.engine.ports.classifier import Verdict
from bot.engine.ports.llm import Meter, Prompt
from bot.errors import OverBudget, Refused
from bot.types.turns import TurnRecord


async def begin(context: Context, attempt: Attempt, record: TurnRecord) -> None:
    """Use the reservation made when the question was accepted, or reserve now if there is none.

    If too little is left for the estimate, nothing is reserved yet: the measured prompt may still fit.
    """
    accounting, turn = attempt.accounting, attempt.turn
    accounting.limits, accounting.reservation = record.budgets, record.reservation
    if accounting.reservation is not None or context.free:
        return
    expected = budget_limits.expected(context.count(turn.question), system=_system(context), settings=context.settings)
    if all(state.left >= expected for state in accounting.limits):
        try:
            accounting.reservation = await context.stores.budgets.reserve(turn, expected)
        except OverBudget as error:
            attempt.journal.events.append(f"nothing was reserved in advance: {error}")


def check(context: Context, attempt: Attempt) -> None:
    """Raise Refused if today's remaining tokens are too few for any answer."""
    accounting = attempt.accounting
    if accounting.reservation is not None or context.free:
        return
    least = int(budget_limits.MIN_REAL_SHARE * (_system(context) + context.count(attempt.turn.question)))
    try:
        budget_limits.answer_tokens(accounting.limits, least, context.settings.answer_tokens)
    except OverBudget as error:
        raise Refused(user_messages.over_budget(error, context.clock())) from None


async def for_prompt(context: Context, attempt: Attempt, request: Prompt, image_tokens: int) -> Prompt:
    """Reserve the tokens for the measured prompt and its answer. Shorten the answer if few tokens are left today.

    Tokens reserved at acceptance that are not needed are released when the call is recorded. Raises Refused.
    """
    accounting = attempt.accounting
    if accounting.answer_tokens:
        return prompt.shortened(request, accounting.answer_tokens)
    accounting.prompt_tokens = prompt.size(request, context.count) + image_tokens
    accounting.spent_before = accounting.spent
    held = accounting.reservation
    if context.free:
        return request
    if held is not None and accounting.prompt_tokens + accounting.spent_before + request.max_tokens <= held.tokens:
        accounting.answer_tokens = request.max_tokens
        return request
    try:
        await _extend(context, accounting, request)
    except OverBudget as error:
        raise Refused(user_messages.over_budget(error, context.clock())) from None
    return prompt.shortened(request, accounting.answer_tokens)


async def _extend(context: Context, accounting: Accounting, request: Prompt) -> None:
    """Extend the reservation, or create it, within the tokens that are left today. Raises OverBudget."""
    turn, budgets, held = accounting.turn, context.stores.budgets, accounting.reservation
    states = await budgets.budgets(turn.thread.tenant_id, turn.thread.channel_id, turn.author)
    accounting.limits = tuple(budget_limits.without(state, held) for state in states)
    if budget_limits.is_close(
        accounting.limits, accounting.prompt_tokens + accounting.spent_before, request.max_tokens
    ):
        accounting.prompt_tokens = await context.llm.count(request) or accounting.prompt_tokens
    need = accounting.prompt_tokens + accounting.spent_before
    accounting.answer_tokens = budget_limits.answer_tokens(accounting.limits, need, request.max_tokens)
    wanted = need + accounting.answer_tokens
    if held is None:
        accounting.reservation = await budgets.reserve(turn, wanted)
    else:
        accounting.reservation = await budgets.change_reservation(turn, held, wanted)


async def cheap_without_rating(question: str, *, query: str, meter: Meter) -> Verdict:
    """Return the cheap tier without rating the question.

    Used if no tokens could be reserved, since a rating may cost some.
    """
    return Verdict("cheap", True, "too few tokens are left today to reserve an answer")


def _system(context: Context) -> int:
    return context.count(prompt.SYSTEM)
