"""Retries the final text of an answer for a short time, within the platform's rate limits."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf

from bot.engine import user_messages
from bot.engine.display.edit_pacing import EditPacing
from bot.errors import (
    EditRefused,
    LayoutRefused,
    LeaseLost,
    MessageGone,
    PlatformAway,
    RateLimited,
    StoreAway,
    SurfaceError,
)

log = logging.getLogger(__name__)

AWAY_SECONDS = 10.0
"""Seconds for which the final text is retried while the platform is away or refuses it."""
THROTTLED_SECONDS = 120.0
"""Seconds for which the final text waits for the platform's rate limits."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the retries end, on the monotonic clock: ``away`` for failures, ``throttled`` for rate limits."""

    away: float
    throttled: float

    def has_passed(self, now: float, error: Exception) -> bool:
        """Return whether the error is final, because another try would come too late."""
        return now + error.retry_after > self.throttled if isinstance(error, RateLimited) else now >= self.away


class FinalRetry:
    """Runs the posts and edits of a final text until they succeed or a deadline passes."""

    def __init__(
        self,
        pacing: EditPacing,
        turn_id: str,
        *,
        confirm: Callable[[], Awaitable[None]],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        away: float | None = None,
    ) -> None:
        self._pacing = pacing
        self._turn_id = turn_id
        self._confirm = confirm
        self._monotonic = monotonic
        self._sleep = sleep
        self._away = AWAY_SECONDS if away is None else away

    def deadline(self, seconds: float | None = None) -> Deadline:
        """Return the deadline of retries that begin now: after ``seconds`` for all failures, or the usual one."""
        now = self._monotonic()
        if seconds is not None:
            return Deadline(now + seconds, now + seconds)
        return Deadline(now + self._away, now + THROTTLED_SECONDS)

    async def run(self, action: Callable[[], Awaitable[None]], until: Deadline, *, leased: bool = True) -> None:
        """Run ``action`` until it succeeds, and wait as long as the platform demands.

        Confirm the lease before each try, unless ``leased`` is false: the question of the turn was deleted.

        Raises MessageGone, EditRefused, LayoutRefused and LeaseLost at once; RateLimited if the wait would end after
        ``until``; and after ``until`` the last error, as PlatformAway if a later try may succeed, else as SurfaceError.
        """
        while True:
            try:
                await self._wait_for_permission(until)
                if leased:
                    await self._confirm()
                return await action()
            except (MessageGone, EditRefused, LayoutRefused, LeaseLost):
                raise
            except Exception as error:
                log.warning("turn %s: final text not shown yet: %s", self._turn_id, error or type(error).__name__)
                now = self._monotonic()
                if until.has_passed(now, error):
                    raise _as_surface_error(error) from error
                self._pacing.failed(now, error, latest=inf if isinstance(error, RateLimited) else until.away)

    async def _wait_for_permission(self, until: Deadline) -> None:
        """Wait until the rate limits allow a final edit. Raises RateLimited if that takes longer than ``until``."""
        self._check_pause(until)
        await self._sleep(self._pacing.reserve_final(self._monotonic()))
        while (wait := self._pacing.blocked(self._monotonic())) > 0:
            self._check_pause(until)
            await self._sleep(wait)

    def _check_pause(self, until: Deadline) -> None:
        now = self._monotonic()
        wait = self._pacing.blocked(now)
        if wait > 0 and now + wait > until.throttled:
            raise RateLimited(user_messages.THROTTLED, retry_after=wait)


def _as_surface_error(error: Exception) -> SurfaceError:
    """Return the error as it is raised to the engine. Timeouts and broken connections mean that the platform is away.

    StoreAway does too: a message that cannot be recorded cannot be shown.
    """
    if isinstance(error, SurfaceError):
        return error
    kind = PlatformAway if isinstance(error, OSError | StoreAway) else SurfaceError
    return kind(f"The answer could not be shown: {error or type(error).__name__}")
