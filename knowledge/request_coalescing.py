"""Work that is cheaper together: what many tasks ask for while a batch is being worked on makes the next batch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Gatherer(Generic[Item, Result]):
    """Hands items to ``work`` in batches of at most ``most`` by weight, ``at_once`` batches at a time, in order.

    An item that weighs more goes alone. An error of ``work`` is raised to each item of its batch. Waits for nothing: a
    batch is what has come together while those before it were worked on.
    """

    def __init__(
        self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], *, most: int, at_once: int = 1
    ) -> None:
        self._work = work
        self._most = most
        self._free = at_once
        self._waiting: list[tuple[Item, int, asyncio.Future[Result]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def put(self, item: Item, weight: int) -> Result:
        """What ``work`` made of the item."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, weight, future))
        self._start()
        return await future

    async def aclose(self) -> None:
        """Break off what runs and forget what waits."""
        for _, _, future in self._waiting:
            future.cancel()
        self._waiting.clear()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _start(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            task = asyncio.create_task(self._batch())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            if self._free and len(self._waiting) < 2:
                return

    async def _batch(self) -> None:
        # The tasks that are about to ask as well get their turn first.
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
        batch: list[tuple[Item, int, asyncio.Future[Result]]] = []
        total = 0
        while self._waiting and (not batch or total + self._waiting[0][1] <= self._most):
            entry = self._waiting.pop(0)
            if not entry[2].done():
                batch.append(entry)
                total += entry[1]
        return batch
