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
from bot.engine.answer.poison import is_poison
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
    """Return what to show: the reply, or a line that says why it is not shown; after two days nothing any more.

    A reply whose processes keep dying is replaced by such a line. The line is tried again whenever a process dies
    while it shows it, because those deaths have another cause.
    """
    if reply.age >= TOLD_FOR:
        return None
    obstacle = _obstacle(reply)
    if obstacle:
        return FinalReply(obstacle, actions=ACTIONS_AFTER_FAILURE)
    return final_reply(reply.outcome, reply.notes, strong_model=strong_model)


def _obstacle(reply: LateReply) -> str:
    """Return why the reply is not shown any more; empty while it may be."""
    if is_poison(reply.lease.takeovers):
        return user_messages.NOT_SHOWABLE
    return user_messages.TOO_LATE_TO_SHOW if reply.age >= SHOWN_FOR else ""


async def _show(stores: Stores, reply: LateReply, display: Display, content: FinalReply | None) -> bool:
    turn, lease = reply.turn, reply.lease
    obstacle = _obstacle(reply)
    note = user_messages.not_shown(obstacle) if obstacle else ""
    if content is None:
        await stores.late_replies.end(turn, lease, note=note)
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
    await stores.late_replies.end(turn, lease, note=note)
    log.info("turn %s: the stored reply is shown %.0f s after its end", turn.id, reply.age)
    return True


async def _release(stores: Stores, reply: LateReply) -> None:
    """Let another process try at once."""
    try:
        await stores.late_replies.postpone(reply.turn, reply.lease, wait=None)
    except LeaseLost:
        return
