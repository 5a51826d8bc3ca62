"""Tracks the tasks that handle Discord events, so that a shutdown leaves none of them behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any


class HandlerTasks:
    """The running handlers of one client. While ``draining``, handlers store messages but start no answers."""

    def __init__(self) -> None:
        self.draining = False
        self._running: set[asyncio.Task[object]] = set()

    @contextlib.contextmanager
    def track(self) -> Iterator[None]:
        """Track the current task while the block runs."""
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
        try:
            yield
        finally:
            if task is not None:
                self._running.discard(task)

    def start(self, handler: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run a handler in the background."""
        task = asyncio.create_task(handler, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def cancel(self) -> None:
        """Cancel all handlers but the current task, and wait for their end."""
        tasks = [task for task in self._running if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
