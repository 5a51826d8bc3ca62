"""Tests the event loop whose clock stops while other programs use the processor."""

from __future__ import annotations

import asyncio
import time

from tests.frozen_clock import FrozenClockLoop


def test_waiting_counts_and_delays_by_other_programs_do_not() -> None:
    async def measured() -> tuple[float, float]:
        clock = asyncio.get_running_loop().time
        start = clock()
        await asyncio.sleep(0.05)
        slept = clock()
        time.sleep(0.3)
        return slept - start, clock() - slept

    with asyncio.Runner(loop_factory=FrozenClockLoop) as runner:
        waited, delayed = runner.run(measured())
    assert waited >= 0.05
    assert delayed < 0.2
