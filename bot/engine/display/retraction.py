"""What a turn leaves behind that was taken from its process: by a change or the deletion of its question, or by a peer.

Taking away what was said to a deleted question is owed until it is done: whoever finds it owing does it.
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
from bot.errors import MessageGone, ParleyError, SurfaceError
from bot.types.conversation import Platform
from bot.types.display import Part
from bot.types.turns import Outcome, Turn

log = logging.getLogger(__name__)

LETTING_GO = 10.0
"""Seconds that a turn may take to notice that it was taken from this process."""
AT_ONCE = 20
"""Replies that are taken away by one look."""


async def retract_or_offer(stores: Stores, turn: Turn, display: Display) -> None:
    """After the turn was lost: what was posted meanwhile is left to the next holder, or taken away.

    Where the question was deleted, every message goes.
    """
    try:
        await display.landed()
        if not await stores.retractions.is_forgotten(turn):
            await display.offer(partial(stores.retractions.offer_part, turn))
        elif await display.remove():
            await stores.retractions.mark_removed(turn)
    except ParleyError as error:
        log.warning("turn %s was lost; what it showed is left to others: %s", turn.id, error)


async def take_away(
    stores: Stores, turn: Turn, surface: Surface, *, after: asyncio.Task[Outcome] | None = None
) -> bool:
    """Delete the reply's messages once ``after`` has let go of the turn; whether none is left.

    One that the platform does not let go says instead that it was deleted. A message that is on record without a
    reference may have been posted: it is looked for.
    """
    if after is not None:
        await asyncio.wait({after}, timeout=LETTING_GO)
    known = await stores.inbox.turn(turn.thread.tenant_id, turn.id) or turn
    gone = [await _is_gone(surface, known, index) for index in range(max(known.recorded, len(known.parts)))]
    return all(gone) and await stores.retractions.mark_removed(turn)


async def _is_gone(surface: Surface, turn: Turn, index: int) -> bool:
    nonce, ref = f"{turn.id}:{index}", None
    try:
        ref = turn.parts[index] if index < len(turn.parts) else await surface.find(nonce)
        if ref is not None:
            await surface.delete(ref)
    except MessageGone:
        return True
    except SurfaceError as error:
        log.info("message %s of turn %s could not be deleted: %s", ref or nonce, turn.id, error)
        return ref is not None and await _says_so(
            surface, ref, Part(user_messages.FORGOTTEN, nonce, turn.id, final=True)
        )
    return True


async def _says_so(surface: Surface, ref: str, part: Part) -> bool:
    try:
        await surface.edit(ref, part)
    except MessageGone:
        return True
    except SurfaceError as error:
        log.warning("message %s of a deleted question stays for now: %s", ref, error)
        return False
    return True


class Retracting:
    """The replies to deleted questions that this process is taking away."""

    def __init__(self, stores: Stores, in_background: Callable[[Coroutine[Any, Any, object], str], None]) -> None:
        self._stores = stores
        self._in_background = in_background
        self._under_way: set[str] = set()

    def begin(self, turn: Turn, surface: Surface, *, after: asyncio.Task[Outcome] | None = None) -> None:
        """Take the turn's messages away in the background."""
        self._under_way.add(turn.id)
        self._in_background(self._take_away(turn, surface, after), f"take away turn {turn.id}")

    async def poll(self, platform: Platform, surface_for: Callable[[Turn], Surface], known: Collection[str]) -> None:
        """Take away what others left standing; ``known`` are turns that run here and see to it themselves."""
        found = await self._stores.retractions.withdrawn(platform, known=[*known, *self._under_way], most=AT_ONCE)
        for turn in found:
            if turn.id not in self._under_way:
                self.begin(turn, surface_for(turn))

    async def _take_away(self, turn: Turn, surface: Surface, after: asyncio.Task[Outcome] | None) -> None:
        try:
            await take_away(self._stores, turn, surface, after=after)
        finally:
            self._under_way.discard(turn.id)
