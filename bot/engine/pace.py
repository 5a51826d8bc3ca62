"""When the next edit of a message may go out. Pure: the time arrives as an argument, in seconds."""

from __future__ import annotations

from bot.errors import RateLimited

SLOWER, FASTER, SLOWEST = 2.0, 0.9, 8.0
BACKOFF, LONGEST_BACKOFF = 0.5, 8.0


class Pace:
    """When the next edit may go out. Rate limits and failures slow it down, successes bring it back slowly."""

    def __init__(self, interval: float) -> None:
        self._base = interval
        self._interval = interval
        self._next = 0.0
        self._blocked = 0.0
        self._failures = 0

    def wait(self, now: float) -> float:
        """Seconds until the next edit of a draft."""
        return max(0.0, self._next - now, self._blocked - now)

    def blocked(self, now: float) -> float:
        """Seconds that even the final text has to wait."""
        return max(0.0, self._blocked - now)

    def done(self, now: float) -> None:
        self._next = now + self._interval
        self._interval = max(self._base, self._interval * FASTER)
        self._failures = 0

    def failed(self, now: float, error: Exception, latest: float = float("inf")) -> None:
        if isinstance(error, RateLimited):
            self._interval = min(self._interval * SLOWER, self._base * SLOWEST)
            pause = error.retry_after
        else:
            pause = min(BACKOFF * 2**self._failures, LONGEST_BACKOFF)
            self._failures += 1
        self._blocked = min(now + pause, latest)
        self._next = max(self._next, now + self._interval)
