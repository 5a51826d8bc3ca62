"""Provides an event loop whose clock stops while other programs use the processor."""

from __future__ import annotations

import asyncio
import selectors
import time


class _WaitCounter(selectors.DefaultSelector):
    """Counts the seconds spent waiting, but no more than the requested timeout."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        start = time.monotonic()
        found = super().select(timeout)
        elapsed = time.monotonic() - start
        self.waited += elapsed if timeout is None else min(elapsed, max(timeout, 0.0))
        return found


class FrozenClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock counts the seconds of waiting and the CPU seconds of its own thread.

    A platform's double and the bot run in one loop and give each other three seconds, for example for an
    acknowledgment. With this clock, the load of the machine does not count.
    """

    def __init__(self) -> None:
        self._selector = _WaitCounter()
        super().__init__(self._selector)

    def time(self) -> float:
        return self._selector.waited + time.thread_time()
