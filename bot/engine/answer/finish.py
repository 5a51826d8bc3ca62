"""Ends a turn: shows and stores the answer with its costs, or hands the turn over to another process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.engine import user_messages
from bot.engine.aio import finish_although_cancelled
from bot.engine.answer import budget_limits, cached, trace
from bot.engine.answer.accounting import cost_of
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.context import Context
from bot.engine.answer.final_reply import final_reply, stronger_model
from bot.engine.answer.results import Ending, Results
from bot.engine.display.retraction import retract_or_offer
from bot.engine.display.stream import Display
from bot.errors import LeaseLost, ParleyError, PlatformAway, RateLimited, StoreAway, SurfaceError
from bot.types.display import FinalReply
from bot.types.turns import Outcome

log = logging.getLogger(__name__)

GOODBYE_SECONDS = 2.0
"""Timeout for the status, shown at a shutdown, that the answer continues later."""
FIRST_RETRY = 5.0
"""Seconds until a reply that could not be shown is tried again for the first time."""


async def finish(
    context: Context,
    attempt: Attempt,
    results: Results,
    ending: Ending,
    display: Display,
    *,
    here_only: bool,
    stopped: Callable[[], bool],
) -> Outcome:
    """Show the final text, then store it with its costs.

    If the platform is away, the reply is stored as one that is shown later, by any process, unless ``here_only``.
    ``stopped`` distinguishes a user's stop, which changes nothing any more, from a shutdown.

    Raises LeaseLost; CancelledError at a shutdown, after storing the turn.
    """
    turn, accounting, journal, stores = attempt.turn, attempt.accounting, attempt.journal, context.stores
    _warn_of_budget(context, attempt)
    reply = final_reply(ended(attempt, results, ending), journal.notes, strong_model=stronger_model(context.llm))
    try:
        shown = await _show(display, reply, attempt, stopped)
    except LeaseLost:
        await finish_although_cancelled(_settle_lost(context, attempt, display))
        raise
    if shown.obstacle and (here_only or shown.retry_in is None):
        journal.notes.append(user_messages.not_shown(shown.obstacle))
    journal.timings_ms["total"] = context.since(attempt.started)
    outcome = replace(outcome_of(attempt, results, ending), deliver_in=None if here_only else shown.retry_in)
    evidence = results.evidence
    storing = stores.leases.finish(
        turn,
        attempt.lease.lease,
        outcome,
        reservation=accounting.reservation,
        cache_key=results.lookup.key,
        cache_note=cached.note_for(turn, evidence.found if evidence else None, outcome),
    )
    await finish_although_cancelled(storing)
    if shown.shutdown:
        raise asyncio.CancelledError
    return outcome


@dataclass(frozen=True, slots=True)
class _Shown:
    """Whether the final text is shown: ``obstacle`` says why not, ``retry_in`` when it may be tried again."""

    obstacle: str = ""
    retry_in: float | None = None
    shutdown: bool = False


async def _show(display: Display, reply: FinalReply, attempt: Attempt, stopped: Callable[[], bool]) -> _Shown:
    """Show the final text. A shutdown ends the attempt; a user's stop does not, since the answer is complete.

    Raises LeaseLost.
    """
    closing = asyncio.ensure_future(
        display.close(reply.text, sources=reply.sources, notes=reply.notes, actions=reply.actions)
    )
    shutdown = False
    while not closing.done():
        try:
            await asyncio.wait([closing])
        except asyncio.CancelledError:
            if attempt.lease.lost or not stopped():
                shutdown = True
                closing.cancel()
            current = asyncio.current_task()
            if current is not None:
                current.uncancel()
    if attempt.lease.lost:
        await asyncio.gather(closing, return_exceptions=True)
        raise LeaseLost(user_messages.LOST)
    try:
        closing.result()
    except asyncio.CancelledError:
        return _Shown(user_messages.SHUTTING_DOWN, 0.0, shutdown=True)
    except (PlatformAway, RateLimited) as error:
        log.warning("turn %s cannot be shown yet, it is kept to be shown later: %s", attempt.turn.id, error)
        return _Shown(str(error), error.retry_after if isinstance(error, RateLimited) else FIRST_RETRY, shutdown)
    except LeaseLost:
        raise
    except SurfaceError as error:
        log.warning("turn %s cannot be shown: %s", attempt.turn.id, error)
        return _Shown(str(error), shutdown=shutdown)
    return _Shown(shutdown=shutdown)


async def _settle_lost(context: Context, attempt: Attempt, display: Display) -> None:
    """Leave the messages to the next holder, and settle what this attempt cost."""
    accounting = attempt.accounting
    await retract_or_offer(context.stores, attempt.turn, display)
    await context.stores.budgets.bill(attempt.turn, accounting.calls, accounting.reservation)


async def finish_or_fail(
    context: Context,
    attempt: Attempt,
    results: Results,
    ending: Ending,
    display: Display,
    *,
    here_only: bool,
    stopped: Callable[[], bool],
) -> Outcome:
    """Finish the turn. If the database rejects the answer, end the turn as failed, with its costs.

    Without this, the turn would run again, and every answer would be paid for.

    Raises LeaseLost and StoreAway; CancelledError at a shutdown, after storing the turn.
    """
    try:
        return await finish(context, attempt, results, ending, display, here_only=here_only, stopped=stopped)
    except (LeaseLost, StoreAway):
        raise
    except Exception:
        log.exception("the answer of turn %s could not be stored", attempt.turn.id)
    failure = Ending("failed", reason=user_messages.BROKEN)
    reply = final_reply(ended(attempt, Results(), failure), (), strong_model=stronger_model(context.llm))
    with contextlib.suppress(SurfaceError):
        await display.close(reply.text, actions=reply.actions)
    outcome = replace(outcome_of(attempt, Results(), failure), trace={})
    storing = context.stores.leases.finish(
        attempt.turn, attempt.lease.lease, outcome, reservation=attempt.accounting.reservation, cache_key=None
    )
    await finish_although_cancelled(storing)
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


def ended(attempt: Attempt, results: Results, ending: Ending) -> Outcome:
    """Return how the turn ended, without its costs and its trace."""
    return Outcome(
        turn_id=attempt.turn.id,
        thread=attempt.turn.thread,
        state=ending.state,
        answer=ending.answer.text,
        citations=ending.answer.citations,
        route=results.route,
        cached=results.lookup.hit is not None,
        refused=ending.reason,
        tenant_wide=results.query is None or results.query.tenant_wide,
    )


def outcome_of(attempt: Attempt, results: Results, ending: Ending) -> Outcome:
    """Return the outcome as it is stored and reported."""
    accounting = attempt.accounting
    return replace(
        ended(attempt, results, ending),
        usage=accounting.usage,
        cost_usd=cost_of(accounting.calls),
        timings_ms=dict(attempt.journal.timings_ms),
        calls=tuple(accounting.calls),
        trace=trace.build(attempt, results),
    )


def _warn_of_budget(context: Context, attempt: Attempt) -> None:
    accounting = attempt.accounting
    if accounting.reservation is None:
        return
    for state in budget_limits.crossed(accounting.limits, accounting.spent):
        attempt.journal.notes.append(user_messages.budget_warning(state, context.clock()))
