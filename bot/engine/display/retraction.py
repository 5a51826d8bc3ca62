"""Removes replies: of deleted or edited questions, and of turns that another process has taken over.

The reply to a deleted question stays on the list of replies to remove until it is gone, so any process can finish the
removal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import Any

from bot.engine import user_messages
from bot.engine.display.stream import Display
from bot.engine.ports.stores import Stores
from bot.engine.ports.surface import Surface
from bot.errors import EditRefused, MessageGone, ParleyError, SurfaceError
from bot.types.conversation import Platform
from bot.types.display import Part
from bot.types.turns import Turn

log = logging.getLogger(__name__)

RELEASE_TIMEOUT = 10.0
"""Seconds to wait for a turn to notice that this process has lost it."""
REPLIES_PER_QUERY = 20
"""Maximum number of replies to remove that one query returns."""


async def retract_or_offer(stores: Stores, turn: Turn, display: Display) -> None:
    """Clean up after losing the turn: hand its posted messages to the next holder.

    If the question was deleted, delete them.
    """
    try:
        await display.wait_for_posts()
        if not await stores.retractions.is_forgotten(turn):
            await display.hand_over_posts(partial(stores.retractions.offer_part, turn))
        elif await display.remove():
            await stores.retractions.mark_removed(turn)
    except ParleyError as error:
        log.warning("turn %s was lost; its messages are left to other processes: %s", turn.id, error)


async def delete_reply(stores: Stores, turn: Turn, surface: Surface, *, after: asyncio.Task[Any] | None = None) -> bool:
    """Delete the reply's messages once ``after`` has released the turn; return whether all are gone.

    If the platform does not delete a message, its text is replaced by a note. A message recorded without a reference
    may have been posted, so the function searches for it.
    """
    if after is not None:
        await asyncio.wait({after}, timeout=RELEASE_TIMEOUT)
    current = await stores.inbox.turn(turn.thread.tenant_id, turn.id) or turn
    gone = [await _delete_part(surface, current, index) for index in range(max(current.recorded, len(current.parts)))]
    return all(gone) and await stores.retractions.mark_removed(turn)


async def _delete_part(surface: Surface, turn: Turn, index: int) -> bool:
    """Delete one message of the reply, or replace its text by a note; return whether either succeeded."""
    nonce, ref = f"{turn.id}:{index}", None
    try:
        ref = turn.parts[index] if index < len(turn.parts) else await surface.find(nonce)
        if ref is not None:
            await surface.delete(ref)
    except MessageGone:
        return True
    except SurfaceError as error:
        log.info("message %s of turn %s could not be deleted: %s", ref or nonce, turn.id, error)
        return ref is not None and await _mark_deleted(
            surface, ref, Part(user_messages.FORGOTTEN, nonce, turn.id, final=True)
        )
    return True


async def _mark_deleted(surface: Surface, ref: str, part: Part) -> bool:
    try:
        await surface.edit(ref, part)
    except (MessageGone, EditRefused) as error:
        log.info("message %s of a deleted question stays as it is: %s", ref, error)
        return True
    except SurfaceError as error:
        log.warning("message %s of a deleted question could not be removed yet: %s", ref, error)
        return False
    return True


class Retracting:
    """Removes the replies to deleted questions in the background."""

    def __init__(self, stores: Stores, in_background: Callable[[Coroutine[Any, Any, object], str], object]) -> None:
        self._stores = stores
        self._in_background = in_background
        self._under_way: set[str] = set()

    @property
    def under_way(self) -> Collection[str]:
        """The turns whose replies are being removed."""
        return self._under_way

    def begin(self, turn: Turn, surface: Surface, *, after: asyncio.Task[Any] | None = None) -> None:
        """Start to remove the turn's messages in the background."""
        self._under_way.add(turn.id)
        self._in_background(self._delete_in_background(turn, surface, after), f"remove reply of turn {turn.id}")

    async def poll(self, platform: Platform, surface_for: Callable[[Turn], Surface], known: Collection[str]) -> None:
        """Remove replies left by other processes.

        Skip ``known`` turns: they run in this process and remove their own replies.
        """
        ids = [*known, *self._under_way]
        found = await self._stores.retractions.withdrawn(platform, known=ids, most=REPLIES_PER_QUERY)
        for turn in found:
            if turn.id not in self._under_way:
                self.begin(turn, surface_for(turn))

    async def _delete_in_background(self, turn: Turn, surface: Surface, after: asyncio.Task[Any] | None) -> None:
        try:
            await delete_reply(self._stores, turn, surface, after=after)
        finally:
            self._under_way.discard(turn.id)
