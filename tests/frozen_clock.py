"""An event loop whose clock stops while the machine is busy with something else."""

from __future__ import annotations

import asyncio
import selectors
import time


class _Waiting(selectors.DefaultSelector):
    """Counts the seconds spent waiting, but no more than the requested timeouts."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began = time.monotonic()
        found = super().select(timeout)
        spent = time.monotonic() - began
        self.waited += spent if timeout is None else min(spent, max(timeout, 0.0))
        return found


class FrozenClockLoop(asyncio.SelectorEventLoop):
    """Its seconds are those in which it waited for something, and those in which its own thread computed.

    A platform's double and the bot run in one loop. What they give each other three seconds for, as an acknowledgement,
    is so measured by what they do, not by how many other programs the machine has to run meanwhile.
    """

    def __init__(self) -> None:
        self._waiting = _Waiting()
        super().__init__(self._waiting)

    def time(self) -> float:
        return self._waiting.waited + time.thread_time()
