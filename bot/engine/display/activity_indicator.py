"""Shows a typing indicator or a status, where the platform has one."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from bot.engine.ports.surface import ActivityDisplay, Surface
from bot.errors import RateLimited
from bot.types.display import Activity

log = logging.getLogger(__name__)

END_SECONDS = 2.0
"""Timeout for the removal of the last activity. The platform removes it itself after some time."""


class ActivityIndicator:
    """Shows activities in the background until it ends. It never raises, and no answer waits for it.

    Surfaces that show no activities are left alone.
    """

    def __init__(self, surface: Surface) -> None:
        self._surface = surface if isinstance(surface, ActivityDisplay) else None
        self._activity: Activity | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def show(self, activity: Activity) -> None:
        """Show an activity in place of the last one, as soon as the platform allows it."""
        if self._surface is None or activity == self._activity:
            return
        self._activity = activity
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._keep_shown(self._surface), name="show activity")

    async def end(self) -> None:
        """Remove the activity. May be called more than once."""
        task, self._task = self._task, None
        if task is None or self._surface is None:
            return
        was_refused = task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if was_refused:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self._attempt(self._surface, None)

    async def _keep_shown(self, surface: ActivityDisplay) -> None:
        """Show the newest activity, and again before the platform removes it, until the platform refuses it."""
        while True:
            self._changed.clear()
            wait = await self._attempt(surface, self._activity)
            if wait is None:
                return
            await asyncio.sleep(wait)
            with suppress(TimeoutError):
                async with asyncio.timeout(surface.activity_seconds):
                    await self._changed.wait()

    async def _attempt(self, surface: ActivityDisplay, activity: Activity | None) -> float | None:
        """Show an activity. Return the seconds that the platform asks to wait; None if it refuses the activity."""
        try:
            await surface.show_activity(activity)
        except RateLimited as error:
            return error.retry_after
        except Exception as error:
            log.info("an activity could not be shown: %s", error or type(error).__name__)
            return None
        return 0.0
