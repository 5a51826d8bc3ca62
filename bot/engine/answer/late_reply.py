"""Shows a stored reply that was not shown when its turn ended. Generates nothing and bills nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from bot.engine import user_messages
from bot.engine.aio import finish_although_cancelled
from bot.engine.answer.final_reply import ACTIONS_AFTER_FAILURE, final_reply, show_final
from bot.engine.answer.lease import HeldLease
from bot.engine.answer.poison import MAX_DEATHS, is_poison
from bot.engine.display.edit_pacing import SharedPacing
from bot.engine.display.retraction import retract_or_offer
from bot.engine.display.stream import Display
from bot.engine.ports.stores import Stores
from bot.engine.ports.surface import Surface
from bot.errors import LeaseLost, PlatformAway, RateLimited, SurfaceError
from bot.types.display import FinalReply
from bot.types.turns import LateReply

log = logging.getLogger(__name__)

SHOWN_FOR = 24 * 3600.0
"""Seconds after the end of a turn within which its reply is shown."""
TOLD_FOR = 48 * 3600.0
"""Seconds after the end of a turn within which its asker is told that the reply could not be shown."""


async def show(
    stores: Stores,
    reply: LateReply,
    surface: Surface,
    *,
    strong_model: str | None,
    pacing: SharedPacing,
    monotonic: Callable[[], float],
    doubt: asyncio.Event,
) -> bool:
    """Show the reply, and return whether that is settled. If the platform is still away, leave it for a later try.

    ``doubt`` is set when the question may have been edited or deleted. Raises StoreAway; CancelledError at a shutdown,
    after another process may try.
    """
    turn, held = reply.turn, HeldLease(stores.leases, monotonic, reply.turn, reply.lease, confirmed=monotonic())
    display = Display(
        surface,
        turn_id=turn.id,
        record=partial(stores.leases.record_part, turn, reply.lease),
        parts=turn.parts,
        recorded=turn.recorded,
        confirm=held.confirm,
        shared=pacing,
        allowed=reply.links,
    )
    try:
        async with display, held.heartbeat(doubt):
            return await _show(stores, reply, display, _content(reply, strong_model))
    except LeaseLost:
        held.lost = True
    except asyncio.CancelledError:
        if not held.lost:
            await finish_although_cancelled(_release(stores, reply))
            raise
        current = asyncio.current_task()
        if current is not None:
            current.uncancel()
    await retract_or_offer(stores, turn, display)
    return True


def _content(reply: LateReply, strong_model: str | None) -> FinalReply | None:
    """Return what to show: the reply, after a day that it could not be shown, and nothing after that.

    A reply that keeps crashing the processes that show it is replaced by a line that says so, once.
    """
    deaths = reply.lease.takeovers
    if is_poison(deaths):
        return FinalReply(user_messages.GIVEN_UP, actions=ACTIONS_AFTER_FAILURE) if deaths == MAX_DEATHS else None
    if reply.age < SHOWN_FOR:
        return final_reply(reply.outcome, reply.notes, strong_model=strong_model)
    if reply.age < TOLD_FOR:
        return FinalReply(user_messages.TOO_LATE_TO_SHOW, actions=ACTIONS_AFTER_FAILURE)
    return None


async def _show(stores: Stores, reply: LateReply, display: Display, content: FinalReply | None) -> bool:
    turn, lease = reply.turn, reply.lease
    given_up = user_messages.not_shown(user_messages.GIVEN_UP) if is_poison(lease.takeovers) else ""
    if content is None:
        too_late = user_messages.not_shown(user_messages.TOO_LATE_TO_SHOW)
        await stores.late_replies.end(turn, lease, note=given_up or too_late)
        return True
    try:
        await show_final(display, content, turn.id)
    except (PlatformAway, RateLimited) as error:
        log.info("turn %s: the stored reply cannot be shown yet: %s", turn.id, error)
        wait = error.retry_after if isinstance(error, RateLimited) else 0.0
        await stores.late_replies.postpone(turn, lease, wait=wait)
        return False
    except SurfaceError as error:
        log.warning("turn %s: the stored reply cannot be shown: %s", turn.id, error)
        await stores.late_replies.end(turn, lease, note=user_messages.not_shown(error))
        return True
    await stores.late_replies.end(turn, lease, note=given_up)
    log.info("turn %s: the stored reply is shown %.0f s after its end", turn.id, reply.age)
    return True


async def _release(stores: Stores, reply: LateReply) -> None:
    """Let another process try at once."""
    try:
        await stores.late_replies.postpone(reply.turn, reply.lease, wait=None)
    except LeaseLost:
        return
