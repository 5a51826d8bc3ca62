"""Stores what a process counts in memory at regular intervals, and once more when the process ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

log = logging.getLogger(__name__)

STORE_SECONDS = 30.0


@asynccontextmanager
async def stored_regularly(
    what: str, store: Callable[[], Awaitable[None]], *, seconds: float = STORE_SECONDS
) -> AsyncIterator[None]:
    """Call ``store`` every ``seconds`` in the background, and once more at the end. A failure is logged as ``what``."""
    storing = asyncio.create_task(_repeat(what, store, seconds), name=what)
    try:
        yield
    finally:
        storing.cancel()
        await asyncio.gather(storing, return_exceptions=True)
        with suppress(Exception):
            await store()


async def _repeat(what: str, store: Callable[[], Awaitable[None]], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await store()
        except Exception:
            log.exception("the %s could not be stored", what)
