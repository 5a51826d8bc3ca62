"""Shows the reply of a command in the first place that takes it: edit, else post anew, else plain text, else a word."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from bot.errors import PlatformAway, RateLimited, SurfaceError

log = logging.getLogger(__name__)

Place = Callable[[], Awaitable[None]]
"""Shows the reply in one way. Raises SurfaceError."""

PAUSES = (2.0, 10.0, 30.0)
"""Seconds to wait before the places are tried again while the platform is away."""
LONGEST_PAUSE = 60.0
"""The longest wait, in seconds, that a platform may ask for."""


async def show_in_first(
    name: str, places: Sequence[Place], *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> bool:
    """Show the reply of the command ``name`` in the first place that takes it. Return False if none does.

    While the platform is away, the same place is tried again, because the next would fail too. Other refusals lead to
    the next place.
    """
    pauses = [*PAUSES]
    left = [*places]
    while left:
        try:
            await left[0]()
        except (PlatformAway, RateLimited) as error:
            if not pauses:
                log.warning("the reply of %s could not be shown, the platform is away: %s", name, error)
                return False
            asked = error.retry_after if isinstance(error, RateLimited) else 0.0
            await sleep(min(max(pauses.pop(0), asked), LONGEST_PAUSE))
        except SurfaceError as error:
            log.warning("the reply of %s is shown elsewhere, because this place refused it: %s", name, error)
            left.pop(0)
        else:
            return True
    log.error("the reply of %s could not be shown anywhere", name)
    return False
