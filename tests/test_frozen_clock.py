"""The event loop whose clock stops while the machine is busy."""

from __future__ import annotations

import asyncio
import time

from tests.frozen_clock import FrozenClockLoop


def test_waiting_counts_and_being_held_up_does_not() -> None:
    async def measured() -> tuple[float, float]:
        clock = asyncio.get_running_loop().time
        begun = clock()
        await asyncio.sleep(0.05)
        slept = clock()
        time.sleep(0.3)
        return slept - begun, clock() - slept

    with asyncio.Runner(loop_factory=FrozenClockLoop) as runner:
        waited, lost = runner.run(measured())
    assert waited >= 0.05
    assert lost < 0.2
