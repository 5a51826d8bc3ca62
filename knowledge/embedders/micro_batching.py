"""Micro-batching: items that many tasks submit while a batch is being worked on form the next batch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class MicroBatcher(Generic[Item, Result]):
    """Passes items to ``work`` in order, in batches of at most ``max_weight``, ``concurrency`` batches at a time.

    An item that weighs more forms a batch of its own. An error of ``work`` is raised to every item of its batch. There
    is no waiting time: a batch consists of the items that arrived while earlier batches were processed.
    """

    def __init__(
        self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], *, max_weight: int, concurrency: int = 1
    ) -> None:
        self._work = work
        self._max_weight = max_weight
        self._free = concurrency
        self._waiting: list[tuple[Item, int, asyncio.Future[Result]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def put(self, item: Item, weight: int) -> Result:
        """Submit an item and return what ``work`` returned for it."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, weight, future))
        self._start()
        return await future

    async def aclose(self) -> None:
        """Cancel the running batches and the waiting items."""
        for _, _, future in self._waiting:
            future.cancel()
        self._waiting.clear()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _start(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            task = asyncio.create_task(self._run_batch())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            if self._free and len(self._waiting) < 2:
                return

    async def _run_batch(self) -> None:
        # Yield once, so that tasks that are about to submit an item join this batch.
        await asyncio.sleep(0)
        batch = self._take()
        try:
            results = await self._work([item for item, _, _ in batch]) if batch else ()
            for (_, _, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)
        except BaseException as error:
            for _, _, future in batch:
                if not future.done():
                    future.set_exception(error) if isinstance(error, Exception) else future.cancel()
            if not isinstance(error, Exception):
                raise
        finally:
            self._free += 1
            if batch:
                self._start()

    def _take(self) -> list[tuple[Item, int, asyncio.Future[Result]]]:
        """Take the next batch from the waiting items, without those that were canceled."""
        batch: list[tuple[Item, int, asyncio.Future[Result]]] = []
        total = 0
        while self._waiting and (not batch or total + self._waiting[0][1] <= self._max_weight):
            entry = self._waiting.pop(0)
            if not entry[2].done():
                batch.append(entry)
                total += entry[1]
        return batch
