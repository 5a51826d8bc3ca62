"""When the next edit of a message may go out. Pure: the time arrives as an argument, in seconds."""

from __future__ import annotations

from bot.errors import RateLimited

SLOWER, FASTER, SLOWEST = 2.0, 0.9, 8.0
BACKOFF, LONGEST_BACKOFF = 0.5, 8.0
BURST = 5
"""Last edits that may go out at once beyond the even pace: drafts leave that to them."""
WIDER, NARROWER, WIDEST = 1.5, 0.98, 8.0


class Shared:
    """The edits that all streams of one workspace have together, evenly spaced; last edits go before drafts.

    ``per_minute`` is what the platform promises; a refusal holds everybody for as long as it says and widens the
    spacing, each success brings it back a little. None: the platform's library waits by itself.
    """

    def __init__(self, per_minute: float | None = None) -> None:
        self._base = 60.0 / per_minute if per_minute else 0.0
        self._gap = self._base
        self._taken = 0.0
        self._blocked = 0.0
        self.streams = 0

    @property
    def interval(self) -> float:
        """Seconds between two drafts of one stream, where every stream gets its turn."""
        return self._gap * max(1, self.streams)

    def blocked(self, now: float) -> float:
        """Seconds that nobody may edit."""
        return max(0.0, self._blocked - now)

    def draft(self, now: float, share: float = 1.0) -> float:
        """0 where a draft may go out now, which is then taken; else the seconds until it is worth asking again.

        ``share`` is how much of an edit's place it takes.
        """
        wait = max(self._blocked, self._taken) - now
        if wait > 0:
            return wait
        self._taken = now + self._gap * share
        return 0.0

    def last(self, now: float) -> float:
        """Seconds that a last edit has to wait; its place is taken."""
        wait = max(self._blocked - now, self._taken - BURST * self._gap - now, 0.0)
        self._taken = max(self._taken, now) + self._gap
        return wait

    def done(self) -> None:
        """An edit went through."""
        self._gap = max(self._base, self._gap * NARROWER)

    def refused(self, now: float, retry_after: float) -> None:
        """The platform asked to slow down. Refusals of edits that were under way together count as one."""
        if now >= self._blocked:
            self._gap = min(self._gap * WIDER, self._base * WIDEST)
        self._blocked = max(self._blocked, now + retry_after)


class Pace:
    """When the next edit of a message may go out. Rate limits and failures slow it down, successes bring it back.

    ``interval`` is that of edits; a platform that lets something go out more often tells its interval each time.
    """

    def __init__(self, interval: float, shared: Shared | None = None) -> None:
        self._base = interval
        self._interval = interval
        self._next = 0.0
        self._blocked = 0.0
        self._failures = 0
        self._shared = shared or Shared()

    def wait(self, now: float) -> float:
        """Seconds until the next edit of a draft."""
        return max(0.0, self._next - now, self.blocked(now))

    def blocked(self, now: float) -> float:
        """Seconds that even the final text has to wait."""
        return max(0.0, self._blocked - now, self._shared.blocked(now))

    def draft(self, now: float, interval: float | None = None) -> float:
        """0 where a draft may go out now, the workspace's turn then being taken; else seconds until asking again."""
        return self.wait(now) or self._shared.draft(now, self._share(interval))

    def last(self, now: float) -> float:
        """Seconds that a final text has to wait; its place among the workspace's edits is taken."""
        return max(self.blocked(now), self._shared.last(now))

    def done(self, now: float, interval: float | None = None) -> None:
        """An edit went through; ``interval`` is that of the next one."""
        self._shared.done()
        self._next = now + max(self._interval, self._shared.interval) * self._share(interval)
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

    def _share(self, interval: float | None) -> float:
        return 1.0 if interval is None or not self._base else interval / self._base

    def refused(self, now: float, error: RateLimited) -> None:
        """An edit was refused: the whole workspace slows down."""
        self._shared.refused(now, error.retry_after)
