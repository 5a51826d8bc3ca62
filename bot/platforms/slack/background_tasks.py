"""Runs background tasks that outlive the acknowledgment of a Slack event, and logs their failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from bot.errors import for_operator, unforeseen

log = logging.getLogger(__name__)

CLOSE_GRACE_SECONDS = 2.0


class BackgroundTasks:
    """Keeps a reference to each running task, so that it is not garbage collected, and logs each failure."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        """Run ``work`` in the background."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A Slack background task failed: %s", for_operator(error), exc_info=unforeseen(error))

    async def close(self, grace: float = CLOSE_GRACE_SECONDS) -> None:
        """Wait up to ``grace`` seconds for running tasks, then cancel the rest."""
        if not self._tasks:
            return
        _, unfinished = await asyncio.wait(set(self._tasks), timeout=grace)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
