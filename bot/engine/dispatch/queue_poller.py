"""Polls the turn queue for turns that no process runs, after each notification and at regular intervals."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from bot.engine.dispatch.running_turn import SurfaceFor
from bot.errors import ParleyError, for_operator
from bot.types.conversation import Platform

log = logging.getLogger(__name__)

MIN_PAUSE, REST, LONGEST_PAUSE = 0.05, 4.0, 1.0
"""Minimum pause between two polls in seconds, the pause as a multiple of the last poll's duration, and its maximum.

Up to the maximum, they limit polling to a fifth of the time, even with a long queue. A poll that takes longer usually
waits for a busy machine. Without the maximum, turns of a dead process would then wait for many seconds.
"""


LOOK_SECONDS = 3.0
"""Seconds between two looks for turns that no notification announced: the process was not connected, or the answer of
the database came too late."""


class QueuePoller:
    """Runs at most one poll per platform at a time. ``poll`` starts turns and returns their number.

    ``has_work`` is the cheap look that decides every few seconds whether to poll.
    """

    def __init__(
        self,
        poll: Callable[[Platform], Awaitable[int]],
        has_work: Callable[[Platform], Awaitable[bool]],
        *,
        look_seconds: float | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._poll = poll
        self._has_work = has_work
        self._look_seconds = LOOK_SECONDS if look_seconds is None else look_seconds
        self._sleep = sleep
        self._monotonic = monotonic
        self._tasks: dict[Platform, asyncio.Task[None]] = {}
        self._again: set[Platform] = set()
        self._looking: asyncio.Task[None] | None = None
        self.surfaces: dict[Platform, SurfaceFor] = {}

    def serve(self, platform: Platform, surface_for: SurfaceFor) -> None:
        """Start serving a platform: from now on, this process can show the replies to its turns."""
        self.surfaces[platform] = surface_for
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_regularly(), name="regular look at the queue")

    def soon(self, platform: str = "") -> None:
        """Schedule a poll for turns of the platform, or of every platform served."""
        for served in list(self.surfaces):
            if platform not in ("", served):
                continue
            if served in self._tasks:
                self._again.add(served)
                continue
            self._tasks[served] = asyncio.create_task(self._run(served), name=f"turns of {served}")

    async def close(self) -> None:
        """Stop polling."""
        self.surfaces.clear()
        tasks = [*self._tasks.values(), *([self._looking] if self._looking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            for platform in list(self.surfaces):
                try:
                    if platform not in self._tasks and await self._has_work(platform):
                        self.soon(platform)
                except ParleyError as error:
                    log.info("could not look for turns of %s: %s", platform, for_operator(error))
                except Exception:
                    log.exception("looking for turns of %s failed", platform)

    async def _run(self, platform: Platform) -> None:
        try:
            while True:
                self._again.discard(platform)
                began = self._monotonic()
                try:
                    await self._poll(platform)
                except ParleyError as error:
                    log.warning("could not poll for turns of %s: %s", platform, for_operator(error))
                except Exception:
                    log.exception("polling for turns of %s failed", platform)
                await self._sleep(min(max(MIN_PAUSE, REST * (self._monotonic() - began)), LONGEST_PAUSE))
                if platform not in self._again:
                    return
        finally:
            self._tasks.pop(platform, None)
