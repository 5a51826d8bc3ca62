"""Caches the result of the model checks, so that viewing a page does not ask the providers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from bot.errors import for_operator
from bot.llm.user_messages import CHECK_BROKE_CURE
from bot.types.checks import Check

log = logging.getLogger(__name__)

FRESH_IF_OK = timedelta(hours=1)
"""How long a check that passed stays valid."""
FRESH_IF_FAILED = timedelta(minutes=1)
"""How long a failure is shown before the models are asked again. It may be fixed outside, as by buying credit."""


class ModelChecks:
    """Runs the model checks in the background when their result is asked for and is out of date."""

    def __init__(self, check: Callable[[], Awaitable[Sequence[Check]]], clock: Callable[[], datetime]) -> None:
        self._check = check
        self._clock = clock
        self._running: asyncio.Task[None] | None = None
        self._found: tuple[Check, ...] = ()
        self._fresh_until: datetime | None = None

    def newest(self) -> tuple[Check, ...] | None:
        """Return the newest result; None before the first one. Starts a check if the result is out of date."""
        is_fresh = self._fresh_until is not None and self._clock() < self._fresh_until
        if not is_fresh and (self._running is None or self._running.done()):
            self._running = asyncio.get_running_loop().create_task(self._run())
        return None if self._fresh_until is None else self._found

    async def _run(self) -> None:
        try:
            self._found = tuple(await self._check())
        except Exception as error:
            log.exception("the models could not be checked")
            self._found = (Check("models", False, for_operator(error), CHECK_BROKE_CURE),)
        fresh = FRESH_IF_OK if all(one.ok for one in self._found) else FRESH_IF_FAILED
        self._fresh_until = self._clock() + fresh

    async def aclose(self) -> None:
        """Cancel a check that still runs."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
