"""When the next edit of a message may go out. Pure: the time arrives as an argument, in seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from bot.errors import RateLimited

SLOWER, FASTER, SLOWEST = 2.0, 0.9, 8.0
BACKOFF, LONGEST_BACKOFF = 0.5, 8.0
BURST = 5
"""Last edits that may go out at once beyond the even pace: drafts leave that to them."""
LEFT = 1.1
"""How much further apart drafts of several processes are: what they hear of each other comes a moment late, and of
each process one last edit may always go before its drafts."""
SLOWEST_LAST = 2.0
"""How much wider than promised last edits are spaced at most: an answer's end waits for what the platform says, and no
longer for what was learned."""
WIDER, NARROWER, WIDEST = 1.5, 0.98, 8.0


def _nobody() -> None:
    """Nobody wants to know."""


class SharedPacing:
    """The edits that all streams of one workspace have together, evenly spaced; last edits go before drafts.

    ``per_minute`` is what the platform promises; a refusal holds everybody for as long as it says and widens the
    spacing, each success brings it back a little. None: the platform's library waits by itself.

    Other processes are heard of through ``bot.engine.display.workspace_pacing``, which keeps ``elsewhere`` and
    ``started_elsewhere``. Each process takes as much of the minute as it has of all streams under way, so that one
    without any takes nothing.
    ``news`` is called, and must not block, where something happened that the others should know.
    """

    def __init__(self, per_minute: float | None = None, news: Callable[[], None] = _nobody) -> None:
        self._base = 0.0
        self._slow = 1.0
        self._taken = 0.0
        self._blocked = 0.0
        self._widened = float("-inf")
        self._starts: deque[float] = deque()
        self._news = news
        self.streams = 0
        """Streams under way in this process, each until its end is shown."""
        self.elsewhere = 0
        """Streams under way in other processes."""
        self.started_elsewhere = 0
        """Starts of the last minute in other processes."""
        self.before = 0
        """Processes that go on before this one after a pause."""
        self.changed = False
        """Whether something happened since the others were told."""
        self.promise(per_minute)

    def promise(self, per_minute: float | None) -> None:
        """What the platform promises a workspace."""
        self._base = 60.0 / per_minute if per_minute else 0.0

    @property
    def is_promised(self) -> bool:
        """Whether there is a budget to be shared."""
        return self._base > 0

    def begin(self) -> None:
        """A stream is under way here."""
        self.streams += 1
        self._happened()

    def end(self) -> None:
        """One is over."""
        self.streams -= 1
        self._happened()

    @property
    def slow(self) -> float:
        """How many times the promised spacing edits have; more than 1 after a refusal."""
        return self._slow

    @property
    def interval(self) -> float:
        """Seconds between two drafts of one stream, where every stream gets its turn."""
        return self._gap * (max(1, self.streams) + self.elsewhere)

    @property
    def _gap(self) -> float:
        """Seconds between two edits of the workspace."""
        return self._base * self._slow

    @property
    def _step(self) -> float:
        """Seconds between two edits of this process."""
        return self._gap * self._step_in_gaps

    @property
    def _step_in_gaps(self) -> float:
        return 1 + self.elsewhere / max(1, self.streams)

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
        self._taken = now + self._step * share * (LEFT if self.elsewhere else 1.0)
        return 0.0

    def last(self, now: float) -> float:
        """Seconds that a last edit has to wait; its place is taken. All processes have one burst together."""
        gap = self._base * min(self._slow, SLOWEST_LAST)
        step = gap * self._step_in_gaps
        ahead = max(LEFT * step, (BURST + 1) * gap - step)
        wait = max(self._blocked - now, self._taken - ahead - now, 0.0)
        self._taken = max(self._taken, now) + step
        return wait

    def start(self, now: float, most: int) -> bool:
        """Take one of the ``most`` starts that all processes have in a minute; False where none is left.

        No more than a third in one second, within which the others may not have heard of them.
        """
        recent = self.started(now)
        if recent + self.started_elsewhere >= most or sum(at > now - 1.0 for at in self._starts) >= max(1, most // 3):
            return False
        self._starts.append(now)
        self._happened()
        return True

    def started(self, now: float) -> int:
        """Starts of the last minute in this process."""
        while self._starts and self._starts[0] <= now - 60.0:
            self._starts.popleft()
        return len(self._starts)

    def done(self) -> None:
        """An edit went through: one of many, where other processes have more streams."""
        self._slow = max(1.0, self._slow * NARROWER**self._step_in_gaps)

    def refused(self, now: float, retry_after: float) -> None:
        """The platform asked to slow down. Refusals of edits that were under way together count as one.

        One that comes while last edits are ahead of the even pace says nothing about that pace.
        """
        if now >= self._blocked and self._taken - now < 1.5 * self._step and now - self._widened >= self._step:
            self._slow = min(self._slow * WIDER, WIDEST)
            self._widened = now
        self._pause(now + retry_after)
        self._happened()

    def told(self, now: float, slow: float, pause: float) -> None:
        """Another process was refused, and nobody may edit for ``pause`` seconds; or, where that is 0, its spacing is
        ``slow`` times the promised one, which is worth knowing to a process that has not edited yet."""
        if pause > 0 or not self._taken:
            self._widened = now if slow > self._slow * 1.2 else self._widened
            self._slow = min(max(self._slow, slow), WIDEST)
        if pause > 0:
            self._pause(now + pause)

    def _pause(self, until: float) -> None:
        """After it the processes go on one after the other."""
        self._blocked = max(self._blocked, until)
        self._taken = max(self._taken, self._blocked + self.before * self._gap)

    def _happened(self) -> None:
        if self.is_promised:
            self.changed = True
            self._news()


class EditPacing:
    """When the next edit of a message may go out. Rate limits and failures slow it down, successes bring it back.

    ``interval`` is that of edits; a platform that lets something go out more often tells its interval each time.
    """

    def __init__(self, interval: float, shared: SharedPacing | None = None) -> None:
        self._base = interval
        self._interval = interval
        self._next = 0.0
        self._blocked = 0.0
        self._failures = 0
        self._shared = shared or SharedPacing()

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
