"""How a turn ends: shown and stored with all it cost, or left to another process."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from bot.engine import budget, reuse, words
from bot.engine.changes import make_way
from bot.engine.hold import whole
from bot.engine.means import Means
from bot.engine.run import Run
from bot.engine.stream import Display
from bot.errors import LeaseLost, MessageGone, ParleyError, SurfaceError
from bot.types import Action, Outcome

log = logging.getLogger(__name__)

LAST_WORD = 2.0
"""Seconds for telling, at a shutdown, that the answer goes on later."""
AFTER_FAILURE: tuple[Action, ...] = ("again", "why")


async def finish(means: Means, run: Run, display: Display) -> Outcome:
    """Show the last word, then store it with everything it cost. Raises LeaseLost."""
    _warn_of_budget(means, run)
    try:
        await display.close(
            _last_word(run),
            sources=run.citations,
            notes=tuple(run.notes),
            actions=_actions(means, run),
        )
    except LeaseLost:
        await make_way(means.store, run.turn, display)
        await means.store.bill(run.turn, run.calls, run.reservation)
        raise
    except (MessageGone, SurfaceError) as error:
        log.warning("turn %s cannot be shown: %s", run.turn.id, error)
        run.notes.append(f"Not shown: {error}")
    run.timings_ms["total"] = means.since(run.started)
    outcome = run.outcome()
    await means.store.finish(
        run.turn, run.lease, outcome, reservation=run.reservation, cache_key=run.cache_key, keeping=reuse.keeping(run)
    )
    return outcome


async def give_up(means: Means, run: Run, display: Display, word: str = words.INTERRUPTED) -> None:
    """Leave the turn to another process: what was spent is settled, nothing is marked as answered."""
    store = means.store
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
        return run.refused if run.state == "refused" else words.failed(run.refused, run.turn.id)
    if run.state == "cancelled":
        return f"{run.answer}\n\n{words.STOPPED}".strip()
    return run.answer


def _actions(means: Means, run: Run) -> tuple[Action, ...]:
    """The buttons under the last word; the stronger model is offered where it has not answered already."""
    if run.state != "done":
        return AFTER_FAILURE
    here: tuple[Action, ...] = ("sources",) if run.citations else ()
    answered = None if run.cached_from or run.route is None else run.route.model
    more: tuple[Action, ...] = ("strong",) if answered != means.llm.model("strong") else ()
    return (*here, "why", "up", "down", "again", *more)


def _warn_of_budget(means: Means, run: Run) -> None:
    if run.reservation is None:
        return
    spent = sum(call.usage.total_tokens for call in run.calls)
    for state in budget.crossed(run.budgets, spent):
        run.notes.append(words.budget_warning(state, means.clock()))
