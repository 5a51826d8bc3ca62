"""Ends a turn: shows and stores the answer with its costs, or hands the turn over to another process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace

from bot.engine import user_messages
from bot.engine.aio import finish_although_cancelled
from bot.engine.answer import budget_limits, cached, trace
from bot.engine.answer.accounting import cost_of
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.context import Context
from bot.engine.answer.results import Ending, Results
from bot.engine.display.retraction import retract_or_offer
from bot.engine.display.stream import Display
from bot.errors import LeaseLost, ParleyError, StoreAway, SurfaceError
from bot.types.display import Action
from bot.types.turns import Outcome

log = logging.getLogger(__name__)

GOODBYE_SECONDS = 2.0
"""Timeout for the status, shown at a shutdown, that the answer continues later."""
ACTIONS_AFTER_FAILURE: tuple[Action, ...] = ("again", "why")


async def finish(context: Context, attempt: Attempt, results: Results, ending: Ending, display: Display) -> Outcome:
    """Show the final text, then store it with its costs. Raises LeaseLost."""
    turn, accounting, journal, stores = attempt.turn, attempt.accounting, attempt.journal, context.stores
    _warn_of_budget(context, attempt)
    try:
        await display.close(
            _final_text(attempt, ending),
            sources=ending.answer.citations,
            notes=tuple(journal.notes),
            actions=_actions(context, results, ending),
        )
    except LeaseLost:
        await retract_or_offer(stores, turn, display)
        await stores.budgets.bill(turn, accounting.calls, accounting.reservation)
        raise
    except SurfaceError as error:
        log.warning("turn %s cannot be shown: %s", turn.id, error)
        journal.notes.append(f"Not shown: {error}")
    journal.timings_ms["total"] = context.since(attempt.started)
    outcome = outcome_of(attempt, results, ending)
    evidence = results.evidence
    await stores.leases.finish(
        turn,
        attempt.lease.lease,
        outcome,
        reservation=accounting.reservation,
        cache_key=cache_key(results),
        cache_note=cached.note_for(turn, evidence.found if evidence else None, outcome),
    )
    return outcome


async def finish_or_fail(
    context: Context, attempt: Attempt, results: Results, ending: Ending, display: Display
) -> Outcome:
    """Finish the turn. If the database rejects the answer, end the turn as failed, with its costs.

    Without this, the turn would run again, and every answer would be paid for. Raises LeaseLost and StoreAway.
    """
    try:
        return await finish(context, attempt, results, ending, display)
    except (LeaseLost, StoreAway):
        raise
    except Exception:
        log.exception("the answer of turn %s could not be stored", attempt.turn.id)
    failure = Ending("failed", reason=user_messages.BROKEN)
    with contextlib.suppress(SurfaceError):
        await display.close(_final_text(attempt, failure), actions=ACTIONS_AFTER_FAILURE)
    outcome = replace(outcome_of(attempt, Results(), failure), trace={})
    await context.stores.leases.finish(
        attempt.turn, attempt.lease.lease, outcome, reservation=attempt.accounting.reservation, cache_key=None
    )
    return outcome


async def hand_over(
    context: Context, attempt: Attempt, display: Display, text: str = user_messages.INTERRUPTED
) -> None:
    """Hand the turn over to another process: settle the tokens used and leave the turn unanswered."""
    stores, turn, accounting = context.stores, attempt.turn, attempt.accounting
    calls, reservation = accounting.calls, accounting.reservation
    await display.abandon()
    if attempt.lease.lost:
        await finish_although_cancelled(retract_or_offer(stores, turn, display))
        await finish_although_cancelled(stores.budgets.bill(turn, calls, reservation))
        return
    with contextlib.suppress(ParleyError, TimeoutError):
        async with asyncio.timeout(GOODBYE_SECONDS):
            await display.close(text)
    try:
        back = stores.leases.hand_back(turn, attempt.lease.lease, calls, reservation=reservation)
        await finish_although_cancelled(back)
    except LeaseLost:
        await finish_although_cancelled(stores.budgets.bill(turn, calls, reservation))


def outcome_of(attempt: Attempt, results: Results, ending: Ending) -> Outcome:
    """Return the outcome as it is stored and reported."""
    accounting = attempt.accounting
    return Outcome(
        turn_id=attempt.turn.id,
        thread=attempt.turn.thread,
        state=ending.state,
        answer=ending.answer.text,
        citations=ending.answer.citations,
        route=results.route,
        usage=accounting.usage,
        cost_usd=cost_of(accounting.calls),
        cached=results.lookup.hit is not None,
        refused=ending.reason,
        timings_ms=dict(attempt.journal.timings_ms),
        calls=tuple(accounting.calls),
        trace=trace.build(attempt, results),
        tenant_wide=results.query is None or results.query.tenant_wide,
    )


def cache_key(results: Results) -> str | None:
    """Return the key to cache the answer under, or None if the message asks nothing and so has no answer to reuse."""
    evidence = results.evidence
    return None if evidence is not None and evidence.query.asks_nothing else results.lookup.key


def _final_text(attempt: Attempt, ending: Ending) -> str:
    if ending.reason is not None:
        refused = ending.state == "refused"
        return ending.reason if refused else user_messages.failed(ending.reason, attempt.turn.id)
    if ending.state == "cancelled":
        return f"{ending.answer.text}\n\n{user_messages.STOPPED}".strip()
    return ending.answer.text


def _actions(context: Context, results: Results, ending: Ending) -> tuple[Action, ...]:
    """Return the buttons under the final text. The stronger model is offered unless it has already answered."""
    if ending.state != "done":
        return ACTIONS_AFTER_FAILURE
    sources: tuple[Action, ...] = ("sources",) if ending.answer.citations else ()
    answered_by = None if results.lookup.hit or results.route is None else results.route.model
    stronger: tuple[Action, ...] = ("strong",) if answered_by != context.llm.model("strong") else ()
    return (*sources, "why", "up", "down", "again", *stronger)


def _warn_of_budget(context: Context, attempt: Attempt) -> None:
    accounting = attempt.accounting
    if accounting.reservation is None:
        return
    for state in budget_limits.crossed(accounting.limits, accounting.spent):
        attempt.journal.notes.append(user_messages.budget_warning(state, context.clock()))
