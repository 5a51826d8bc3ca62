"""Ends a turn: stores the answer with its costs and shows it, or hands the turn over to another process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.engine import user_messages
from bot.engine.aio import finish_although_cancelled, finish_then_cancel
from bot.engine.answer import budget_limits, cached, trace
from bot.engine.answer.accounting import cost_of
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.context import Context
from bot.engine.answer.final_reply import final_reply, show_final, stronger_model
from bot.engine.answer.results import Ending, Results
from bot.engine.display.retraction import retract_or_offer
from bot.engine.display.stream import Display
from bot.errors import LeaseLost, ParleyError, PlatformAway, RateLimited, StoreAway, SurfaceError, for_operator
from bot.types.display import FinalReply
from bot.types.turns import Outcome

log = logging.getLogger(__name__)

GOODBYE_SECONDS = 2.0
"""Timeout for the status, shown at a shutdown, that the answer continues later."""
FIRST_RETRY = 5.0
"""Seconds until a reply that could not be shown is tried again for the first time."""
STORE_SECONDS = 2.0
"""Seconds after which a reply is shown although the database has not stored it yet."""


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
    """Store how the turn ended with its costs, and show the final text.

    The reply is stored before it is shown, so that nothing is generated twice, however this process ends. If the
    platform is away, any process shows it later. ``here_only``: no other process can show it, so it is shown first.
    ``stopped`` distinguishes a user's stop, which changes nothing any more, from a shutdown.

    Raises LeaseLost; CancelledError at a shutdown, after storing the turn.
    """
    journal = attempt.journal
    _warn_of_budget(context, attempt)
    reply = final_reply(ended(attempt, results, ending), journal.notes, strong_model=stronger_model(context.llm))
    if not here_only:
        return await _store_and_show(context, attempt, results, ending, display, reply, stopped)
    try:
        shown = await _show(display, reply, attempt, stopped)
    except LeaseLost:
        await finish_although_cancelled(_settle_lost(context, attempt, display))
        raise
    if shown.obstacle:
        journal.notes.append(user_messages.not_shown(shown.obstacle))
    journal.timings_ms |= {"edits": display.edits_ms, "total": context.since(attempt.started)}
    outcome = outcome_of(attempt, results, ending)
    await finish_although_cancelled(_store(context, attempt, results, outcome))
    if shown.shutdown:
        raise asyncio.CancelledError
    return outcome


async def _store_and_show(
    context: Context,
    attempt: Attempt,
    results: Results,
    ending: Ending,
    display: Display,
    reply: FinalReply,
    stopped: Callable[[], bool],
) -> Outcome:
    """Store the reply as one that this process is showing, show it, and record that it is shown.

    While the database is slow, the reply is shown after ``STORE_SECONDS`` all the same.
    """
    turn, lease = attempt.turn, attempt.lease.lease
    attempt.journal.timings_ms |= {"edits": display.edits_ms, "total": context.since(attempt.started)}
    outcome = replace(outcome_of(attempt, results, ending), deliver_in=FIRST_RETRY)
    storing = asyncio.ensure_future(_store(context, attempt, results, outcome))
    try:
        await finish_then_cancel(asyncio.wait([storing], timeout=STORE_SECONDS))
        if storing.done():
            storing.result()
        shown = await _show(display, reply, attempt, stopped)
        await finish_although_cancelled(storing)
        total = context.since(attempt.started)
        try:
            if shown.retry_in is None:
                note = user_messages.not_shown(shown.obstacle) if shown.obstacle else ""
                noting = context.stores.late_replies.end(turn, lease, note=note, total_ms=total)
            else:
                noting = context.stores.late_replies.postpone(turn, lease, wait=shown.retry_in or None)
            await finish_although_cancelled(noting)
        except StoreAway as away:
            log.warning("turn %s: the same reply is shown once more after its lease: %s", turn.id, for_operator(away))
    except LeaseLost:
        await finish_although_cancelled(_leave(context, attempt, display, storing))
        raise
    if shown.shutdown:
        raise asyncio.CancelledError
    times = {**outcome.timings_ms, "edits": display.edits_ms, "total": total}
    return replace(outcome, deliver_in=shown.retry_in, timings_ms=times)


async def _store(context: Context, attempt: Attempt, results: Results, outcome: Outcome) -> None:
    evidence = results.evidence
    await context.stores.leases.finish(
        attempt.turn,
        attempt.lease.lease,
        outcome,
        reservation=attempt.accounting.reservation,
        cache_key=results.lookup.key,
        cache_note=cached.note_for(attempt.turn, evidence.found if evidence else None, outcome),
    )


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
    closing = asyncio.ensure_future(show_final(display, reply, attempt.turn.id))
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


async def _leave(context: Context, attempt: Attempt, display: Display, storing: asyncio.Future[None]) -> None:
    """Leave the messages to the next holder. Storing the reply has settled what the attempt cost, or does so now."""
    await display.abandon()
    await asyncio.gather(storing, return_exceptions=True)
    await retract_or_offer(context.stores, attempt.turn, display)


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
        cached=results.reused is not None,
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
