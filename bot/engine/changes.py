"""What is left of a turn whose question was deleted: its messages are taken away."""

from __future__ import annotations

import asyncio
import logging

from bot.engine import words
from bot.engine.ports import Store, Surface
from bot.errors import MessageGone, SurfaceError
from bot.types import Outcome, Part, Turn

log = logging.getLogger(__name__)

LETTING_GO = 10.0
"""Seconds that a turn may take to notice that it was taken from this process."""


async def take_away(store: Store, turn: Turn, surface: Surface, *, after: asyncio.Task[Outcome] | None) -> None:
    """Delete the reply's messages once ``after`` has let go of the turn.

    One that the platform does not let go says instead that it was deleted.
    """
    if after is not None:
        await asyncio.wait({after}, timeout=LETTING_GO)
    known = await store.turn(turn.thread.tenant_id, turn.id) or turn
    for index, ref in enumerate(known.parts):
        try:
            await surface.delete(ref)
        except MessageGone:
            continue
        except SurfaceError as error:
            log.info("message %s of turn %s could not be deleted: %s", ref, turn.id, error)
            await _say_so(surface, ref, Part(words.FORGOTTEN, f"{turn.id}:{index}", turn.id, final=True))
    await store.drop_parts(turn)


async def _say_so(surface: Surface, ref: str, part: Part) -> None:
    try:
        await surface.edit(ref, part)
    except SurfaceError as error:
        log.warning("message %s of a deleted question stays: %s", ref, error)
