"""Work that goes on after an ack, kept referenced, and told of when it fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from bot.errors import for_operator, unforeseen

log = logging.getLogger(__name__)

CLOSING_SECONDS = 2.0


class Errands:
    """Background tasks of one connection. A failure is logged; it never reaches the event loop unseen."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, errand: Coroutine[Any, Any, object]) -> None:
        """Run it in the background."""
        task = asyncio.create_task(errand)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("An errand in Slack failed: %s", for_operator(error), exc_info=unforeseen(error))

    async def close(self, grace: float = CLOSING_SECONDS) -> None:
        """Wait for what runs, then cancel what is left."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(set(self._tasks), timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
