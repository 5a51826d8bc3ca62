"""How a turn ends: shown and stored with all it cost, or left to another process."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from bot.engine import user_messages
from bot.engine.answer import budget, cached
from bot.engine.answer.context import Context
from bot.engine.answer.lease import whole
from bot.engine.answer.run import Run
from bot.engine.display.retraction import make_way
from bot.engine.display.stream import Display
from bot.errors import LeaseLost, MessageGone, ParleyError, SurfaceError
from bot.types.display import Action
from bot.types.turns import Outcome

log = logging.getLogger(__name__)

LAST_WORD = 2.0
"""Seconds for telling, at a shutdown, that the answer goes on later."""
AFTER_FAILURE: tuple[Action, ...] = ("again", "why")


async def finish(context: Context, run: Run, display: Display) -> Outcome:
    """Show the last word, then store it with everything it cost. Raises LeaseLost."""
    _warn_of_budget(context, run)
    try:
        await display.close(
            _last_word(run),
            sources=run.citations,
            notes=tuple(run.notes),
            actions=_actions(context, run),
        )
    except LeaseLost:
        await make_way(context.store, run.turn, display)
        await context.store.bill(run.turn, run.calls, run.reservation)
        raise
    except (MessageGone, SurfaceError) as error:
        log.warning("turn %s cannot be shown: %s", run.turn.id, error)
        run.notes.append(f"Not shown: {error}")
    run.timings_ms["total"] = context.since(run.started)
    outcome = run.outcome()
    await context.store.finish(
        run.turn, run.lease, outcome, reservation=run.reservation, cache_key=run.cache_key, keeping=cached.keeping(run)
    )
    return outcome


async def give_up(context: Context, run: Run, display: Display, word: str = user_messages.INTERRUPTED) -> None:
    """Leave the turn to another process: what was spent is settled, nothing is marked as answered."""
    store = context.store
    await display.abandon()
    if run.lost:
        await whole(make_way(store, run.turn, display))
    else:
        with contextlib.suppress(ParleyError, TimeoutError):
            async with asyncio.timeout(LAST_WORD):
                await display.close(word)
    try:
        if run.lost:
            await whole(store.bill(run.turn, run.calls, run.reservation))
        else:
            await whole(store.hand_back(run.turn, run.lease, run.calls, reservation=run.reservation))
    except LeaseLost:
        await whole(store.bill(run.turn, run.calls, run.reservation))


def _last_word(run: Run) -> str:
    if run.refused is not None:
        return run.refused if run.state == "refused" else user_messages.failed(run.refused, run.turn.id)
    if run.state == "cancelled":
        return f"{run.answer}\n\n{user_messages.STOPPED}".strip()
    return run.answer


def _actions(context: Context, run: Run) -> tuple[Action, ...]:
    """The buttons under the last word; the stronger model is offered where it has not answered already."""
    if run.state != "done":
        return AFTER_FAILURE
    here: tuple[Action, ...] = ("sources",) if run.citations else ()
    answered = None if run.cached_from or run.route is None else run.route.model
    more: tuple[Action, ...] = ("strong",) if answered != context.llm.model("strong") else ()
    return (*here, "why", "up", "down", "again", *more)


def _warn_of_budget(context: Context, run: Run) -> None:
    if run.reservation is None:
        return
    spent = sum(call.usage.total_tokens for call in run.calls)
    for state in budget.crossed(run.budgets, spent):
        run.notes.append(user_messages.budget_warning(state, context.clock()))
